"""Operations carried out: what they do, that it adds up, that they survive, stop, and can be taken back."""

import re
from datetime import timedelta
from html import escape, unescape

import pytest
from django.contrib.admin.models import LogEntry
from django.db import DatabaseError
from django.urls import reverse
from django.utils import timezone

import statuses
from jobadmin import moments, runner
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.paths import job_url
from jobadmin.results import Result
from jobadmin.verbs import KILL, KILL_NOW, REMOVE, RETRY
from statuses.engines import registry
from statuses.engines.base import Worker
from statuses.testing import make_status

from .engines import toy_engine
from .test_bulk import confirm, some

pytestmark = pytest.mark.usefixtures("store")


class Picky:
    """An engine that sends jobs again, but for some; keeps whom it was asked for."""

    name = "picky"
    can_kill = can_kill_queued = can_retry = True
    has_workers = has_queues = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: set[str] = set()

    def retry(self, status, by=None):
        self.asked.append(status.id)
        if status.id in self.refuses:
            raise statuses.EngineCannot(status.id, self.name, "retry", "not today")
        return status.requeued()

    def kill(self, status) -> None:
        self.asked.append(status.id)

    def revoke(self, status) -> None:
        pass


@pytest.fixture
def engine(monkeypatch) -> Picky:
    """A registered engine of the test's own."""
    made = Picky()
    monkeypatch.setattr(registry, "all", lambda: [made])
    monkeypatch.setattr(registry, "get", lambda name: made if name == made.name else None)
    return made


def small_batches(monkeypatch, verb, size: int = 2) -> None:
    """Batches of a few jobs, so that there are several of them."""
    monkeypatch.setattr(type(verb), "batch", property(lambda self: size))


def ran(client, action: str, query: str = "span=all", **fields) -> Operation:
    """Confirmed and carried out."""
    confirm(client, action, query, **fields)
    runner.run_pending()
    return Operation.objects.latest("pk")


def test_a_kill_ends_what_waits_and_asks_what_runs(browse) -> None:
    some(queued=2, unqueued=1, started=1, unknown=1, succeeded=2)

    operation = ran(browse(), "kill", reason="deploy")

    assert operation.state == "done"
    assert operation.by_reason == {"killed": 3, "requested": 2}
    assert (operation.announced, operation.done, operation.changed) == (5, 5, 5)
    started = statuses.where(state="started").first()
    assert started.kill_requested_by == "marta" and started.kill_reason == "deploy"
    assert statuses.all().counts()["killed"] == 3


def test_an_operation_on_one_job_speaks_of_one(browse) -> None:
    some(queued=1, failed=1)
    client = browse()
    killed, removed = ran(client, "kill", "span=all&state=queued"), ran(client, "remove", "span=all&state=failed", typed="1")

    def page(operation: Operation) -> str:
        return client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()

    assert "Show the one it changed<" in page(killed)
    assert "The job can be brought back until" in page(removed)


def changed_by(client, operation: Operation) -> JobFilter:
    """The filter that the number done on the page of an operation leads to."""
    text = client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()
    link = unescape(re.search(r'<dd><a href="([^"]*)" title="Those of its filter', text)[1])
    assert client.get(link).status_code == 200
    assert f'<a href="{escape(link)}">Show the {operation.changed} it changed</a>' in text
    assert f'href="{escape(link)}"' in client.get(reverse("jobadmin:operations")).content.decode()
    return JobFilter.from_querystring(link.partition("?")[2])


def test_what_a_kill_by_filter_asked_can_be_listed_whatever_became_of_it(browse) -> None:
    some(queued=2, succeeded=1)
    before = make_status("started", job_name="before").request_kill(by="ops")
    running = make_status("started")
    client = browse()

    operation = ran(client, "kill", "span=all&state=queued&state=started")
    running.killed()
    later = make_status("queued").request_kill(by="ops")
    asked = changed_by(client, operation)

    assert operation.changed == 3 and asked.query.count() == 3
    assert not {before.id, later.id} & set(asked.query.ids())


