"""The list: rows, order, pages, selection, and what each viewer may do."""

import re
from datetime import UTC, datetime, timedelta
from html import escape

import pytest
from django.urls import reverse

import statuses
from jobadmin.filters import JobFilter
from jobadmin.formats import BREAK
from jobadmin.parameters import SORTS
from jobadmin.tables import JobData, JobTable
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")

NASTY = """<img src=x onerror=alert(1)>"'&{{ 7|add:1 }}"""


def url(query: str = "") -> str:
    return reverse("jobadmin:list") + (f"?{query}" if query else "")


def shown(page) -> list[str]:
    """Names of the jobs in the rows, from the top."""
    return re.findall(r'<th role="rowheader" scope="row"><a [^>]*>([^<]*)</a>', page.content.decode().replace(BREAK, ""))


def load(number: int, **more) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    statuses.load(
        {
            "job_name": f"job-{n:04}",
            "state": "succeeded",
            "recorded_at": first + timedelta(seconds=n),
            "queued_at": first + timedelta(seconds=n),
            "started_at": first + timedelta(seconds=n + 1),
            "succeeded_at": first + timedelta(seconds=n + 1 + (n * 7) % 11),
            **more,
        }
        for n in range(number)
    )


def test_a_row_shows_what_a_job_is_and_how_it_stands(browse) -> None:
    job = make_status("started", job_name="library.reindex", job_args={"book": "Book:53", "shelf": "Shelf:4"}, queue="bulk", user="ines")
    job.set_progress(744, 1200, message="744 of 1,200 pages")

    text = browse().get(url()).content.decode()

    assert f'id="job-{job.id}"' in text
    assert "library.reindex" in text and "744 of 1,200 pages" in text and "<b>62 %</b>" in text
    assert "resource=Book%3A53" in text and "Shelf:4" in text
    assert "user=ines" in text and "queue=bulk" in text


def test_an_error_and_a_kill_are_told_as_outcome(browse) -> None:
    make_status("failed", error=ValueError("deadlock detected"))
    make_status("started").request_kill(by="marta", reason="too slow").killed()

    text = browse().get(url()).content.decode()

    assert "ValueError: deadlock detected" in text and "j-outcome--bad" in text
    assert "Killed by marta: too slow" in text


def test_a_queued_job_tells_its_place_in_line(browse) -> None:
    for _ in range(3):
        make_status("queued", queue="bulk")

    page = browse().get(url())

    assert [words for words in ("place 3 in line", "place 2 in line", "next in line") if words in page.content.decode()] == [
        "place 3 in line", "place 2 in line", "next in line",
    ]  # fmt: skip


def test_flags_stand_beside_the_state(browse) -> None:
    make_status("started").request_kill()

    text = browse().get(url()).content.decode()

    assert "j-badge--flag s-killreq" in text and "j-badge s-started" in text


def test_it_says_how_many_match(browse) -> None:
    load(60)

    page = browse().get(url("span=all"))

    assert '>60</a> of <a href="/admin/jobs/list/?span=all">60 jobs</a>' in page.content.decode()
    assert "1 – 50" in page.content.decode()


def test_pages_follow_each_other_without_gap_or_repetition(browse) -> None:
    load(120)
    client, seen, address = browse(), [], url("span=all")

    while address:
        page = client.get(address)
        seen += shown(page)
        address = page.context["pager"].older

    assert seen == [f"job-{n:04}" for n in reversed(range(120))]


def test_a_page_stays_put_while_new_jobs_arrive(browse) -> None:
    load(60)
    client = browse()
    older = client.get(url("span=all")).context["pager"].older
    before = shown(client.get(older))

    load(5, job_name="new", recorded_at=datetime(2026, 2, 1, tzinfo=UTC))

    assert shown(client.get(older)) == before


def test_one_comes_back_to_the_newer_page(browse) -> None:
    load(160)
    client = browse()
    second = client.get(url("span=all")).context["pager"].older
    third = client.get(second).context["pager"].older

    back = client.get(client.get(third).context["pager"].newer)

    assert shown(back) == shown(client.get(second))
    assert "51 – 100" in back.content.decode()


@pytest.mark.parametrize("sort", ["recorded_at", "queued_at", "started_at", "succeeded_at", "run_time", "wait_time"])
def test_it_sorts_by_every_time_and_duration_both_ways(browse, sort: str) -> None:
    load(20)
    client = browse()

    up, down = client.get(url(f"span=all&sort={sort}")), client.get(url(f"span=all&sort=-{sort}"))

    values = [getattr(job, sort) for job in up.context["table"].data]
    assert values == sorted(values)
    values = [getattr(job, sort) for job in down.context["table"].data]
    assert values == sorted(values, reverse=True)
    assert 'aria-sort="ascending"' in up.content.decode() and 'aria-sort="descending"' in down.content.decode()


