"""The overview and the pages behind it: every number is exact, links to exactly those jobs, and holds hostile text."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html import unescape
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client
from django.urls import reverse, set_script_prefix

import statuses
from jobadmin import panels, suggestions
from jobadmin.filters import JobFilter
from jobadmin.formats import BREAK
from jobadmin.panels import Reading, causes
from jobadmin.paths import job_url, quote
from jobadmin.tokens import Token
from jobadmin.views import facets
from statuses import State, resource, resourcetexts
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.engines import toy_engine

pytestmark = pytest.mark.usefixtures("store")

NASTY = """<img src=x onerror=alert(1)>"'&{{ 7|add:1 }}"""
NOW = datetime(2026, 11, 19, 14, 32, 7, tzinfo=UTC)


def fail(name: str, message: str = "no such book") -> None:
    make_status("failed", job_name=name, queue="bulk", user="ines", job_args={"book": "Book:53"}, error=ValueError(message))


@pytest.fixture
def some():
    """A dozen jobs of three names, some of which failed."""
    with frozen_clock(NOW - timedelta(hours=3)) as clock:
        for n in range(6):
            make_status("succeeded", job_name="mail.send", queue="default")
            clock.tick(60)
            if n % 2:
                fail("plan.rebuild")
        make_status("queued", job_name="mail.send")
        make_status("started", job_name="index.book").request_kill(by="marta")
        make_status("killed", job_name="index.book")
        clock.tick(timedelta(hours=1))
        yield clock