def test_what_a_retry_by_filter_sent_again_can_be_listed_whatever_became_of_it(browse, engine) -> None:
    facts = {"engine": engine.name, "error": ValueError("no")}
    first, second, refused = (make_status("failed", **facts) for _ in range(3))
    others = [make_status("failed", engine=engine.name), make_status("failed", queue="bulk", **facts)]
    engine.refuses = {refused.id}
    client = browse()

    operation = ran(client, "retry", "span=24h&by=failed_at&state=failed&error=ValueError*&worker=worker-1&queue=-bulk")
    first.reload().started(worker="worker-2").succeeded()
    others.append(make_status("queued", engine=engine.name))
    sent = changed_by(client, operation)

    assert operation.changed == 2
    assert set(sent.query.ids()) == {first.id, second.id}
    assert [chip.words for chip in sent.chips] == [f"Retry {operation.pk}"]
    assert sent.with_(state="succeeded").query.ids() == [first.id]


def test_what_was_sent_again_while_somebody_still_read_the_question_is_not_listed(browse, engine) -> None:
    now = statuses.server_time()

    def failed(*, hours_ago: float) -> dict:
        moments = dict.fromkeys(("queued_at", "started_at", "failed_at"), now - timedelta(hours=hours_ago))
        return {"job_name": "old", "engine": engine.name, "state": "failed", "recorded_at": now - timedelta(hours=5), **moments}

    statuses.load([failed(hours_ago=4), failed(hours_ago=4)])
    client = browse()
    operation = ran(client, "retry", "span=all&state=failed")
    operation.plan["at"] = (now - timedelta(hours=3)).isoformat()
    operation.save()
    statuses.load([failed(hours_ago=2)])

    assert changed_by(client, operation).query.count() == operation.changed == 2


def test_what_an_operation_changed_is_asked_for_like_everything_else(browse, engine) -> None:
    some(engine.name, queued=2)
    client = browse()
    killed = ran(client, "kill", "span=all&state=queued")
    asked = f"span=all&operation={killed.pk}"

    pages = {
        path: client.get(reverse(f"jobadmin:{path}") + f"?{asked}").status_code for path in ("list", "overview", "names", "export_csv")
    }
    sent = ran(client, "retry", asked)
    removed = ran(client, "remove", "span=all&state=killed", typed="0")
    number = killed.pk
    killed.delete()
    page = client.get(reverse("jobadmin:operation", args=[sent.pk])).content.decode()

    assert set(pages.values()) == {200}
    assert sent.changed == 2 and f"Changed during Request kill {number} · " in page
    for wrong in (number, removed.pk, "9" * 30, "-1", "x"):
        assert client.get(reverse("jobadmin:list") + f"?operation={wrong}").status_code == 400, wrong


def test_the_result_adds_up_when_jobs_end_or_vanish_meanwhile(browse) -> None:
    some(queued=5)
    confirm(browse(), "kill")
    first, second, third = statuses.all().run()[:3]
    first.started().succeeded()
    second.started().failed()
    third.delete(force=True)

    runner.run_pending()

    operation = Operation.objects.get()
    assert operation.by_reason["killed"] == 2
    assert sum(operation.by_reason.values()) == operation.announced == operation.done == 5
    assert operation.changed + operation.skipped + operation.missing == 5


def test_what_left_the_set_before_its_batch_is_counted_too(browse, monkeypatch) -> None:
    small_batches(monkeypatch, KILL)
    some(queued=6)
    confirm(browse(), "kill")
    operation, lease = runner.take()
    work = runner.Work(operation, lease)
    count = work._count

    def count_then_end(changed) -> None:
        count(changed)
        if operation.done == 2:
            statuses.where(state="queued").first().started().succeeded()

    monkeypatch.setattr(work, "_count", count_then_end)
    work.run()

    operation.refresh_from_db()
    assert operation.by_reason == {"killed": 5, "moved": 1}
    assert (operation.changed, operation.skipped, operation.missing) == (5, 1, 0)