@pytest.mark.parametrize("sort", SORTS)
def test_it_is_listed_in_every_order_that_an_address_may_name(browse, sort: str) -> None:
    load(5)

    for sign in ("", "-"):
        answer = browse(name=f"a{sign}").get(url(f"span=all&sort={sign}{sort}"))
        assert [job.id for job in answer.context["table"].data] == statuses.all().order_by(f"{sign}{sort}").ids()


def test_a_heading_turns_the_order_round(browse) -> None:
    load(3)

    text = browse().get(url("span=all&sort=-run_time")).content.decode()

    assert "sort=run_time" in text and "sort=-wait_time" in text


def test_the_column_one_sorts_by_is_shown(browse) -> None:
    load(3)

    assert "Started" in browse().get(url("span=all&sort=-started_at")).content.decode().split("<tbody")[0].split("<thead")[1]


def test_a_long_name_is_cut_and_told_whole_on_hover(browse) -> None:
    name = "planning." + "recalculate_" * 10
    job = make_status("queued", job_name=name)

    text = browse().get(url("columns=id")).content.decode().replace(BREAK, "")

    assert f'title="{name} {job.id}"' in text and f">{name[:63]}…</a>" in text
    assert f">{job.id}</a>" in text


def test_without_any_column_chosen_those_that_are_always_there_stay_and_the_choice_says_so(browse) -> None:
    load(3)
    client = browse("view_job")

    pages = [client.get(url(query)).content.decode() for query in ("span=all&columns=", "span=all")]

    for page in pages:
        head = page.split("<thead")[1].split("</thead>")[0]
        assert re.sub(r"<[^>]*>", " ", head.partition(">")[2]).split() == [
            "State",
            "Job",
            "name",
            "Created",
            "Actions",
        ]  # what it is sorted by stays, too
        menu = page.split('id="j-columns"')[1].split("</fieldset>")[0]
        assert re.findall(r"checked disabled> ([\w ]+) <small>always", menu) == ["State", "Job name"]
        assert menu.count("checked") == 2


def test_rows_and_columns_are_remembered(browse) -> None:
    load(120)
    client = browse()

    client.get(url("span=all&per=100&columns=engine&columns=run_time"))
    page = client.get(url("span=all"))

    head = page.content.decode().split("<thead")[1].split("</thead>")[0]
    assert len(shown(page)) == 100
    assert "Engine" in head and "Run time" in head and "Queue" not in head


@pytest.mark.parametrize("query", ["sort=job_name", "after=garbage", "per=51", "columns=nope", "page=x", "stat=failed", "from=yesterday"])
def test_what_cannot_be_read_is_said_so(browse, query: str) -> None:
    make_status("queued")

    assert browse().get(url(query)).status_code == 400


def test_the_strip_counts_and_toggles_states_and_flags(browse) -> None:
    make_status("failed")
    make_status("started").request_kill()

    page = browse().get(url("state=failed"))

    tiles = {tile.name: tile for group in page.context["strip"].values() for tile in group}
    assert tiles["failed"].count == 1 and tiles["failed"].is_on and "state" not in tiles["failed"].url
    assert tiles["started"].count == 1 and "state=failed&state=started" in tiles["started"].url
    assert tiles["kill_requested"].count == 1


def test_each_row_says_what_applies_to_it(browse) -> None:
    make_status("queued")
    make_status("succeeded")

    text = browse().get(url()).content.decode()

    assert 'data-can="kill kill-now"' in text and 'data-can="remove"' in text


def test_the_bar_says_how_many_of_all_each_action_applies_to(browse) -> None:
    for state, number in {"queued": 3, "succeeded": 2, "failed": 1}.items():
        for _ in range(number):
            make_status(state)

    text = browse().get(url()).content.decode()

    assert re.findall(r'data-verb="([\w-]+)" data-all="(\d+)"', text) == [("kill", "3"), ("kill-now", "3"), ("retry", "0"), ("remove", "3")]


@pytest.mark.parametrize(("number", "words"), [(1, "The one job that matches:"), (2, "All 2 jobs that match:")])
def test_without_script_the_actions_are_on_all_that_match(browse, number: int, words: str) -> None:
    for _ in range(number):
        make_status("queued")

    text = re.search(r"<noscript>(.*?)</noscript>", browse().get(url()).content.decode(), re.DOTALL)[1]

    assert words in text
    assert f">Request kill {number}</a>" in text


