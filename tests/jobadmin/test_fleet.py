"""The pages of queues and workers."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

import statuses
from jobadmin import fleetrows
from jobadmin import queues as queues_page
from jobadmin import waiting as waiting_words
from jobadmin import workers as workers_page
from jobadmin.filters import JobFilter
from jobadmin.paths import job_url, queue_url, quote
from jobadmin.redaction import redact_text
from statuses import pauses, sampling
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Worker
from statuses.store import Store
from statuses.testing import frozen_clock, make_status

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

#: What a worker can do at once, and take ahead.
HANDS = {"concurrency": 4, "takes_ahead": 4}
HOSTILE = "<script>alert(1)</script>\"'&"


class Lines(Engine):
    """An engine whose workers and queues a test says."""

    name = "lines"
    has_workers = True
    has_queues = True

    def __init__(self) -> None:
        self.there: list[Worker] = []
        self.lines: list[Queue] = []
        self.broken = False
        self.asked = 0

    def workers(self) -> list[Worker]:
        self.asked += 1
        if self.broken:
            raise OSError("the engine is away")
        return self.there

    def queues(self) -> list[Queue]:
        return self.lines


@pytest.fixture
def engine() -> Iterator[Lines]:
    engine = Lines()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


def rows() -> dict[str, queues_page.QueueRow]:
    return {row.name: row for row in queues_page.read(JobFilter()).rows}


def workers(queue: str = "") -> dict[str, workers_page.WorkerRow]:
    jobs = JobFilter().with_(queue=queue or None)
    return {row.name: row for row in workers_page.read(jobs, queue).rows}


def worker(name: str = "w1", **about: Any) -> Worker:
    now = statuses.server_time()
    return Worker(**{"name": name, "queues": ("mail",), "seen_at": now, "started_at": now - timedelta(hours=2), **HANDS, **about})


def test_a_queue_tells_what_waits_since_when_who_takes_it_and_how_fast(engine):
    engine.there = [
        worker("w1"),
        worker("w2"),
        worker("w3", is_alive=False),
        worker("w4", is_stopping=True),
        worker("w5", queues=("other",)),
    ]
    engine.lines = [Queue(name="mail", depth=1)]
    first = make_status("queued", queue="mail", engine="lines")
    for state in ("queued", "queued", "started", "failed", "succeeded"):
        make_status(state, queue="mail", engine="lines")

    row = rows()["mail"]

    assert (row.waiting, row.ahead, row.running, row.workers) == (3, 2, 1, 2)
    assert row.oldest_at == first.queued_at
    assert (row.started, row.failed) == (3, 1)
    assert row.wait_p95 is not None
    assert not row.is_unserved


def test_a_job_that_was_sent_again_waits_since_then_and_not_since_it_was_created(engine, browse):
    with frozen_clock() as clock:
        again = make_status("killed", queue="mail", engine="lines")
        clock.tick(600)
        again.requeued()
        clock.tick(5)
        make_status("queued", queue="mail", engine="lines")

        assert rows()["mail"].oldest_at == again.queued_at > again.recorded_at

        engine.there = [worker("w1", queues=("other",))]
        assert "The first was queued" in browse().get(reverse("jobadmin:queues")).content.decode()


def waiting(number: int, clock: Any, seconds: float = 60) -> list[statuses.Status]:
    """Jobs that have waited in the queue for so long."""
    jobs = [make_status("queued", queue="mail", engine="lines") for _ in range(number)]
    clock.tick(seconds)
    return jobs


def test_no_more_is_called_taken_ahead_than_living_workers_can_hold_and_the_rest_is_not_in_the_broker(engine, browse):
    with frozen_clock() as clock:
        waiting(12, clock)
        engine.there = [worker("w1", takes_ahead=2), worker("w2", takes_ahead=2), worker("w3", takes_ahead=50, is_alive=False)]
        engine.lines = [Queue(name="mail", depth=1)]

        row, client = rows()["mail"], browse()
        pages = [client.get(url).content.decode() for url in (reverse("jobadmin:queues"), row.url)]

    assert (row.waiting, row.ahead, row.missing) == (12, 4, 7)
    assert JobFilter.from_querystring(row.missing_url.partition("?")[2]).query.count() == 12
    for page in pages:
        assert "4 taken ahead" in page
        assert "7 not in the broker" in page
        assert "7 jobs that wait are not in the broker." in page


def test_no_job_is_missed_that_was_sent_a_moment_ago(engine):
    with frozen_clock() as clock:
        waiting(5, clock, seconds=10)
        engine.lines = [Queue(name="mail", depth=0)]
        soon = rows()["mail"].missing
        clock.tick(6)

        assert (soon, rows()["mail"].missing) == (0, 5)


@pytest.mark.parametrize(
    ("lines", "there", "expected"),
    [
        ([Queue(name="mail", depth=0, held=1)], [{}], (1, 5)),
        ([Queue(name="mail", depth=0, held=9)], [{}], (4, 2)),
        ([Queue(name="mail", depth=0, held=9)], [{"takes_ahead": None}], (6, 0)),
        ([Queue(name="mail", depth=0)], [{"takes_ahead": None}], (None, 0)),
        ([Queue(name="mail", depth=None)], [{}], (None, 0)),
        ([], [{}], (None, 0)),
    ],
    ids=["the broker counts what is held", "a dead worker holds some", "no limit", "nobody knows a limit", "no depth", "no engine"],
)
def test_what_is_missing_is_told_by_every_measure_there_is_and_by_none_where_there_is_none(engine, lines, there, expected):
    with frozen_clock() as clock:
        waiting(6, clock)
        engine.lines, engine.there = lines, [worker(**about) for about in there]

        row = rows()["mail"]

    assert (row.ahead, row.missing) == expected


def test_jobs_that_are_just_being_started_are_not_missed(engine):
    with frozen_clock() as clock:
        waiting(6, clock)
        engine.lines, engine.there = [Queue(name="mail", depth=3)], [worker(takes_ahead=0)]
        still = rows()["mail"]
        make_status("started", queue="mail", engine="lines")

        assert (still.ahead, still.missing) == (0, 3)
        assert (rows()["mail"].ahead, rows()["mail"].missing) == (3, 0)


def test_a_job_that_waits_says_when_its_queue_has_jobs_that_the_broker_does_not_have(engine, browse):
    with frozen_clock() as clock:
        job = waiting(3, clock)[0]
        engine.lines, engine.there = [Queue(name="mail", depth=1)], [worker(takes_ahead=0)]
        client = browse()
        page = client.get(job_url(job.id)).content.decode()
        engine.lines = [Queue(name="mail", depth=3)]
        whole = client.get(job_url(job.id)).content.decode()

    assert "2 jobs that wait in mail are neither in the broker nor with a living worker." in page
    assert "in the broker" not in whole


@pytest.mark.parametrize(("minutes", "rate", "span"), [(0, 6, "1 min"), (3, 2, "3 min"), (60, 6 / 15, "15 min")])
def test_how_fast_a_queue_goes_is_told_of_the_time_that_somebody_saw(engine, browse, minutes, rate, span):
    with frozen_clock() as clock:
        make_status("queued", queue="mail", engine="lines")
        clock.tick(minutes * 60)
        for _ in range(6):
            make_status("started", queue="mail", engine="lines")

        row, page = rows()["mail"], browse().get(reverse("jobadmin:queues")).content.decode()

    assert row.per_minute == pytest.approx(rate)
    assert f"Jobs started, over the last {span}" in page


def test_a_waiting_job_is_promised_a_turn_at_the_speed_that_somebody_saw(browse):
    with frozen_clock() as clock:
        job = make_status("queued", queue="mail")
        clock.tick(120)
        for _ in range(6):
            make_status("started", queue="mail")

        page = browse().get(job_url(job.id)).content.decode()

    assert "3.0 a minute of this queue started in the last 2 min." in page


def test_every_number_leads_to_exactly_those_jobs(engine, browse):
    engine.there = [worker("w1")]
    engine.lines = [Queue(name="mail", depth=0)]
    for state in ("queued", "queued", "started", "failed", "failed", "succeeded"):
        make_status(state, queue="mail", engine="lines")
    row = rows()["mail"]
    client = browse()

    for number, url in [
        (row.waiting, row.waiting_url),
        (row.running, row.running_url),
        (row.started, row.started_url),
        (row.failed, row.failed_url),
    ]:
        assert JobFilter.from_querystring(url.partition("?")[2]).query.count() == number
        assert client.get(url).status_code == 200
    shown = client.get(row.workers_url)
    assert "w1" in shown.content.decode()


def test_a_waiting_queue_without_a_living_worker_is_said_loudly(engine, browse):
    engine.there = [worker("w1", is_alive=False), worker("w2", queues=("other",))]
    make_status("queued", queue="mail", engine="lines")
    make_status("queued", queue="other", engine="lines")

    page = browse().get(reverse("jobadmin:queues")).content.decode()

    assert "1 job waits in mail, and no living worker takes from it." in page
    assert page.count("no living worker takes from it") == 1
    assert next(iter(rows())) == "mail"


def test_a_queue_of_an_engine_that_does_not_tell_of_its_workers_is_not_called_unserved(engine):
    make_status("queued", queue="mail", engine="somebody else's")

    assert not rows()["mail"].is_unserved


def test_a_queue_whose_jobs_start_although_no_worker_ever_reported_is_not_called_unserved(engine):
    make_status("queued", queue="mail", engine="lines")
    before = rows()["mail"].is_unserved
    make_status("started", queue="mail", engine="lines")

    assert (before, rows()["mail"].is_unserved) == (True, False)


def test_a_queue_whose_only_worker_was_stopped_is_called_unserved_once_a_job_has_waited(engine, browse):
    with frozen_clock() as clock:
        make_status("succeeded", queue="mail", engine="lines")
        job = make_status("queued", queue="mail", engine="lines")
        at_once = rows()["mail"].is_unserved
        clock.tick(16)

        assert (at_once, rows()["mail"].is_unserved) == (False, True)
        assert "no living worker takes from it" in browse().get(reverse("jobadmin:queues")).content.decode()
        assert waiting_words.why(statuses.find(job.id), [], statuses.server_time()).is_unserved


def test_a_job_that_waits_in_a_paused_queue_says_so_and_gives_no_time(engine, browse):
    engine.lines = [Queue(name="mail", is_paused=True, paused_at=statuses.server_time(), paused_by="marta")]
    waits = make_status("queued", queue="mail", engine="lines")
    make_status("succeeded", queue="mail", engine="lines")

    client = browse()
    page = client.get(job_url(waits.id)).content.decode()

    assert "Paused: mail. No job of it starts until it is resumed." in page
    assert "At that speed" not in page
    title, body = page.index('<span class="j-note__title">Paused: mail.'), page.index("No job stands before it in mail.")
    assert title < body, "what holds it comes before what stands before it"
    assert re.search(r'<span class="j-note__body">By marta, <time [^>]*>[^<]*</time>\.', page)
    assert f'<a class="j-btn j-note__act" href="{queue_url("mail")}">Show the queue</a>' in page

    engine.lines = [Queue(name="mail")]
    page = client.get(job_url(waits.id)).content.decode()
    assert "Paused: " not in page and "At that speed" in page and "It is the next one in mail" in page


def outcomes(page: str) -> list[str]:
    """What the rows of a list say of how each job stands, from the top."""
    return re.findall(r'<span class="j-outcome j-cut" title="([^"]*)">', page)


def test_a_row_says_what_its_job_waits_for(engine, browse):
    engine.there = [worker("w1", queues=("mail", "held")), worker("w2", queues=("gone",), is_alive=False)]
    pauses.pause("lines", "held")
    for queue in ("mail", "mail", "gone", "held"):
        make_status("queued", queue=queue, engine="lines")
    make_status("queued", queue="gone", engine="unheard")
    client = browse()

    said = outcomes(client.get(reverse("jobadmin:list")).content.decode())
    engine.broken = True
    unknown = outcomes(client.get(reverse("jobadmin:list")).content.decode())

    assert said == ["place 2 in line", "its queue is paused", "no worker takes from its queue", "place 2 in line", "next in line"]
    assert unknown[1:3] == ["its queue is paused", "place 1 in line"], "nobody knows who takes from it"


def test_a_row_says_that_its_queue_is_paused_where_the_engine_alone_knows(engine, browse, monkeypatch):
    monkeypatch.setattr(type(engine), "pauses_all_queues", True)
    engine.there, engine.lines = [worker()], [Queue(name="mail", is_paused=True)]
    make_status("queued", queue="mail", engine="lines")

    assert outcomes(browse().get(reverse("jobadmin:list")).content.decode()) == ["its queue is paused"]


def test_rows_of_no_queue_and_of_what_is_not_queued_cost_no_question(engine, browse):
    make_status("queued", engine="lines")
    make_status("queued", queue="mail")
    make_status("unqueued", queue="mail", engine="lines")
    engine.broken = True

    with_nobody_asked = browse().get(reverse("jobadmin:list")).content.decode()

    assert outcomes(with_nobody_asked) == ["next in line"]
    assert engine.asked == 0


def test_a_job_whose_engine_does_not_say_who_takes_it_is_not_called_the_next_one(engine, browse):
    engine.broken = True
    waits = make_status("queued", queue="mail", engine="lines")

    page = browse().get(job_url(waits.id)).content.decode()

    assert "No job stands before it in mail" in page and "the next one" not in page
    assert "The engine lines could not tell of its workers and queues: whether anybody takes from this queue is not known." in page


def test_a_job_that_no_living_worker_takes_says_so_first_and_is_promised_no_time(engine, browse):
    engine.there = [worker("w1", is_alive=False)]
    make_status("succeeded", queue="mail", engine="lines")
    make_status("queued", queue="mail", engine="lines")
    waits = make_status("queued", queue="mail", engine="lines")

    page = browse().get(job_url(waits.id)).content.decode()

    assert '<span class="j-note__title">No living worker takes from mail.</span>' in page
    assert re.search(r'j-note__body"><a [^>]*>1 job</a> stands before it in mail\.', page)
    assert "At that speed" not in page


def test_the_overview_says_when_jobs_wait_and_no_worker_is_alive(engine, browse):
    client = browse()

    def said(**query: str) -> bool:
        page = client.get(reverse("jobadmin:overview"), {"span": "all", **query}).content.decode()
        return "No worker is alive, and 1 job waits." in page

    with frozen_clock() as clock:
        make_status("queued", queue="mail", engine="lines")
        engine.there = [worker("w1")]
        alive = said()
        clock.tick(3600)
        engine.there = [replace(engine.there[0], is_alive=False)]

        assert (alive, said(), said(state="failed")) == (False, True, False)
        make_status("queued", engine="lines").started(worker="w1").heartbeat()
        clock.tick(120)
        page = client.get(reverse("jobadmin:overview"), {"span": "all"}).content.decode()
        assert page.index("No worker is alive") < page.index("has shown no sign of life"), "the worse comes first"
        assert re.search(r"The last one was seen <time [^>]*>", page)
        engine.there.append(worker("w2"))
        assert not said(), "another one is alive"
        engine.there.pop()
        statuses.all().request_kill_all(end_queued=True)
        assert not said(), "nothing waits"


def test_the_overview_says_so_of_workers_that_left_in_order_once_a_job_has_waited(engine, browse):
    client, said = browse(), "No worker is alive, and 1 job waits."

    def page() -> str:
        return client.get(reverse("jobadmin:overview"), {"span": "all"}).content.decode()

    with frozen_clock() as clock:
        make_status("queued", queue="mail", engine="lines")
        at_once = page()
        clock.tick(16)

        assert said not in at_once
        assert said in page() and '<span class="j-note__body">Nothing starts until a worker does.</span>' in page()
        assert said in client.get(reverse("jobadmin:workers")).content.decode()
        running = make_status("started", queue="mail", engine="lines")
        assert said not in page(), "somebody takes jobs who does not report"
        running.succeeded()
        assert said in page()


@pytest.mark.parametrize("unknown", ["an engine that fails", "another engine that fails", "a job of no engine"])
def test_the_overview_does_not_say_so_where_nobody_knows(engine, browse, unknown):
    engine.there = [worker("w1", is_alive=False)]
    make_status("queued", queue="mail", engine="lines")
    client, said = browse(), "No worker is alive"
    before = client.get(reverse("jobadmin:overview")).content.decode()

    if unknown == "an engine that fails":
        engine.broken = True
        page = client.get(reverse("jobadmin:overview")).content.decode()
        assert "The engine lines could not tell" in page and "Whether anybody takes the jobs that wait is not known." in page
    elif unknown == "another engine that fails":
        other = registry.register(Lines())
        other.name, other.broken = "others", True
        registry.register(other)
        registry.register(engine)
    else:
        make_status("queued", queue="mail")

    assert said in before
    assert said not in client.get(reverse("jobadmin:overview")).content.decode()
    registry.unregister("others")


def test_the_overview_tells_of_queues_that_their_engine_holds_back_by_itself(engine, browse, monkeypatch):
    monkeypatch.setattr(type(engine), "pauses_all_queues", True)
    engine.lines = [Queue(name="mail", is_paused=True), Queue(name="other", is_paused=True)]
    make_status("queued", queue="mail", engine="lines")

    page = browse().get(reverse("jobadmin:overview")).content.decode()

    assert "Paused: 1 job waits until its queue is resumed." in page


@pytest.mark.parametrize("name", ["overview", "list", "workers"])
def test_a_page_about_a_queue_says_that_it_is_paused(engine, browse, name):
    engine.lines = [Queue(name="mail", is_paused=True, paused_by="marta"), Queue(name="other")]
    make_status("queued", queue="mail", engine="lines")
    client, said = browse(), "Paused: mail. No job of it starts until it is resumed."

    def page(**query: str) -> str:
        return client.get(reverse(f"jobadmin:{name}"), query).content.decode()

    assert said in page(queue="mail")
    assert f'<a class="j-btn j-note__act" href="{queue_url("mail")}">Show the queue</a>' in page(queue="mail")
    assert "Paused: " not in page() + page(queue="other") + page(queue="-mail")
    if name != "workers":
        assert said in page(queue="ma*")


@pytest.fixture
def two(engine, monkeypatch) -> Iterator[tuple[Lines, Lines]]:
    """Engines that both have a queue of one name, and can pause it."""
    monkeypatch.setattr(Lines, "can_pause_queues", True, raising=False)
    other = Lines()
    other.name = "others"
    registry.register(other)
    yield engine, other
    registry.unregister("others")


def test_the_buttons_of_a_queue_that_several_engines_have_name_theirs(two, browse):
    for engine in two:
        engine.lines = [Queue(name="default"), Queue(name=f"of-{engine.name}")]

    page = browse("view_job", "control_workers").get(reverse("jobadmin:queues")).content.decode()
    labels = re.findall(r'aria-label="(Pause queue: [^"]*)"', page)

    assert sorted(labels) == [
        "Pause queue: default, lines", "Pause queue: default, others", "Pause queue: of-lines", "Pause queue: of-others",
    ]  # fmt: skip
    assert page.count("Pause queue (lines)") == page.count("Pause queue (others)") == 1
    told = re.findall(r' id="(why-[^"]*)"', page)
    assert len(told) == len(set(told))


def test_a_queue_is_paused_where_every_engine_that_has_it_paused_it(two, browse):
    engine, other = two
    engine.lines, other.lines = [Queue(name="default", is_paused=True)], [Queue(name="default")]
    client = browse()

    def told() -> tuple[str, str, str]:
        listed = client.get(reverse("jobadmin:list") + "?queue=default").content.decode()
        return fleetrows.queues().rows[0]["condition"], client.get(reverse("jobadmin:queues")).content.decode(), listed

    condition, page, listed = told()
    assert (rows()["default"].is_paused, rows()["default"].paused_in) == (False, ("lines",))
    assert condition == "paused in lines" and "Paused (lines)</span>" in page
    assert "Paused in lines: default. No job of that engine starts from it" in listed

    other.lines = [Queue(name="default", is_paused=True)]
    condition, page, listed = told()
    assert condition == "paused" and "Paused</span>" in page and "Paused (" not in page
    assert "Paused: default. No job of it starts until it is resumed." in listed


def test_the_page_of_workers_tells_of_an_engine_that_holds_all_its_queues_back(engine, browse, monkeypatch):
    engine.there = [worker("w1")]
    engine.lines = [Queue(name="mail", is_paused=True), Queue(name="password=hush", is_paused=True)]
    client, said = browse(), "Paused: lines. Its workers take no more jobs until its queues are resumed."

    def page() -> str:
        return client.get(reverse("jobadmin:workers")).content.decode()

    assert said not in page(), "one queue of several says nothing of the workers"
    monkeypatch.setattr(type(engine), "pauses_all_queues", True)
    assert said in page() and "hush" not in page()
    engine.lines = [Queue(name="mail")]
    assert said not in page()


def test_the_overview_of_everything_tells_which_queues_are_paused(engine, browse, monkeypatch):
    for name, of in [("mail", "lines"), ("a/b", "lines"), ("password=hush", "lines"), ("theirs", "somebody else's")]:
        pauses.pause(of, name)
    make_status("started", queue="mail", engine="lines")
    client = browse()

    def line(**query: str) -> str:
        page = client.get(reverse("jobadmin:overview"), query).content.decode()
        return unescape(re.search(r'id="j-held">(.*?)</p>|$', page, re.S)[1] or "")

    shown = re.sub(r"<[^>]*>", "", line()).strip()
    assert shown == f"Paused: a/b, mail, {redact_text('password=hush')}"
    assert f'<a href="{queue_url("a/b")}">a/b</a>' in line(span="all")
    assert "hush" not in line()
    assert line(name="plan") + line(queue="mail") + line(by="failed_at") == ""

    asked: list[list[str]] = []
    pipeline = Store.pipeline

    def watched(self: Store, commands: Any, **options: Any) -> Any:
        commands = list(commands)
        asked.append([command[0] for command in commands])
        return pipeline(self, commands, **options)

    monkeypatch.setattr(Store, "pipeline", watched)
    monkeypatch.setattr(engine, "queues", lambda: pytest.fail("the engine was asked"))
    line()
    assert all("MGET" in commands for commands in asked if "HKEYS" in commands), "it came with what the page reads anyway"


def test_the_overview_of_everything_tells_how_many_jobs_wait_in_paused_queues(engine, browse):
    for name in ("a/b", "mail", "password=hush"):
        pauses.pause("lines", name)
    for queue in ("mail", "mail", "password=hush", "other"):
        make_status("queued", queue=queue, engine="lines")
    client = browse()

    def notice() -> str:
        page = client.get(reverse("jobadmin:overview")).content.decode()
        return unescape(re.search(r'<div class="j-note s-killreq" id="j-held">(.*?)</div>', page, re.S)[1])

    words = " ".join(re.sub(r"<[^>]*>", " ", notice()).split()).replace(" ,", ",")
    assert words == f"Paused: 3 jobs wait until their queue is resumed. mail 2, {redact_text('password=hush')} 1, a/b Show the queues"
    assert 'href="/admin/jobs/list/?state=queued&queue=mail&span=all"' in notice() and "hush" not in notice()

    for name in ("a/b", "password=hush"):
        pauses.resume("lines", name)
    statuses.where(queue="mail").first().killed()
    assert "Paused: 1 job waits until its queue is resumed." in notice()
    assert f'<a class="j-btn j-note__act" href="{queue_url("mail")}">Show the queue</a>' in notice()


def test_the_overview_counts_what_waits_in_a_queue_only_for_the_engines_that_paused_theirs(two, browse):
    engine, other = two
    engine.lines, other.lines = [Queue(name="default"), Queue(name="own")], [Queue(name="default")]
    for name in ("default", "own"):
        pauses.pause("lines", name)
    for of in ("lines", "others", "others"):
        make_status("queued", queue="default", engine=of)
    client = browse()

    def notice() -> str:
        page = client.get(reverse("jobadmin:overview")).content.decode()
        return unescape(re.search(r'<div class="j-note s-killreq" id="j-held">(.*?)</div>', page, re.S)[1])

    def words() -> str:
        return " ".join(re.sub(r"<[^>]*>", " ", notice()).split()).replace(" ,", ",")

    assert words() == "Paused: 1 job waits until its queue is resumed. default (lines) 1, own Show the queues"
    assert 'href="/admin/jobs/list/?state=queued&queue=default&engine=lines&span=all"' in notice()

    pauses.pause("others", "default")
    assert words() == "Paused: 3 jobs wait until their queue is resumed. default 3, own Show the queues"
    assert 'href="/admin/jobs/list/?state=queued&queue=default&span=all"' in notice()


@pytest.mark.parametrize("name", ["overview", "list"])
def test_a_page_about_a_queue_says_that_nobody_takes_from_it(engine, browse, name):
    engine.lines = [Queue(name="mail"), Queue(name="other")]
    with frozen_clock() as clock:
        for _ in range(2):
            make_status("queued", queue="mail", engine="lines")
        make_status("queued", queue="other", engine="lines")
        make_status("queued", queue="foreign", engine="that tells of no worker")
        make_status("queued", queue="password=hush", engine="lines")
        clock.tick(60)
        engine.there = [worker("w1", queues=("other",))]
        client = browse()

        def said(**query: str) -> list[str]:
            page = client.get(reverse(f"jobadmin:{name}"), query).content.decode()
            return re.findall(r"(\d+ jobs? waits? in \S+), and no living worker takes from it", page)

        assert said(queue="mail") == said(queue="ma*") == said(queue="mail", state="failed") == ["2 jobs wait in mail"]
        assert said() == said(queue="other") == said(queue="-mail") == said(queue="foreign") == []
        assert said(queue="password=hush") == [f"1 job waits in {redact_text('password=hush')}"]
        page = client.get(reverse(f"jobadmin:{name}"), {"queue": "mail"}).content.decode()
        assert f'<a class="j-btn j-note__act" href="{queue_url("mail")}">Show the queue</a>' in page
        engine.there = [worker("w1", queues=("other", "mail"))]
        assert said(queue="mail") == []


def test_the_page_of_workers_marks_what_they_take_from_and_is_paused(engine, browse):
    engine.there = [worker("w1", queues=("mail", "plan", "other"), held=("plan",))]
    pauses.pause("lines", "mail")
    pauses.pause("somebody else's", "other")

    page = browse().get(reverse("jobadmin:workers")).content.decode()

    taken = re.search(r'data-label="Takes from">(.*?)</td>', page, re.S)[1]
    assert " ".join(re.sub(r"<[^>]*>", " ", taken).split()) == "mail Paused , plan Paused , other"


def test_an_overview_that_is_open_shows_a_pause_at_its_next_look(engine, browse):
    make_status("queued", queue="mail", engine="lines")
    client, address = browse(), reverse("jobadmin:overview") + "?live=1"
    before = client.get(address, headers={"HX-Request": "true"})
    pauses.pause("lines", "mail")

    after = client.get(address, headers={"HX-Request": "true", "If-None-Match": before["ETag"]})

    assert after.status_code == 200 and "j-held" in after.content.decode()


@pytest.mark.parametrize("name", ["queues", "workers", "schedules", "operations"])
@pytest.mark.parametrize("query", [{"stat": "failed"}, {"page": "x"}], ids=["unknown", "no page"])
def test_a_parameter_that_nobody_can_read_is_said_here_too(browse, name, query):
    if name != "operations" and "page" in query:
        query = {"state": "asleep"}

    answer = browse().get(reverse(f"jobadmin:{name}"), query)

    assert answer.status_code == 400
    assert str(next(iter(query))) in answer.content.decode()


def test_an_engine_that_fails_leaves_the_pages_standing(engine, browse):
    engine.broken = True
    make_status("queued", queue="mail", engine="lines")
    client = browse()

    for name in ("queues", "workers"):
        page = client.get(reverse(f"jobadmin:{name}"))

        assert page.status_code == 200
        assert "The engine lines could not tell" in page.content.decode()
    assert not rows()["mail"].is_unserved


def test_workers_that_nobody_can_tell_of_are_not_said_to_be_none(engine, browse):
    engine.broken = True
    make_status("queued", queue="mail", engine="lines")
    client = browse()

    queues, workers, of_queue = (
        client.get(reverse(f"jobadmin:{name}"), query).content.decode()
        for name, query in (("queues", {}), ("workers", {}), ("workers", {"queue": "mail"}))
    )

    assert '<span class="is-nil" title="Not known now">–</span>' in queues
    assert fleetrows.queues().rows[0]["workers"] is None
    for page in (workers, of_queue):
        assert "Which workers there are is not known now" in page and "0 are known to be alive" in page
        assert "No worker is known" not in page and "No living worker" not in page


def test_a_worker_tells_what_it_runs_and_did(engine):
    engine.there = [worker("worker-1", running=["x"]), worker("idle")]
    job = make_status("started", queue="mail", engine="lines", job_name="mail.send")
    make_status("failed", queue="mail", engine="lines")
    make_status("succeeded", queue="mail", engine="lines")

    row = workers()["worker-1"]

    assert (row.condition, row.running, row.started, row.succeeded, row.failed) == ("busy", 1, 3, 1, 1)
    assert row.named == [job]
    assert workers()["idle"].condition == "idle"
    for number, url in [(row.running, row.running_url), (row.started, row.started_url), (row.failed, row.failed_url)]:
        assert JobFilter.from_querystring(url.partition("?")[2]).query.count() == number


def test_a_job_that_starts_while_the_page_is_read_is_not_named_beside_the_count_without_it(engine, monkeypatch):
    engine.there = [worker("worker-1")]
    make_status("started")
    name_jobs = workers_page._name_jobs

    def meanwhile(found):
        make_status("started")
        name_jobs(found)

    monkeypatch.setattr(workers_page, "_name_jobs", meanwhile)
    [row] = workers_page.read(JobFilter()).rows

    assert row.running == len(row.named) == 1


def test_a_worker_does_not_run_what_one_of_its_name_left_that_is_gone(engine, browse):
    with frozen_clock() as clock:
        left = [make_status(queue="mail", engine="lines").started("w@host") for _ in range(2)]
        clock.tick(30)
        engine.there = [worker("w@host", started_at=statuses.server_time())]
        clock.tick(30)

        idle = workers()["w@host"]
        own = make_status(queue="mail", engine="lines").started("w@host")
        row, page = workers()["w@host"], browse().get(reverse("jobadmin:workers")).content.decode()

        assert (idle.condition, idle.running, idle.left) == ("idle", 0, 2)
        assert (row.condition, row.running, row.left, row.named) == ("busy", 1, 2, [own])
        assert {job.id for job in row.left_named} == {job.id for job in left}
        for number, url in [(1, row.running_url), (2, row.left_url)]:
            assert JobFilter.from_querystring(url.partition("?")[2]).query.count() == number
        assert page.count("of a worker that is gone") == 2 and "Left behind" in page


def test_what_a_worker_says_that_it_runs_is_its_own_whatever_the_clocks_say(engine):
    with frozen_clock() as clock:
        job = make_status(queue="mail", engine="lines").started("w@host")
        engine.there = [worker("w@host", started_at=statuses.server_time() + timedelta(seconds=20), running=[job.id])]
        clock.tick(60)

        row = workers()["w@host"]

        assert (row.running, row.left, row.named) == (1, 0, [job])


def test_since_when_a_worker_is_up_leads_to_all_it_started_since(engine, browse):
    with frozen_clock() as clock:
        make_status("queued", engine="lines").started("w@host").succeeded()
        clock.tick(timedelta(minutes=5))
        engine.there = [Worker(name="w@host", started_at=statuses.server_time()), Worker(name="other@host")]
        clock.tick(timedelta(hours=5))
        done = [make_status("queued", engine="lines").started("w@host").succeeded() for _ in range(2)]
        make_status("queued", engine="lines").started("other@host").succeeded()
        clock.tick(timedelta(hours=5))
        found, page = workers(), unescape(browse().get(reverse("jobadmin:workers")).content.decode())

        assert f'href="{found["w@host"].since_url}"' in page
        assert set(JobFilter.from_querystring(found["w@host"].since_url.partition("?")[2]).query.ids()) == {job.id for job in done}
        assert found["other@host"].since_url == ""


def test_a_lost_worker_with_jobs_comes_first_and_one_that_left_none_is_forgotten_after_an_hour(engine, browse):
    long_ago = statuses.server_time() - timedelta(hours=3)
    engine.there = [
        worker("a-alive"),
        worker("worker-1", is_alive=False, seen_at=long_ago),
        worker("gone", is_alive=False, seen_at=long_ago),
        worker("just-gone", is_alive=False),
    ]
    make_status("started", queue="mail", engine="lines")

    page = browse().get(reverse("jobadmin:workers")).content.decode()

    assert list(workers()) == ["worker-1", "just-gone", "a-alive"]
    assert "The worker worker-1 is lost, and left 1 job started." in page


def test_a_worker_that_only_jobs_speak_of_is_shown_as_not_reporting(engine):
    make_status("started")

    assert workers()["worker-1"].condition == "untold"


def test_workers_can_be_narrowed_to_those_of_a_queue(engine, browse):
    engine.there = [worker("w1"), worker("w2", queues=("-other",)), worker("w3", is_alive=False)]

    page = browse().get(reverse("jobadmin:workers") + "?queue=%5C-other").content.decode()

    assert list(workers("mail")) == ["w1"]
    assert "taking from -other" in page
    assert ">w2<" in page
    assert ">w1<" not in page


def test_the_page_of_a_waiting_job_says_that_nobody_takes_it(engine, browse):
    job = make_status("queued", queue="mail", engine="lines")
    client = browse()

    without = client.get(job_url(job.id)).content.decode()
    engine.there = [worker()]

    assert "No living worker takes from mail." in without
    assert "No living worker" not in client.get(job_url(job.id)).content.decode()


@pytest.mark.parametrize("name", ["queues", "workers"])
def test_hostile_names_are_text(engine, browse, name):
    engine.there = [worker(HOSTILE, host=HOSTILE, pool=HOSTILE, queues=(HOSTILE,), is_alive=False)]
    engine.lines = [Queue(name=HOSTILE)]
    make_status("queued", queue=HOSTILE, engine="lines")
    make_status("queued", queue=HOSTILE, engine="lines", job_name=HOSTILE).started(HOSTILE)

    page = browse().get(reverse(f"jobadmin:{name}")).content.decode()

    assert "<script>alert" not in page
    assert HOSTILE[:25] in unescape(page)
    links = [unescape(link) for link in re.findall(r'href="(/admin/jobs/list/\?[^"]*)"', page)]
    assert links
    for link in links:
        JobFilter.from_querystring(link.partition("?")[2]).query.count()


@pytest.mark.parametrize("name", ["queues", "workers"])
def test_a_live_refresh_gets_what_moves(engine, browse, name):
    engine.there = [worker()]

    part = browse().get(reverse(f"jobadmin:{name}") + "?live=1", headers={"HX-Request": "true"}).content.decode()

    assert part.lstrip().startswith('<div id="j-main" data-refresh="5">')
    assert 'id="j-updated"' in part and 'hx-swap-oob="true"' in part
    assert "<html" not in part


@pytest.mark.parametrize("name", ["queues", "workers"])
def test_pages_stand_without_any_engine(browse, name):
    page = browse().get(reverse(f"jobadmin:{name}"))

    assert page.status_code == 200
    assert "known" in page.content.decode()


def test_a_queue_draws_the_last_day_in_its_row(engine):
    engine.lines = [Queue(name="mail", depth=0), Queue(name="calm", depth=0)]
    with frozen_clock() as clock:
        job = make_status("queued", queue="mail")
        sampling.sample()
        job.started()
        clock.tick(3600)
        sampling.sample()

        found = rows()

    assert found["mail"].line and found["mail"].area
    assert found["calm"].line == ""


def test_the_page_of_a_queue_draws_how_deep_it_was_and_tells_the_same_as_a_table(admin_client, engine):
    engine.lines = [Queue(name="a/b é", depth=0)]
    for _ in range(3):
        make_status("queued", queue="a/b é")
    sampling.sample()
    page = admin_client.get(reverse("jobadmin:queues")).content.decode()
    url = re.search(r'class="j-drill j-mono j-breaks" href="([^"]+)"', page)[1]

    chart = admin_client.get(url).content.decode()
    table = unescape(admin_client.get(url, {"chart": "table", "span": "30d"}).content.decode())

    assert 'id="j-depth"' in chart and "The most were 3" in chart
    assert '<th scope="row"><time' in table and ">3</td>" in table
    assert "a/b é" in table


def test_the_last_hour_of_a_queue_reaches_up_to_now(admin_client, engine):
    engine.lines = [Queue(name="mail", depth=0)]
    address = reverse("jobadmin:queue", args=["mail"]) + "?span=1h"
    with frozen_clock(datetime(2026, 11, 18, 14, 31, 7, tzinfo=UTC)) as clock:
        make_status("queued", queue="mail")
        sampling.sample()
        for _ in range(4):
            make_status("queued", queue="mail")
        clock.tick(20)

        page = unescape(admin_client.get(address).content.decode())

    drawn = json.loads(re.search(r'data-chart="(\{.*?\})"', page)[1])
    assert (len(drawn["waiting"]), drawn["step"], drawn["waiting"][-1]) == (12, 300, 5), "the last sample is 20 s old"
    assert "the last hour, the most of every 5 min; at most 5" in page


def test_a_queue_without_samples_says_so_and_one_that_never_was_is_not_found(admin_client, engine):
    engine.lines = [Queue(name="mail", depth=0)]

    page = admin_client.get(reverse("jobadmin:queue", args=["mail"])).content.decode()

    assert "No sample was taken in this time" in page
    assert admin_client.get(reverse("jobadmin:queue", args=["nothing"])).status_code == 404
    assert admin_client.get(reverse("jobadmin:queue", args=["mail"]), {"span": "1y"}).status_code == 400


def test_a_queue_in_which_nothing_happens_any_more_leads_to_the_jobs_that_were_in_it(admin_client):
    now = statuses.server_time()
    moments = {name: now - timedelta(days=3) for name in ("recorded_at", "queued_at", "started_at", "failed_at")}
    statuses.load([{"job_name": "old", "queue": "crypto/munge", "state": "failed", **moments}] * 2)

    page = admin_client.get(reverse("jobadmin:queue", args=[quote("crypto/munge")])).content.decode()

    assert "No engine tells of it any more" in page
    link = unescape(re.search(r'<a href="([^"]*)">Its 2 jobs<', page)[1])
    assert JobFilter.from_querystring(link.partition("?")[2]).query.count() == 2


def test_a_queue_that_is_gone_is_drawn_while_its_samples_are_kept(admin_client, engine):
    job = make_status("queued", queue="gone")
    sampling.sample()
    job.delete(force=True)

    page = admin_client.get(reverse("jobadmin:queue", args=["gone"])).content.decode()

    assert "No engine tells of it any more" in page and 'id="j-depth"' in page