def test_what_an_engine_cannot_do_is_passed_over_once(browse, engine, monkeypatch) -> None:
    small_batches(monkeypatch, RETRY)
    some(failed=7, engine="picky")
    refused = set(statuses.all().ids()[1:4])
    engine.refuses = refused

    operation = ran(browse(), "retry")

    assert operation.by_reason == {"retried": 4, "cannot": 3}
    assert sorted(engine.asked) == sorted(statuses.all().ids())
    assert Result(operation).why_not == "not today"


def test_a_removal_spares_what_has_not_ended_and_can_be_taken_back(browse) -> None:
    some(succeeded=3, failed=2, started=1)
    client = browse()

    operation = ran(client, "remove", typed="5")

    assert operation.by_reason == {"removed": 5}
    assert statuses.all().count() == 1
    assert operation.undo_token and operation.undo_until > timezone.now()

    client.post(reverse("jobadmin:operation_undo", args=[operation.pk]))
    runner.run_pending()

    restored = Operation.objects.latest("pk")
    assert (restored.action, restored.state, restored.changed) == ("restore", "done", 5)
    assert restored.by_reason == {"restored": 5}
    assert statuses.all().counts()["failed"] == 2
    operation.refresh_from_db()
    assert operation.undone_at


def test_the_list_says_which_removals_can_be_taken_back_and_which_were(browse) -> None:
    some(succeeded=3)
    client = browse()
    operation = ran(client, "remove", typed="3")

    def state(client=client) -> str:
        page = client.get(reverse("jobadmin:operations")).content.decode()
        return re.sub(r"<[^>]*>", "", re.search(rf'id="operation-row-{operation.pk}".*?>(Done[^<]*.*?)</td>', page, re.S)[1])

    assert re.fullmatch(r"Done Undo until \d\d:\d\d", state())
    assert state(browse("view_job", name="ines")) == "Done", "who may not take it back is offered nothing"
    client.post(reverse("jobadmin:operation_undo", args=[operation.pk]))
    assert state() == "Done, taken back"
    Operation.objects.update(undone_at=None, undo_until=timezone.now() - timedelta(seconds=1))
    assert state() == "Done"


def test_an_operation_on_one_job_leads_to_it_unless_it_removed_it(browse) -> None:
    kept, gone = make_status("failed", engine="nobody"), make_status("succeeded")
    client = browse()
    for job, action in ((kept, "kill"), (gone, "remove")):
        client.post(reverse("jobadmin:job_action", args=[job.id, action]), {"confirmed": "yes"})

    page = client.get(reverse("jobadmin:operations")).content.decode()

    assert f'<a class="j-mono" href="{job_url(kept.id)}">{kept.id}</a>' in page
    assert gone.id in page and job_url(gone.id) not in page


def test_a_removal_of_several_batches_comes_back_whole(browse, monkeypatch) -> None:
    small_batches(monkeypatch, REMOVE)
    some(succeeded=7)
    client = browse()

    operation = ran(client, "remove", typed="7")
    client.post(reverse("jobadmin:operation_undo", args=[operation.pk]))
    runner.run_pending()

    assert operation.by_reason == {"removed": 7}
    assert Operation.objects.latest("pk").changed == 7
    assert statuses.all().count() == 7


def test_a_removal_is_taken_back_once_and_in_time(browse) -> None:
    some(succeeded=1)
    client = browse()
    operation = ran(client, "remove", typed="1")
    undo = reverse("jobadmin:operation_undo", args=[operation.pk])

    Operation.objects.update(undo_until=timezone.now() - timedelta(seconds=1))
    client.post(undo)
    assert Operation.objects.count() == 1

    Operation.objects.update(undo_until=timezone.now() + timedelta(minutes=1))
    client.post(undo)
    client.post(undo)
    assert Operation.objects.filter(action="restore").count() == 1


def test_no_more_than_announced_is_ever_touched(browse) -> None:
    some(failed=2)
    confirm(browse(), "remove", typed="2")
    make_status("failed")

    runner.run_pending()

    assert Operation.objects.get().changed == 2
    assert statuses.all().count() == 1