def text_of(response, id: str) -> str:
    """What stands in the element with this id, up to the next id, without tags."""
    part = response.content.decode().split(f'id="{id}"', 1)[1].split(' id="', 1)[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", part)).split())


def listed(url: str) -> int:
    """How many jobs the filter of a link to the list finds."""
    path, _, query = unescape(url).partition("?")
    assert path == reverse("jobadmin:list")
    return JobFilter.from_querystring(query).query.count()


def test_tiles_tell_counts_and_shares(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview"))

    assert page.status_code == 200
    assert "12 of 12 jobs" in text_of(page, "j-count")
    assert "Succeeded 6 50.0 %" in text_of(page, "j-tile-succeeded")
    assert "Failed 3 25.0 %" in text_of(page, "j-tile-failed")
    assert "Kill requested 1 of 2" in text_of(page, "j-tile-kill_requested")
    assert "Unknown 0 0 %" in text_of(page, "j-tile-unknown")


@pytest.mark.parametrize(
    "query", ["", "name=mail.*", "state=failed&state=killed", "queue=-bulk", "span=24h&by=ended_at", "resource=Book:53"]
)
def test_every_number_links_to_exactly_those_jobs(browse, some, query):
    page = browse("view_job").get(reverse("jobadmin:overview") + f"?{query}&chart=table").content.decode()

    links = re.findall(r'<a[^>]* href="(/admin/jobs/list/\?[^"]*)"[^>]*>(?:<span class="j-withbar">)?([\d,]+)\b(?! *min| *s| *ms|\.)', page)
    assert len(links) >= 6
    for url, number in links:
        assert listed(url) == int(number.replace(",", "")), url


def test_errors_link_to_the_jobs_of_their_group(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview")).content.decode()

    url, number = re.search(r'href="(/admin/jobs/list/\?error=[^"]*)".*?j-errors__n">(\d+)<', page).groups()
    assert listed(url) == int(number) == 3
    assert "no such book" in page


def test_errors_of_some_states_lead_to_the_jobs_in_those_states(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview"), {"state": "failed", "queue": "bulk"}).content.decode()

    url = re.search(r'<li><a class="j-cut j-mono" href="([^"]*)"', page)[1]
    assert "state=failed" in url
    assert "queue=bulk" in url
    assert listed(url) == 3


def test_a_group_of_errors_tells_where_it_was_raised_and_can_be_retried_by_who_may(browse, some):
    def boom():
        raise LookupError("gone")

    with pytest.raises(LookupError), statuses.track("mail.send"):
        boom()

    url = reverse("jobadmin:overview")
    page, without = browse().get(url).content.decode(), browse("view_job", name="looker").get(url).content.decode()

    assert "test_overview.py:boom" in re.search(r'<span class="j-errors__place j-cut"[^>]*>([^<]*)<', page)[1]
    retry = re.search(r'<a [^>]*j-errors__retry" href="([^"]*)"', page)[1]
    assert retry.startswith("/admin/jobs/bulk/retry/?error=")
    assert browse(name="third").get(unescape(retry)).status_code == 200
    assert "j-errors__retry" not in without


def test_tiles_look_past_the_states_that_are_asked_for(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview"), {"state": "failed"})

    assert "3 of 12 jobs" in text_of(page, "j-count")
    assert "Succeeded 6 50.0 %" in text_of(page, "j-tile-succeeded")
    assert 'href="/admin/jobs/?state=failed&amp;state=succeeded"' in page.content.decode()


def test_changes_are_against_the_period_before(browse, some):
    some.tick(timedelta(hours=20))
    for _ in range(4):
        fail("plan.rebuild")

    page = browse("view_job").get(reverse("jobadmin:overview"), {"span": "15m"})

    assert "up 4 against the 15 minutes before" in text_of(page, "j-tile-failed")


def test_changes_against_a_period_that_the_store_has_seen_in_part_are_not_told(browse, some):
    client, url = browse("view_job"), reverse("jobadmin:overview") + "?span=24h"
    some.tick(timedelta(hours=30))
    for _ in range(4):
        fail("plan.rebuild")

    young = client.get(url)
    statuses.load([{"id": "old", "state": "succeeded", "recorded_at": NOW - timedelta(days=9)}])
    old = client.get(url)

    assert "against" not in text_of(young, "j-tile-failed")
    assert "up 1 against the 24 hours before" in text_of(old, "j-tile-failed")


def test_names_are_ranked_over_all_of_them_not_over_the_ten_that_are_shown(browse, some):
    for n in range(12):
        for _ in range(9):
            make_status("succeeded", job_name=f"busy.{n:02}")

    page = browse("view_job").get(reverse("jobadmin:overview"), {"rank": "-failed"}).content.decode().replace(BREAK, "")

    assert re.search(r'<th role="rowheader" scope="row"><a [^>]*>([^<]*)</a>', page)[1] == "plan.rebuild"
    assert 'aria-sort="descending"><a class="j-sort" id="j-rank-failed"' in page


def names_of(client: Client, view: str, **params: Any) -> list[tuple[str, str, str]]:
    """Name, total and 95th percentile of every row of the table of names."""
    html = client.get(reverse(f"jobadmin:{view}"), params).content.decode().replace(BREAK, "")
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in html.partition('<tbody role="rowgroup">')[2].split("</tr>")[:-1]]
    return [(row[0], row[1], " ".join(row[-2:])) for row in rows if row]


def test_how_long_a_name_takes_is_told_although_few_of_its_many_jobs_have_run(browse):
    for n in range(10):
        for _ in range(2):
            make_status("succeeded", job_name=f"done.{n}")
    for _ in range(3):
        make_status("queued", job_name="waits")
    make_status("succeeded", job_name="waits")

    for view in ("overview", "names"):
        name, total, p95 = names_of(browse("view_job", name=view), view)[0]
        assert (name, total) == ("waits", "4") and p95[0].isdigit(), p95


def test_the_names_of_an_error_are_ranked_over_all_of_them(browse):
    for n in range(10):
        make_status("killed", job_name=f"killed.{n}", error=ValueError("no"))
        fail(f"killed.{n}")
    fail("always")
    group = statuses.all().counts_by("error")[0].value

    assert names_of(browse("view_job"), "errors", error=group, rank="-failure")[0][0] == "always"


@pytest.mark.parametrize("view", ["overview", "names"])
def test_the_counts_of_a_name_make_its_total(browse, some, view):
    client, url = browse("view_job"), reverse(f"jobadmin:{view}")

    def columns() -> list[str]:
        return re.findall(r'id="j-rank-(\w+)"', client.get(url).content.decode())

    assert columns() == ["name", "total", "queued", "started", "succeeded", "failed", "killed", "failure", "p95"]
    make_status("unqueued", job_name="mail.send")
    make_status("unknown", job_name="mail.send")
    text = client.get(url, {"rank": "-unknown"}).content.decode()

    assert columns() == ["name", "total", "unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown", "failure", "p95"]
    first = re.search(r'<tbody.*?<tr role="row">(.*?)</tr>', text, re.DOTALL)[1]
    numbers = [int(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r'<td role="cell" class="j-num"[^>]*>(.*?)</td>', first)[:8]]
    assert "mail.send" in first and numbers[0] == sum(numbers[1:]) == 9 and numbers[1] == numbers[7] == 1


@pytest.mark.parametrize("view", ["overview", "names"])
def test_a_column_that_is_shown_stays_when_a_look_finds_its_last_job_gone(browse, some, view):
    client, url = browse("view_job"), reverse(f"jobadmin:{view}")
    waiting, lost = make_status("unqueued", job_name="mail.send"), make_status("unknown", job_name="mail.send")
    hold = re.search(r'data-hold="([^"]*)"', client.get(url).content.decode())[1]
    waiting.queued()
    lost.queued()

    def columns(**params: str) -> list[str]:
        return re.findall(r'id="j-rank-(\w+)"', client.get(url, params, headers={"HX-Request": "true"}).content.decode())

    assert columns(live="1", **dict(parse_qsl(hold))) == [
        "name", "total", "unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown", "failure", "p95",
    ]  # fmt: skip
    assert "unqueued" not in columns(live="1") and "unqueued" not in columns(kept="unqueued")


def test_the_page_of_an_error_shows_its_traceback_as_the_page_of_a_job_does_and_no_secret(browse):
    text = """Traceback (most recent call last):
  File "/app/.venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/planning/tasks.py", line 118, in recalculate
    connect(password="hunter22")
ValueError: no such <book>"""
    make_status("failed", job_name="plan", error={"class": "ValueError", "message": "no such <book>", "traceback": text, "frames": []})
    group = statuses.all().counts_by("error")[0].value

    page = browse("view_job").get(reverse("jobadmin:errors"), {"error": group}).content.decode()

    assert '<div class="err">ValueError: no such &lt;book&gt;&#8203;</div>' in page
    assert '<span class="hot">connect(password=' in page and "hunter22" not in page
    assert '<details class="j-fold"><summary><span class="dim">… 1 frame inside celery, </span>' in page
    assert "jobadmin/job.css" in page


def test_one_page_asks_once_for_its_report_and_the_one_about_the_period_before(browse, some, monkeypatch):
    asked, real = [], statuses.together
    monkeypatch.setattr(statuses, "together", lambda *what: asked.append(what) or real(*what))

    client, url = browse("view_job"), reverse("jobadmin:overview")
    some.tick(timedelta(days=8))
    make_status("failed", job_name="plan.rebuild")
    statuses.load([{"state": "succeeded", "recorded_at": NOW + timedelta(days=days)} for days in (-30, 3)])

    client.get(url)

    assert len(asked) == 1
    assert [questions for _, questions in asked[0]][1:] == [{"counts": True, "flags": True}]


def test_htmx_gets_what_changes_and_the_address_to_show(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview") + "?name=mail.send&name=&span=7d&q=", headers={"HX-Request": "true"})
    text = page.content.decode()

    assert page["HX-Push-Url"] == "/admin/jobs/?name=mail.send"
    assert "HX-Request" in page["Vary"]
    assert "<html" not in text
    for id in ("j-main", "j-stats", "j-count", "j-tokens", "j-kept", "j-spans", "j-tabs"):
        assert f'id="{id}"' in text
    assert 'id="j-filters"' not in text


def test_a_boosted_link_gets_what_changes_only_where_it_asks_for_that(browse, some):
    client, url = browse("view_job"), reverse("jobadmin:overview")
    boosted = {"HX-Request": "true", "HX-Boosted": "true"}

    assert "<html" not in client.get(url, headers={**boosted, "HX-Target": "j-main"}).content.decode()
    assert "<html" in client.get(url, headers=boosted).content.decode()
    assert "<html" in client.get(url, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}).content.decode()


def test_a_live_page_moves_no_address_and_says_when_nothing_changed(browse, some):
    client, url = browse("view_job"), reverse("jobadmin:overview") + "?live=1"

    first = client.get(url, headers={"HX-Request": "true"})
    again = client.get(url, headers={"HX-Request": "true", "If-None-Match": first["ETag"]})

    assert "HX-Push-Url" not in first
    assert again.status_code == 304


def test_a_store_much_younger_than_the_span_is_drawn_from_its_beginning(browse, some):
    young, old = (Reading(jobs=JobFilter.from_querystring(f"span={span}")) for span in ("7d", "15m"))

    assert young.grid.step == timedelta(minutes=1)
    assert young.grid.start <= NOW - timedelta(hours=3) < young.grid.start + young.grid.step
    assert sum(sum(bucket.counts.values()) for bucket in young.report.timeline) == statuses.all().count()
    assert old.grid.step == timedelta(seconds=15)


def test_new_jobs_beside_old_loaded_ones_are_drawn_from_the_first_of_the_span(browse, some):
    statuses.load([{"state": "succeeded", "recorded_at": NOW - timedelta(days=days)} for days in (40, 60)])
    reading = Reading(jobs=JobFilter())

    assert reading.grid.step == timedelta(minutes=1)
    assert sum(sum(bucket.counts.values()) for bucket in reading.report.timeline) == 12
    assert "from the first job on" in browse("view_job").get(reverse("jobadmin:overview")).content.decode()

    statuses.load([{"state": "succeeded", "recorded_at": NOW - timedelta(days=6)}])
    assert Reading(jobs=JobFilter()).grid.step == timedelta(hours=2)


def test_a_flag_that_jobs_carry_has_its_line_and_one_that_none_carries_has_not(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview") + "?span=24h").content.decode()

    flag, other = (page.split(f'id="j-tile-{name}"', 1)[1].split("</div>", 1)[0] for name in ("kill_requested", "stale"))
    assert 'class="j-spark__line"' in flag
    assert 'class="j-spark__line"' not in other


def test_without_jobs_the_page_says_so(browse):
    page = browse("view_job").get(reverse("jobadmin:overview")).content.decode()

    assert "No jobs yet" in page
    assert "No jobs match" not in page


@pytest.mark.parametrize("path", ["names/", "errors/", "errors/?error=x", "resources/Book:1/", "?state=failed"])
def test_every_page_says_that_there_are_no_jobs_yet(browse, path):
    page = browse("view_job").get(f"/admin/jobs/{path}").content.decode()

    assert "No jobs yet" in page
    assert "No jobs match" not in page and "Look at all time" not in page


def test_a_name_of_which_nothing_has_ended_has_no_failure_rate_and_no_bar_for_it(browse):
    make_status("queued", job_name="waits")

    page = browse("view_job").get(reverse("jobadmin:names")).content.decode()

    assert '<td role="cell" class="j-num" data-label="Failure rate"><span class="is-nil">–</span></td>' in page


def test_p50_and_p95_are_told_apart_at_the_first_duration_whatever_is_known_of_the_second(browse):
    make_status("succeeded")
    browser = browse("view_job")
    for _ in range(2):
        durations = browser.get(reverse("jobadmin:overview")).content.decode().partition('id="j-durations"')[2]
        assert durations.index("┃") < durations.index("Time in queue") and durations.count("┃") == 1
        make_status("killed")  # has neither waited nor run


def test_a_default_span_that_holds_nothing_offers_all_time(browse, some):
    some.tick(timedelta(days=40))

    page = browse("view_job").get(reverse("jobadmin:overview")).content.decode()

    assert "No jobs match" in page
    assert "There are 12 jobs at other times." in page
    assert 'href="/admin/jobs/?span=all">Look at all time' in page


@pytest.mark.parametrize("name", ["overview", "list", "names", "errors"])
def test_all_time_is_offered_only_where_it_may_hold_other_jobs(browse, some, name):
    client = browse("view_job")

    def offered(**query):
        return "Look at all time" in client.get(reverse(f"jobadmin:{name}"), {"name": "nothing", **query}).content.decode()

    assert (offered(span="30d"), offered(span="15m"), offered(by="failed_at"), offered(to="2020-01-01")) == (False, True, True, True)


def test_filters_that_match_nothing_offer_to_drop_each(browse, some):
    page = browse("view_job").get(reverse("jobadmin:overview"), {"name": "mail.send", "user": "nobody"}).content.decode()

    assert 'href="/admin/jobs/?user=nobody">Drop “mail.send”' in page
    assert 'href="/admin/jobs/?name=mail.send">Drop “nobody”' in page
    assert 'href="/admin/jobs/">Clear all filters' in page


def test_all_time_is_drawn_from_the_first_to_the_last_job(browse, some):
    reading = panels.Reading(jobs=JobFilter.from_querystring("span=all"))

    page = browse("view_job").get(reverse("jobadmin:overview"), {"span": "all", "chart": "table"}).content.decode()

    assert sum(sum(bucket.counts.values()) for bucket in reading.report.timeline) == 12
    assert sum(map(int, re.findall(r'<a class="j-drill" href="/admin/jobs/list/\?from=[^"]*">(\d+)</a>', page))) == 12
    rows = re.findall(r'<th scope="row"><time datetime="([^"]*)"', page)
    assert len(rows) == len(panels.activity(reading, "table").rows) > 1
    assert rows == sorted(rows, reverse=True)


@pytest.mark.parametrize(
    ("first", "last", "begun"),
    [
        ("2026-11-01", "2026-12-31", ["Thu 24 Dec 2026", "Tue 24 Nov 2026"]),
        ("2026-10-01", "2026-11-30", ["Mon 23 Nov 2026, 23:00", "Sat 24 Oct 2026, 00:00"]),
        ("2026-12-01", "2027-01-31", ["Thu 24 Dec 2026"]),
    ],
)
def test_a_bar_of_a_day_says_where_it_begins_where_that_is_not_midnight(browse, first, last, begun):
    for month in (10, 11, 12):
        with frozen_clock(datetime(2026, month, 24, 12, tzinfo=UTC)):
            make_status("succeeded")
    client = browse("view_job")
    client.cookies["ja_zone"] = "Europe/Berlin"  # clocks are set on 25 October

    page = client.get(reverse("jobadmin:overview"), {"from": first, "to": last, "chart": "table"}).content.decode()

    rows = re.findall(
        r'<th scope="row"><time datetime="[^"]*">([^<]*)</time></th><td class="j-num"><a class="j-drill" href="([^"]*)"', page
    )
    assert [moment for moment, _ in rows] == begun
    assert [listed(address) for _, address in rows] == [1] * len(rows)


@pytest.mark.parametrize("mode", panels.MODES)
def test_each_scale_of_the_chart_is_drawn_without_script(browse, some, mode):
    page = browse("view_job").get(reverse("jobadmin:overview"), {"chart": mode}).content.decode()

    assert ('<path class="j-mark s-failed" d="M' in page) == (mode != "table")
    assert ("j-mark s-succeeded" in page) == (mode in ("count", "share"))


def test_stale_heartbeats_are_told_and_listed(browse, some):
    make_status("started", job_name="dead.worker").heartbeat()
    some.tick(timedelta(minutes=5))

    page = browse("view_job").get(reverse("jobadmin:overview")).content.decode()

    assert "1 started job has shown no sign of life for 1 min or more." in page
    assert "Its worker may have died." in page and "It ran on" in page and "of them" not in page
    assert listed(re.search(r'j-note__act" href="([^"]*)"', page)[1]) == 1


@pytest.mark.parametrize("name", panels.PANELS)
def test_one_panel_that_fails_leaves_the_page_standing(browse, some, monkeypatch, name):
    def broken(*args):
        raise RuntimeError("broken")

    client = browse("view_job")
    with monkeypatch.context() as patch:
        patch.setattr(panels, name, broken)
        page = client.get(reverse("jobadmin:overview"))
        part = client.get(reverse("jobadmin:overview"), {"part": name}, headers={"HX-Request": "true"})
    mended = client.get(reverse("jobadmin:overview"), {"part": name}, headers={"HX-Request": "true"})

    assert page.status_code == 200
    assert page.content.decode().count("This panel could not load") == 1
    assert "This panel could not load" in part.content.decode()
    assert "This panel could not load" not in mended.content.decode()
    assert "<html" not in mended.content.decode()


def test_hostile_text_is_escaped_everywhere(browse, some):
    make_status("failed", job_name=NASTY, queue=NASTY, user=NASTY, job_args={"x": NASTY}, error=ValueError(NASTY))
    make_status("failed", job_name=NASTY + "*", error=NASTY)
    client, group = browse("view_job", "retry_job"), statuses.where(job_name=NASTY).counts_by("error")[0]
    urls = [
        *(reverse(f"jobadmin:{name}") for name in ("overview", "names", "errors")),
        reverse("jobadmin:resource", args=[quote(NASTY)]),
        *(reverse("jobadmin:suggest", args=[field]) + "?prefix=%3Cimg" for field in ("name", "queue", "user", "resource", "error")),
    ]

    pages = [client.get(url) for url in urls]
    pages += [client.get(reverse("jobadmin:overview"), {"name": NASTY, "queue": f"-{NASTY}x", "q": NASTY, "from": "2020-01-01"})]
    pages += [client.get(reverse("jobadmin:errors"), {"error": group.value})]

    for page in pages:
        text = page.content.decode()
        assert page.status_code == 200
        assert "<img" not in text
        assert "alert(" in text


def test_pages_have_no_inline_script_style_or_handler(browse, some):
    client = browse("view_job", "kill_job", "retry_job", "remove_job")
    for name in ("overview", "names", "errors", "list"):
        page = client.get(reverse(f"jobadmin:{name}"))
        text = page.content.decode()
        assert "unsafe" not in page["Content-Security-Policy"]
        assert "default-src 'self'" in page["Content-Security-Policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<[^>]*\s(style|on[a-z]+|hx-on[^=]*|hx-vals=\"js)=", text.replace("&#x27;", ""))
        assert not re.search(r"<style|javascript:", text)


ODD = [
    "state=nonsense", "span=forever", "from=garbage", "to=0000-01-01", "by=id", "sort=magic", "flag=x", "statee=failed",
    "chart=pie", "rank=luck", "part=none", "page=0", "page=-1", "page=abc", "page=9999999999999", "q=%00", "user=" + "x" * 2000,
    "from=2026-01-02&to=2026-01-01",
]  # fmt: skip


@pytest.mark.parametrize("query", ODD)
@pytest.mark.parametrize("name", ["overview", "names", "errors"])
def test_odd_parameters_are_answered_and_never_a_traceback(browse, some, name, query):
    page = browse("view_job").get(reverse(f"jobadmin:{name}") + f"?{query}")
    own = query.partition("=")[0] in {"chart", "rank", "part", "page"}

    assert page.status_code in ({200, 400} if own else {400})
    assert "Traceback" not in page.content.decode()


@pytest.mark.parametrize(
    "query",
    [
        "name=%ff%fe",
        "q=%",
        "name=*",
        "name=%00",
        "from=0001-01-01&to=9999-12-31",
        "name=%2A&state=-failed",
        "user=-*",
        "error=*",
    ],
)
def test_strange_but_readable_parameters_are_answered(browse, some, query):
    assert browse("view_job").get(reverse("jobadmin:overview") + f"?{query}").status_code == 200


def test_a_store_that_is_away_is_told_at_once(browse, other_server):
    statuses.configure(url=other_server.url, namespace="away")
    other_server.stop()

    for name in ("overview", "names", "errors"):
        page = browse("view_job", name=name).get(reverse(f"jobadmin:{name}"))
        assert page.status_code == 503
        assert "Redis does not answer" in page.content.decode()


def test_all_names_come_in_pages(browse, some):
    for n in range(130):
        make_status("queued", job_name=f"many.{n:03}")

    client = browse("view_job")
    first, second = (client.get(reverse("jobadmin:names"), {"rank": "name", "page": page}).content.decode() for page in (1, 2))

    assert "100 of 133" in first
    assert first.count('scope="row"') == 100
    assert second.count('scope="row"') == 33
    assert client.get(reverse("jobadmin:names"), {"page": 99}).content.decode().count('scope="row"') == 33
    pages = [names_of(client, "names", page=page) for page in (1, 2)]
    assert [name for page in pages for name, *_rest in page] == [facet.value for facet in statuses.all().counts_by("job_name", 200)]
    assert 'href="/admin/jobs/names/?page=2&amp;rank=name"' in first or 'href="/admin/jobs/names/?rank=name&amp;page=2"' in first


def test_the_bars_of_a_name_are_the_same_on_every_page_and_in_every_order(browse):
    ended = {"recorded_at": 1_500_000_000_000_000}
    names = [("all.fail", "failed"), *((f"many.{n:03}", state) for n in range(100) for state in ("failed", "succeeded"))]
    statuses.load({"job_name": name, "state": state, **ended} for name, state in names)
    client = browse("view_job")

    def bars(rank):
        page = client.get(reverse("jobadmin:names"), {"span": "all", "rank": rank}).content.decode().replace(BREAK, "")
        return re.findall(r'<rect width="([\d.]+)"', page[page.index(">many.001<") :])[:2]

    assert bars("-total") == bars("name") == bars("-failure") == ["100", "50"]


def test_errors_have_a_page_and_each_group_its_own(browse, some):
    client = browse("view_job", "retry_job")
    every = client.get(reverse("jobadmin:errors")).content.decode()
    group = statuses.all().counts_by("error")[0].value

    one = client.get(reverse("jobadmin:errors"), {"error": group}).content.decode()

    assert "ValueError" in every
    assert "no such book" in every
    assert "Retry the group" in one
    assert "plan.rebuild" in one
    assert "Retry" not in browse("view_job", name="viewer").get(reverse("jobadmin:errors")).content.decode()


@pytest.mark.parametrize("page", ["jobadmin:overview", "jobadmin:errors"])
def test_a_job_that_failed_without_a_word_is_not_said_to_have_no_error(browse, page):
    make_status("failed", error=None)

    html = browse("view_job").get(reverse(page)).content.decode()

    assert "None of these jobs has an error on record." in html


def test_the_retry_of_a_group_counts_what_can_be_sent_again(browse):
    for engine in ("toy", "toy", "gone", None):
        make_status("failed", engine=engine, error="broken")
    make_status("failed", engine="gone", error="lost")
    client, address = browse("view_job", "retry_job"), reverse("jobadmin:errors")

    with toy_engine():
        every, one, lost = (client.get(address, query).content.decode() for query in ({}, {"error": "broken"}, {"error": "lost"}))

    link = r'href="/admin/jobs/bulk/retry/\?error=broken[^"]*">.*?j-btn__n">(\d+)<'
    assert re.search(link, every, re.S)[1] == re.search(link, one, re.S)[1] == "2"
    assert "retry/?error=lost" not in every + lost
    why = re.search(
        r'aria-describedby="([\w-]+)">.*?Retry the group.*?<span class="j-why" role="tooltip" id="([\w-]+)">([^<]*)<', lost, re.S
    )
    assert why[1] == why[2]
    assert why[3] == "None of these jobs has ended and is of an engine that can send it again."


def test_a_resource_has_a_page(browse, some):
    page = browse("view_job").get(reverse("jobadmin:resource", args=[quote("Book:53")]))
    text = page.content.decode()

    assert "Failed 3 100.0 %" in text_of(page, "j-tile-failed")
    assert "Last failure" in text
    assert listed(re.search(r'href="([^"]*)">All 3<', text)[1]) == 3


def test_the_number_above_a_resource_leads_to_its_jobs_and_suggestions_are_counted_among_them(browse, some):
    client = browse("view_job")
    text = client.get(reverse("jobadmin:resource", args=[quote("Book:53")]), {"state": "failed"}).content.decode()
    link, number = re.search(r'id="j-count".*?href="([^"]*)">([\d,]+)<', text).groups()
    within = dict(parse_qsl(unescape(re.search(r'data-within="([^"]*)"', text)[1])))

    assert listed(link) == int(number) == 3
    assert suggested(client, "name", state="failed", **within) == {
        facet.value: facet.total for facet in statuses.where(job_arg="Book:53", state="failed").counts_by("job_name")
    }
    assert 'data-within=""' in client.get(reverse("jobadmin:list")).content.decode()


def test_an_error_is_called_by_its_class_and_told_once(browse):
    class LimitExceeded(Exception):
        def __str__(self) -> str:
            return "LimitExceeded()"

    LimitExceeded.__module__, LimitExceeded.__qualname__ = "billiard.exceptions", "LimitExceeded"
    make_status("failed", error=LimitExceeded(), job_args={"book": "Book:53"})
    client = browse("view_job")

    panel = client.get(reverse("jobadmin:overview")).content.decode().split('id="j-errors"')[1].split("</section>")[0]
    resource = client.get(reverse("jobadmin:resource", args=[quote("Book:53")])).content.decode()

    assert re.search(r'title="billiard.exceptions.LimitExceeded[^"]*">LimitExceeded</a>', panel)
    assert "LimitExceeded()" not in panel
    assert '<span class="j-note__body j-mono">LimitExceeded</span>' in resource


def test_a_resource_nobody_worked_on_has_an_empty_page(browse, some):
    page = browse("view_job").get(reverse("jobadmin:resource", args=[quote("Book:none/../x")]))

    assert page.status_code == 200
    text = page.content.decode()
    assert "No jobs match" in text
    assert "Nothing matches: Resource Book:none/../x · Created in the last 7 days." in text
    assert "at other times" not in text and "Clear all filters" not in text, "the other jobs are of other resources"


def suggested(client: Client, field: str, **params: str) -> dict[str, int]:
    text = client.get(reverse("jobadmin:suggest", args=[field]), params).content.decode()
    found = re.findall(r'data-token="([^"]*)".*?j-push j-quiet">([\d,]+)<', text)
    return {unescape(token): int(number.replace(",", "")) for token, number in found}


@pytest.mark.parametrize(
    ("group", "parts"),
    [
        ("ValueError tasks.py:run", ("ValueError", "tasks.py:run")),
        ("pkg.Odd <stdin>:<module>", ("pkg.Odd", "<stdin>:<module>")),
        ("MemoryError", ("MemoryError", "")),
        ("no such book: #", ("no such book: #", "")),
        ("{code, text}", ("{code, text}", "")),
    ],
)
def test_a_group_is_told_as_type_and_place(group, parts):
    assert causes._parts(group) == parts


def test_suggestions_count_under_the_other_filters(browse, some):
    client = browse("view_job")

    assert suggested(client, "name") == {"mail.send": 7, "plan.rebuild": 3, "index.book": 2}
    assert suggested(client, "name", prefix="REB") == {"plan.rebuild": 3}
    assert suggested(client, "name", state="succeeded", name="plan.rebuild") == {"mail.send": 6}
    assert suggested(client, "queue") == {"default": 6, "bulk": 3}
    assert suggested(client, "resource", prefix="Book:") == {"Book:53": 3}
    assert suggested(client, "user", prefix="nobody") == {}


def test_of_many_names_the_few_that_are_offered_are_counted(browse, monkeypatch):
    made = {"Import.a": 1, "import.b": 3, "import.c": 2, "reimport": 4, "other": 5}
    statuses.load({"job_name": name, "state": "queued"} for name, number in made.items() for _ in range(number))
    statuses.load({"job_name": f"import.{n:03}", "state": "queued"} for n in range(60))
    monkeypatch.setattr(suggestions, "MOST", 4)

    found = suggested(browse("view_job"), "name", prefix="import")

    assert found == {"import.b": 3, "import.c": 2, "Import.a": 1, "import.000": 1, "import*": 65}
    assert suggested(browse("view_job", name="b"), "name", prefix="reim") == {"reimport": 4}
    assert suggested(browse("view_job", name="c"), "name", prefix="mport.b") == {"import.b": 3}
    assert suggested(browse("view_job", name="d"), "name", prefix="nothing") == {}


def test_while_one_types_resources_are_looked_for_in_what_was_read_once_and_counted_anew_when_a_job_comes(browse, monkeypatch):
    random = Random(5)
    books = [random.choice(["Book:", "book-shop:", "Shelf:", "E-Book:"]) + str(int(random.expovariate(0.05))) for _ in range(600)]
    statuses.load({"job_args": {"on": books[at : at + 2]}, "state": "queued"} for at in range(600))
    client = browse("view_job")
    read = []
    monkeypatch.setattr(resourcetexts, "_call", lambda *jobs, call=resourcetexts._call: read.append(jobs[-1]) or call(*jobs))

    for typed in ("b", "book", "BOOK:", "book:1", "hop", "nothing"):
        assert list(suggested(client, "resource", prefix=typed).items()) == naive_suggestions(typed)
    assert sum(map(len, read)) == len({*books})
    for text in ("Book:1", "Book:new"):
        statuses.create(job_args={"on": text})
        assert list(suggested(client, "resource", prefix="book:").items()) == naive_suggestions("book:")
    assert sum(map(len, read)) == len({*books, "Book:1", "Book:new"})


def naive_suggestions(typed: str) -> list[tuple[str, int]]:
    counted = Counter(text for job in statuses.all() for text in resource.texts(job.job_args) if typed.casefold() in text.casefold())
    order = sorted(counted.items(), key=lambda item: (not item[0].casefold().startswith(typed.casefold()), -item[1], item[0]))
    return order[: suggestions.MOST]


@pytest.mark.parametrize("rank", [sign + name for name in panels.ranking.RANKS for sign in ("", "-")])
def test_the_pages_of_names_follow_one_another_in_every_order(browse, monkeypatch, rank):
    random, at = Random(3), NOW - timedelta(hours=1)
    jobs = [
        {
            "job_name": f"n{int(random.expovariate(0.06))}",
            "state": state,
            "started_at": at,
            f"{state}_at": at + timedelta(seconds=random.randrange(4)),
        }
        for state in random.choices(["succeeded", "failed", "killed"], [5, 2, 1], k=150)
    ]
    statuses.load(jobs)
    monkeypatch.setattr(facets, "NAMES_PER_PAGE", 7)
    client, every = browse("view_job"), sorted({job["job_name"] for job in jobs}, reverse=rank == "-name")
    if rank.removeprefix("-") != "name":
        every.sort(
            key=lambda name: naive_rank(rank.removeprefix("-"), [job for job in jobs if job["job_name"] == name]), reverse=rank[0] == "-"
        )

    for number in range(1, len(every) // 7 + 4):
        answer = client.get(reverse("jobadmin:names"), {"span": "all", "rank": rank, "page": number})
        first = min(number - 1, (len(every) - 1) // 7) * 7
        assert [row.value for row in answer.context["shown"].rows] == every[first : first + 7]


def naive_rank(by: str, jobs: list[dict[str, Any]]) -> float:
    if by == "p95":
        times = sorted(job[f"{job['state']}_at"] - job["started_at"] for job in jobs)
        return times[-(-95 * len(times) // 100) - 1].total_seconds()
    failed = sum(job["state"] == "failed" for job in jobs)
    return {"total": len(jobs), "failure": failed / len(jobs)}.get(by, sum(job["state"] == by for job in jobs))


def test_the_pages_of_errors_follow_one_another(browse, monkeypatch):
    made = [(f"{letter} went wrong", ord(letter) % 5 + 1) for letter in "abcdefghijklmnopq"]
    statuses.load({"state": "failed", "errors": [text]} for text, number in made for _ in range(number))
    monkeypatch.setattr(facets, "ERRORS_PER_PAGE", 4)
    client, every = browse("view_job"), [text for text, _ in sorted(made, key=lambda one: (-one[1], one[0]))]

    for number in range(1, 8):
        answer = client.get(reverse("jobadmin:errors"), {"span": "all", "page": number})
        first = min(number - 1, 4) * 4
        assert [row.value for row in answer.context["rows"]] == every[first : first + 4]


def test_a_pattern_is_suggested_where_it_means_several_values(browse, some):
    make_status("queued", job_name="mail.digest")

    assert suggested(browse("view_job"), "name", prefix="mail.") == {"mail.send": 7, "mail.digest": 1, "mail.*": 8}


def test_suggestions_are_written_so_that_they_are_taken_literally(browse, some):
    make_status("queued", job_name="-odd*")

    assert suggested(browse("view_job"), "name", prefix="odd") == {r"\-odd\*": 1}


def test_the_search_suggests_names_queues_and_users_too_each_by_what_it_is(browse, some):
    text = browse("view_job").get(reverse("jobadmin:suggest", args=["resource"]), {"prefix": "mail"}).content.decode()

    assert 'data-token="mail.send" data-parameter="name"><span class="j-quiet">Job name</span>' in text
    assert suggested(browse("view_job", name="other"), "resource", prefix="BUL") == {"bulk": 3}


@pytest.mark.parametrize("view", ["overview", "list", "names", "errors"])
@pytest.mark.parametrize(
    ("text", "found"), [("mail.send", {"name": "mail.send"}), ("bulk", {"queue": "bulk"}), ("-odd*", {"user": "-odd*"})]
)
def test_a_search_for_one_name_queue_or_user_leads_to_that_filter(browse, some, view, text, found):
    make_status("queued", user="-odd*")

    answer = browse("view_job").get(reverse(f"jobadmin:{view}"), {"q": text, "span": "30d", "state": "-killed"})

    assert answer.status_code == 302
    path, _, query = answer["Location"].partition("?")
    assert path == reverse(f"jobadmin:{view}")
    assert query == JobFilter().with_(state=Token("killed", negative=True), span="30d", **found).querystring()


def test_a_name_that_is_searched_for_is_added_to_those_that_are_asked_for(browse, some):
    answer = browse("view_job").get(reverse("jobadmin:list"), {"q": "mail.send", "name": "plan.rebuild"})

    assert answer["Location"].endswith("?name=plan.rebuild&name=mail.send")


def test_a_search_that_means_several_things_says_which_and_leads_to_each(browse, some):
    make_status("queued", queue="mail.send")

    answer = browse("view_job").get(reverse("jobadmin:list"), {"q": "mail.send"})
    text = answer.content.decode()

    assert answer.status_code == 200
    assert "“mail.send” is no resource and no id of a job. It is:" in text
    links = re.findall(r'<li>([^<]+) <a class="j-mono j-breaks" href="([^"]*)"', text)
    assert [(label, listed(unescape(url))) for label, url in links] == [("Job name", 7), ("Queue", 1)]


def test_a_search_for_what_is_nowhere_says_where_it_was_looked_for_and_what_holds_it(browse, some):
    client = browse("view_job")

    near, nowhere = (client.get(reverse("jobadmin:overview"), {"q": text}).content.decode() for text in ("REB", "<b>zzz"))

    assert "“&lt;b&gt;zzz” was looked for, as a whole, among the ids of jobs, here and in their engines, resources, job names" in nowhere
    assert 'id="j-places"' not in nowhere and "Look at all time" not in nowhere
    assert re.search(r'<li>Job name <a class="j-mono j-breaks" href="[^"]*name=plan.rebuild">plan.rebuild</a>', near)


def test_the_type_of_an_error_and_the_beginning_of_an_id_are_found(browse, some):
    failed = make_status("failed", job_name="mail.send", error={"class": "mail.NoRoute"})
    text = browse("view_job").get(reverse("jobadmin:list"), {"q": "noroute"}).content.decode()
    link = re.search(r'<li>Error <a class="j-mono j-breaks" href="([^"]*)">([^<]*)</a>', text)

    assert link[2] == "mail.NoRoute" and listed(unescape(link[1])) == 1
    assert suggested(browse("view_job", name="other"), "resource", prefix="noRoute") == {"mail.NoRoute": 1}
    for beginning in (failed.id[:11], failed.id[:23].upper(), failed.id[:35]):
        text = browse("view_job", name=beginning).get(reverse("jobadmin:overview"), {"q": beginning}).content.decode()
        assert f'<li>Job <a class="j-mono j-breaks" href="{job_url(failed.id)}">{failed.id}</a>' in text
    for none in ("deadbeef", failed.id[:7], failed.id[:10] + "zz", "f" * 31):
        assert failed.id not in browse("view_job", name=none).get(reverse("jobadmin:list"), {"q": none}).content.decode()


def test_a_search_for_a_resource_that_other_filters_leave_out_is_no_search_for_something_else(browse, some):
    text = browse("view_job").get(reverse("jobadmin:list"), {"q": "Book:53", "queue": "nowhere"}).content.decode()

    assert "No jobs match" in text
    assert "was looked for" not in text


def test_a_secret_that_is_searched_for_is_written_into_no_address(browse):
    secret = "password=hunter2hunter2"
    make_status("queued", job_name=secret)

    answer = browse("view_job").get(reverse("jobadmin:list"), {"q": secret})

    assert answer.status_code == 200
    assert "name=password" not in answer.content.decode() and 'id="j-places"' not in answer.content.decode()


def test_there_are_no_suggestions_for_what_is_no_field(browse, some):
    assert browse("view_job").get(reverse("jobadmin:suggest", args=["password"])).status_code == 404


def test_every_state_has_a_colour_an_icon_and_a_word(browse, some):
    from pathlib import Path

    from jobadmin.formats import STATE_WORDS

    root = Path(__file__).parents[2]
    tokens, sprite = (root / "static/jobadmin/jobadmin.css").read_text(), (root / "templates/jobadmin/_icons.html").read_text()
    for state in State:
        assert f"--{state.value}: light-dark(" in tokens
        assert f'id="j-{state.value}"' in sprite
        assert state.value in STATE_WORDS
    assert set(panels.STACK) == {state.value for state in State}


def test_the_page_works_below_another_path(browse, some):
    client = browse("view_job")
    set_script_prefix("/tools/")
    try:
        page = client.get("/admin/jobs/", SCRIPT_NAME="/tools")
    finally:
        set_script_prefix("/")

    hrefs = re.findall(r'(?:href|src|action|hx-get|data-zoom|data-list)="(/[^"]*)"', page.content.decode())
    assert hrefs
    assert [href for href in hrefs if not re.match("/(tools|static)(/|$)", href)] == []