def test_what_one_may_not_do_is_absent(browse) -> None:
    make_status("queued")

    looking = browse("view_job", name="ines").get(url()).content.decode()
    killing = browse("view_job", "kill_job", name="otto").get(url()).content.decode()

    assert "j-bulk" not in looking and 'name="id"' not in looking and "formaction" not in looking
    assert 'data-verb="kill"' in killing and 'data-verb="remove"' not in killing and "/remove/" not in killing


def test_without_the_right_to_see_there_is_no_list(browse, client) -> None:
    assert browse("kill_job", name="ines").get(url()).status_code == 403
    assert client.get(url()).status_code == 302


def test_what_cannot_be_done_now_says_why(browse) -> None:
    make_status("succeeded")

    text = browse().get(url()).content.decode()

    assert 'aria-disabled="true"' in text and "It has ended already: it succeeded." in text


def test_every_text_a_job_carries_is_escaped(browse) -> None:
    job = make_status("started", job_name=NASTY, queue=NASTY, user=NASTY, job_args={"book": NASTY})
    job.set_worker(NASTY).set_progress(0.5, message=NASTY)
    make_status("failed", job_name="other", error=NASTY)
    make_status("started", job_name="third").request_kill(by=NASTY, reason=NASTY).killed()

    text = browse().get(url("columns=worker&columns=user&columns=queue&columns=resources&columns=outcome&columns=id")).content.decode()

    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ("billiard.exceptions.SoftTimeLimitExceeded: SoftTimeLimitExceeded()", "SoftTimeLimitExceeded"),
        ("sqlite3.OperationalError: database is locked", "OperationalError: database is locked"),
        ("ValueError: no.Such: thing", "ValueError: no.Such: thing"),
        ("config.yaml: not found", "config.yaml: not found"),
        ("db.example.org is away", "db.example.org is away"),
        ("pkg.Odd", "Odd"),
    ],
)
def test_a_row_names_the_class_of_an_error_without_its_modules_and_once(browse, summary: str, shown: str) -> None:
    make_status("failed", error=summary)

    text = browse().get(url()).content.decode()

    assert f'title="{escape(summary)}">{escape(shown)}</span>' in text


def test_secrets_in_an_outcome_are_hidden(browse) -> None:
    make_status("failed", error="login failed: password=hunter2")

    assert "hunter2" not in browse().get(url()).content.decode()


def test_an_odd_id_is_an_element_and_a_link(browse) -> None:
    make_status("queued", id='a b/"c"<d>')

    text = browse().get(url()).content.decode()

    assert 'id="job-a_20b_2F_22c_22_3Cd_3E"' in text
    assert "<d>" not in text


def test_no_jobs_and_no_matches_are_different_sentences(browse) -> None:
    client = browse()
    assert "No jobs yet" in client.get(url()).content.decode()

    make_status("queued")
    assert "No jobs match" in client.get(url("state=failed")).content.decode()


def test_a_star_behind_a_resource_is_said_to_be_no_prefix(browse) -> None:
    make_status("queued", job_args={"package": "Package:django"})
    make_status("queued", job_args={"package": "Package:*"})
    client = browse()

    assert "“Pack*” is not taken for a prefix" in client.get(url("resource=Pack*")).content.decode()
    assert "is not taken for a prefix" not in client.get(url("resource=Package:x")).content.decode()
    assert client.get(url("resource=Package:*")).context["bar"].matched == 1


def test_a_span_without_jobs_offers_all_time(browse) -> None:
    load(3)

    text = browse().get(url("span=15m")).content.decode()

    assert "span=all" in text


def test_htmx_gets_the_part_that_changes(browse) -> None:
    make_status("queued")

    answer = browse().get(url("state=queued"), headers={"HX-Request": "true"})

    text = answer.content.decode()
    assert "<html" not in text and 'id="j-list"' in text and 'id="j-stats"' in text
    assert answer.headers["HX-Push-Url"] == url("state=queued")


def test_the_table_s_data_is_one_page_with_the_length_of_all(db) -> None:
    load(30)
    data = JobData(statuses.all(), total=30, rows=10)

    table = JobTable(data, selection=JobFilter().with_(span="all", sort="-run_time"), now=datetime.now(UTC))

    assert len(table.data) == 30 and len(list(table.rows)) == 10
    assert len(data[2:4]) == 2
    times = [job.run_time for job in data]
    assert times == sorted(times, reverse=True)