def test_jobs_that_started_anew_are_not_removed(browse) -> None:
    some(failed=2)
    confirm(browse(), "remove", typed="2")
    job = statuses.all().first()
    job.started()

    runner.run_pending()

    assert Operation.objects.get().by_reason == {"removed": 1, "moved": 1}
    assert statuses.find(job.id).is_started


def test_one_process_takes_an_operation_and_no_other(browse) -> None:
    some(queued=1)
    confirm(browse(), "kill")

    assert runner.take() is not None
    assert runner.take() is None


def test_an_operation_whose_process_died_is_finished_by_another(browse, monkeypatch) -> None:
    small_batches(monkeypatch, KILL)
    some(queued=5)
    confirm(browse(), "kill")
    work = runner.Work(*runner.take())
    work._take_over()
    work._batch("0", work._parts()[0], 2)
    assert Operation.objects.get().done == 2
    Operation.objects.update(heartbeat_at=timezone.now() - runner.LEASE * 2)

    assert runner.run_pending() == 1

    operation = Operation.objects.get()
    assert operation.state == "done"
    assert operation.by_reason == {"killed": 5}


def test_what_a_dying_process_did_not_count_is_told_apart(browse, engine) -> None:
    some(failed=4, engine="picky")
    confirm(browse(), "retry")
    work = runner.Work(*runner.take())
    work._take_over()
    work._parts()[0].limit(3).retry_all()  # done in the store, and then the process dies
    Operation.objects.update(heartbeat_at=timezone.now() - runner.LEASE * 2, done=2)  # it had shown two of them as progress

    runner.run_pending()

    operation = Operation.objects.get()
    assert operation.by_reason == {"lost": 3, "retried": 1}
    assert (operation.changed, operation.skipped) == (4, 0)
    assert sorted(engine.asked) == sorted(statuses.all().ids())


def test_who_lost_the_lease_lets_go(browse) -> None:
    some(queued=2)
    confirm(browse(), "kill")
    operation, lease = runner.take()
    Operation.objects.update(heartbeat_at=timezone.now() + timedelta(seconds=5))

    runner.Work(operation, lease).run()

    assert Operation.objects.get().state == "running"
    assert statuses.all().counts()["queued"] == 2


def stopped_at_its_first_batch(client, monkeypatch) -> None:
    """A kill of six is carried out, and somebody asks it to stop before what came of its first batch is counted."""
    some(queued=6)
    confirm(client, "kill")
    operation, lease = runner.take()
    work = runner.Work(operation, lease)
    count = work._count

    def stop_then_count(changed) -> None:
        client.post(reverse("jobadmin:operation_stop", args=[operation.pk]))
        count(changed)

    monkeypatch.setattr(work, "_count", stop_then_count)
    work.run()


def test_stopping_ends_it_after_the_batch_and_counts_the_rest(browse, monkeypatch) -> None:
    small_batches(monkeypatch, KILL)

    stopped_at_its_first_batch(browse(), monkeypatch)

    stopped = Operation.objects.get()
    assert stopped.state == "stopped"
    assert stopped.by_reason == {"killed": 2, "stopped": 4}
    assert Result(stopped).again == 4


def test_one_that_was_asked_to_stop_at_its_last_batch_is_done(browse, monkeypatch) -> None:
    stopped_at_its_first_batch(browse(), monkeypatch)

    done = Operation.objects.get()
    assert (done.state, done.changed, done.by_reason) == ("done", 6, {"killed": 6})


def test_what_still_waits_is_stopped_at_once(browse) -> None:
    some(queued=2)
    client = browse()
    confirm(client, "kill")

    client.post(reverse("jobadmin:operation_stop", args=[Operation.objects.get().pk]))

    operation = Operation.objects.get()
    assert (operation.state, operation.skipped) == ("stopped", 2)
    assert runner.run_pending() == 0


def test_a_store_that_is_away_is_waited_for(browse, monkeypatch) -> None:
    some(queued=1)
    confirm(browse(), "kill")
    taken = runner.take()
    tries = []

    def away_at_first(work):
        tries.append(1)
        if len(tries) < 3:
            raise statuses.StoreUnavailable("unix://gone", "no reply")
        return original(work)

    original = runner.Work._parts
    monkeypatch.setattr(runner.Work, "_parts", away_at_first)
    told = []
    runner.Work(*taken, pause=lambda seconds: told.append(Operation.objects.get().error)).run()

    assert told == ["Redis does not answer. This goes on when it is back."] * 2
    operation = Operation.objects.get()
    assert (operation.state, operation.error, operation.changed) == ("done", "", 1)


def test_a_database_that_refuses_leaves_it_for_later(browse, monkeypatch) -> None:
    some(queued=2)
    confirm(browse(), "kill")
    with monkeypatch.context() as refusing:
        refusing.setattr(runner.Work, "_count", lambda work, changed: (_ for _ in ()).throw(DatabaseError("locked")))
        runner.run_pending()
    assert Operation.objects.get().state == "running"

    Operation.objects.update(heartbeat_at=timezone.now() - runner.LEASE * 2)
    runner.run_pending()

    operation = Operation.objects.get()
    assert (operation.state, operation.by_reason) == ("done", {"lost": 2})


def test_a_failure_ends_it_and_says_what_was_not_reached(browse, monkeypatch) -> None:
    some(queued=3)
    confirm(browse(), "kill")
    monkeypatch.setattr(runner.Work, "_batch", lambda *anything: 1 / 0)

    runner.run_pending()

    operation = Operation.objects.get()
    assert (operation.state, operation.error) == ("failed", "ZeroDivisionError")
    assert operation.by_reason == {"failed": 3}


def test_the_second_try_leads_to_the_question(browse, monkeypatch) -> None:
    some(queued=3)
    client = browse()
    confirm(client, "kill")
    monkeypatch.setattr(runner.Work, "_batch", lambda *anything: 1 / 0)
    runner.run_pending()

    answer = client.post(reverse("jobadmin:operation_again", args=[Operation.objects.get().pk]))

    assert answer.status_code == 302
    assert client.get(answer.url).context["plan"].changes == 3


def test_kill_now_reaches_each_running_job_once(browse, engine, monkeypatch) -> None:
    small_batches(monkeypatch, KILL_NOW)
    some(started=5, engine="picky")
    some(started=2, queued=1)

    operation = ran(browse(), "kill-now", typed="6")

    assert operation.by_reason == {"killed": 1, "requested": 5}
    assert len(engine.asked) == len(set(engine.asked)) == 5


def test_kill_now_leaves_out_what_runs_at_a_worker_that_cannot_end_it(browse) -> None:
    with toy_engine() as toy:
        toy.there = [Worker(name="threads@host", refuses={"kill": "it runs jobs in threads"}), Worker(name="prefork@host")]
        stuck = [make_status("queued", engine="toy").started("threads@host") for _ in range(3)]
        ends = make_status("queued", engine="toy").started("prefork@host")
        client = browse()

        page = client.get(reverse("jobadmin:bulk", args=["kill-now"]), {"span": "all"}).content.decode()
        operation = ran(client, "kill-now", typed="1")

        assert "Kill 1 of 4 jobs now?" in page and "Skipped: started, at a worker that cannot" in page
        assert (toy.killed, operation.by_reason) == ([ends.id], {"requested": 1})
        assert not any(status.reload().kill_requested for status in stuck)


def test_a_retry_leaves_out_what_was_queued_again_since(browse, monkeypatch) -> None:
    from jobadmin import verbs

    monkeypatch.setattr(verbs, "able_engines", lambda capability: ["none"])
    first, second = make_status("failed", engine="none"), make_status("failed", engine="none")
    at = statuses.server_time()
    first.requeued().started().failed()

    parts = verbs.RETRY.settled(statuses.all(), at)

    assert [job.id for part in parts for job in part] == [second.id]


def test_the_page_shows_progress_then_the_result_and_stops_looking(browse) -> None:
    some(queued=2)
    client = browse()
    confirm(client, "kill")
    url = reverse("jobadmin:operation", args=[Operation.objects.get().pk])

    before = client.get(url).content.decode()
    runner.run_pending()
    after = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert 'id="j-on-record" hx-swap-oob="true"' in after

    assert "Requesting kill for 2 jobs" in before and 'hx-trigger="every 1s"' in before
    assert "Kill requested for 2 jobs" in after and "hx-trigger" not in after
    assert "<html" not in after


def test_without_script_the_page_looks_again_while_it_runs(browse) -> None:
    client, running = browse(), Operation.objects.create(action="kill", state="running", announced=5, done=2)
    again = '<noscript><meta http-equiv="refresh" content="5"></noscript>'

    def head() -> str:
        return client.get(reverse("jobadmin:operation", args=[running.pk])).content.decode().partition("</head>")[0]

    while_running = head()
    Operation.objects.update(state="done")

    assert again in while_running
    assert again not in head()


def test_while_asked_jobs_run_on_the_page_looks_now_and_then(browse) -> None:
    some(started=2)
    client = browse()
    operation = ran(client, "kill")
    url = reverse("jobadmin:operation", args=[operation.pk])

    running = client.get(url).content.decode()
    statuses.where(state="started").first().killed()
    one_left = client.get(url).content.decode()
    statuses.where(state="started").first().killed()
    ended = client.get(url).content.decode()

    assert "Show the 2 that still run<" in running and "Show the one that still runs<" in one_left
    assert "0 have ended, 2 still run" in running and "every 5s" in running
    assert "1 has ended, 1 still runs" in one_left
    assert "2 have ended, 0 still run" in ended and 'hx-trigger="every' not in ended.split("operation-")[1]


def test_every_operation_is_in_the_list_and_in_the_log_of_the_admin(browse) -> None:
    some(queued=1)

    operation = ran(browse(), "kill", reason="<b>because</b>")

    text = browse("view_job", name="ines").get(reverse("jobadmin:operations")).content.decode()
    assert f'id="operation-row-{operation.pk}"' in text
    assert "marta" in text and "127.0.0.1" in text
    assert "&lt;b&gt;because" in text and "<b>because" not in text
    entry = LogEntry.objects.get()
    assert entry.user.username == "marta" and f"operation {operation.pk}" in entry.change_message


def test_the_list_says_which_jobs_in_the_language_of_who_looks(browse) -> None:
    some(queued=4)
    picked = "&".join(f"id={job.id}" for job in list(statuses.all())[:2])
    client = browse()
    ran(client, "kill", f"span=all&{picked}")
    last = ran(client, "kill", "span=all&state=queued&user=-nobody")

    def pages(language: str) -> list[str]:
        addresses = reverse("jobadmin:operations"), reverse("jobadmin:operation", args=[last.pk])
        return [client.get(address, headers={"Accept-Language": language}).content.decode() for address in addresses]

    english, german = pages("en"), pages("de")
    assert "2 selected jobs" in english[0] and "2 ausgewählte Jobs" in german[0] and "selected" not in german[0]
    for one, other in zip(english, german, strict=True):
        assert "State Queued" in one and "not nobody" in one
        assert "Status Eingereiht" in other and "nicht nobody" in other and "State Queued" not in other


def test_what_is_kept_of_an_operation_is_said_where_its_filter_cannot_be_read(browse) -> None:
    Operation.objects.create(action="retry", username="marta", state="done", filter="colour=red", description="red jobs, password=hush")

    text = browse().get(reverse("jobadmin:operations")).content.decode()

    assert "red jobs" in text and "hush" not in text


def test_older_operations_do_not_shift_while_others_begin(browse) -> None:
    def began(number: int) -> None:
        Operation.objects.bulk_create(Operation(action="retry", username="marta", state="done") for _ in range(number))

    def shown(text: str) -> list[int]:
        return [int(pk) for pk in re.findall(r'id="operation-row-(\d+)"', text)]

    began(120)
    client, url = browse(), reverse("jobadmin:operations")
    first = client.get(url, {"action": "retry"}).content.decode()
    older = unescape(re.search(r'href="(\?page=2[^"]*)"', first)[1])
    began(3)
    second = client.get(url + older).content.decode()
    newest = Operation.objects.latest("pk").pk

    assert (shown(first)[0], shown(second)[0]) == (newest - 3, newest - 53)
    assert shown(first)[-1] == shown(second)[0] + 1
    assert "of 120" in second and 'href="?action=retry"' in second
    third = client.get(url + unescape(re.search(r'href="(\?page=3[^"]*)"', second)[1])).content.decode()
    assert shown(third)[0] == shown(second)[-1] - 1 and re.search(r'href="\?page=2[^"]*upto=', third)
    assert client.get(url, {"upto": "<b>"}).status_code == 400


def test_two_users_or_actions_are_refused_for_the_first_would_not_count(browse) -> None:
    client, url = browse(), reverse("jobadmin:operations")

    assert client.get(f"{url}?user=marta&user=ines").status_code == 400
    assert client.get(f"{url}?action=kill&action=retry").status_code == 400
    assert client.get(f"{url}?action=kill&action=kill").status_code == 200


def test_a_look_at_the_list_costs_nothing_until_an_operation_begins_moves_or_ends(browse, monkeypatch) -> None:
    client, url = browse(), reverse("jobadmin:operations") + "?live=1"
    at = moments.now()
    monkeypatch.setattr(moments, "now", lambda: at)  # what the page says of times is written anew each minute

    def look(tag: str = "") -> tuple[int, str, str]:
        answer = client.get(url, headers={"HX-Request": "true", "If-None-Match": tag})
        return answer.status_code, answer.headers["ETag"], answer.content.decode()

    _, empty, _ = look()
    assert look(empty)[0] == 304
    running = Operation.objects.create(action="retry", username="marta", state="running", announced=4)
    status, begun, text = look(empty)
    assert status == 200 and f'id="operation-row-{running.pk}"' in text and 'id="j-updated"' in text and "<html" not in text
    Operation.objects.filter(pk=running.pk).update(done=1, changed=1)
    status, moved, _ = look(begun)
    assert status == 200 and look(moved)[0] == 304
    Operation.objects.filter(pk=running.pk).update(state="done")
    assert look(moved)[0] == 200


def test_the_head_tells_of_an_operation_under_way(browse) -> None:
    some(queued=2)
    client = browse()
    confirm(client, "kill")
    pk = Operation.objects.get().pk
    toast = f"{reverse('jobadmin:operation', args=[pk])}?part=toast"

    listed = client.get(reverse("jobadmin:list")).content.decode()
    running = client.get(toast, headers={"HX-Request": "true"}).content.decode()
    runner.run_pending()
    over = client.get(toast, headers={"HX-Request": "true"}).content.decode()

    assert "Bulk kill" in listed and "Bulk kill" in running and "every 1s" in running
    assert "Kill requested for 2 jobs" in over and "hx-trigger" not in over


@pytest.mark.parametrize("act", ["stop", "undo", "again"])
def test_acting_takes_the_right_of_the_verb_and_a_post(browse, act: str) -> None:
    some(succeeded=1)
    operation = ran(browse(), "remove", typed="1")
    url = reverse(f"jobadmin:operation_{act}", args=[operation.pk])

    assert browse("view_job", "kill_job", name="ines").post(url).status_code == 403
    assert browse(name="otto").get(url).status_code == 405


def test_an_operation_nobody_made_is_not_found(browse) -> None:
    answer = browse().get(reverse("jobadmin:operation", args=[4711]))

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_an_operation_whose_filter_nobody_can_read_any_more_is_still_shown(browse) -> None:
    kept = Operation.objects.create(
        action="kill", username="ines", filter="step=3&span=all", description="step 3", announced=1, state="done"
    )

    page = browse().get(reverse("jobadmin:operation", args=[kept.pk]))

    assert page.status_code == 200 and "step 3" in page.content.decode()
