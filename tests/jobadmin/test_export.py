"""The export: all that matches, nothing else, and nothing that runs in a spreadsheet."""

import csv
import io
import json

import pytest
from django.urls import reverse

import statuses
from jobadmin import exports
from statuses import sheets
from statuses.testing import make_status

from .test_listing import load

pytestmark = pytest.mark.usefixtures("store")


def rows(client, query: str = "span=all") -> list[dict[str, str]]:
    text = client.get(f"{reverse('jobadmin:export_csv')}?{query}").getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def objects(client, query: str = "span=all") -> list[dict]:
    return json.loads(client.get(f"{reverse('jobadmin:export_json')}?{query}").getvalue())


def test_both_files_hold_every_match_once(browse, monkeypatch) -> None:
    monkeypatch.setattr(sheets, "ROWS", 10)
    load(35)
    client = browse()

    as_csv, as_json = rows(client), objects(client)

    assert [row["job_name"] for row in as_csv] == [f"job-{n:04}" for n in reversed(range(35))]
    assert [row["id"] for row in as_csv] == [item["id"] for item in as_json] == statuses.all().ids()


def test_the_filter_and_the_order_are_those_of_the_list(browse) -> None:
    load(20)
    make_status("failed")

    found = objects(browse(), "span=all&state=succeeded&sort=-run_time")

    times = [item["run_time"] for item in found]
    assert len(found) == 20 and times == sorted(times, reverse=True)


def test_nothing_matches_and_the_files_are_still_files(browse) -> None:
    client = browse()

    assert rows(client) == [] and objects(client) == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "  =", "|"])
def test_no_cell_is_a_formula(browse, start: str) -> None:
    make_status("queued", job_name=f"{start}cmd()", queue="plain")

    row = rows(browse())[0]

    assert row["job_name"].startswith("'") and row["queue"] == "plain"


def some_jobs() -> None:
    """Jobs that fill every column, with what a file of that kind takes for its own marks."""
    odd = 'a "b", c\r\nd\te\x00\\ Ünï \u2028'
    statuses.create(
        job_name=odd, queue=odd, user=f"token={'x' * 30}", id="+mine", provider_job_id="-1", job_args={"book": "=1", "more": [odd]}
    )
    above = statuses.create(job_name="parent", state="queued", job_args={"api_key": "Key:12345", "a": "token=abc123def456"})
    child = statuses.create(job_name="child", parent=above.id, state="queued").started(worker="w,1")
    child.failed().started().set_progress(1).request_kill(by="ops", reason="because of token=abc123def456")
    statuses.create(state="queued").started().set_progress(3, 7, message=odd).add_error(ValueError(odd)).failed()
    make_status("succeeded", engine="celery")
    make_status("killed", job_name="with a comma, once")


def written(value) -> str:
    """A value of a job as the module for CSV would have it written."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else value.isoformat() if hasattr(value, "isoformat") else json.dumps(value, ensure_ascii=False)
    return exports.safe(text) if not isinstance(value, int | float) else text


def test_a_null_character_is_shown_and_makes_no_two_names_one(browse) -> None:
    for name in ("a\x00b", "ab"):
        make_status("queued", job_name=name)
    client = browse()

    assert {row["job_name"] for row in rows(client)} == {"a␀b", "ab"}
    assert {item["job_name"] for item in objects(client)} == {"a\x00b", "ab"}


def test_every_cell_is_what_the_job_says(browse) -> None:
    some_jobs()
    jobs = [exports.row(job) for job in statuses.all()]
    client = browse()

    text = client.get(f"{reverse('jobadmin:export_csv')}?span=all").getvalue().decode("utf-8-sig")
    expected = io.StringIO(newline="")
    csv.writer(expected).writerows([exports.FIELDS, *([written(value) for value in job.values()] for job in jobs)])

    assert text == expected.getvalue()
    assert objects(client) == json.loads(json.dumps(jobs, default=lambda moment: moment.isoformat()))
    assert {name for name in exports.FIELDS if any(job[name] is not None for job in jobs)} == set(exports.FIELDS)


def test_a_text_too_long_to_be_kept_in_mind_is_written_as_any(browse) -> None:
    texts = ["x" * (exports.KEPT_LENGTH + 1) + end for end in ("", ',"', "token=abc123def456")]
    for text in texts:
        statuses.create(job_args={"a": [text[:900], text[900:]]}, state="queued")

    found = rows(browse())

    assert [json.loads(row["job_args"])["a"] for row in found][1:] == [[texts[1][:900], texts[1][900:]], [texts[0][:900], texts[0][900:]]]
    assert "abc123def456" not in found[0]["job_args"]


def test_secrets_do_not_leave_the_house(browse) -> None:
    make_status("failed", error="token=abc123def456", job_args={"api_key": "Key:12345"})
    client = browse()

    text = client.get(f"{reverse('jobadmin:export_csv')}?span=all").getvalue().decode()
    text += client.get(f"{reverse('jobadmin:export_json')}?span=all").getvalue().decode()

    assert "abc123def456" not in text and "Key:12345" not in text


def test_it_is_a_download_that_nobody_keeps(browse) -> None:
    answer = browse().get(reverse("jobadmin:export_csv"))

    assert answer.streaming
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="jobs-')
    assert answer.headers["Cache-Control"] == "no-store"


def test_only_those_who_may_see_get_it(browse, client) -> None:
    for name in ("export_csv", "export_json"):
        assert browse("kill_job", name=f"ines-{name}").get(reverse(f"jobadmin:{name}")).status_code == 403
        assert client.get(reverse(f"jobadmin:{name}")).status_code == 302


def test_a_filter_nobody_can_read_is_a_page_not_a_file(browse) -> None:
    assert browse().get(reverse("jobadmin:export_csv") + "?state=broken").status_code == 400


@pytest.mark.parametrize("query", ["step=3", "name=", "state=failed&queue=", "by=failed_at&span=all", "prefix=mail", "upto=2026-01-01"])
def test_what_would_be_left_aside_makes_no_file_of_everything(browse, query: str) -> None:
    make_status("queued", job_name="mail.send")
    client = browse()

    for name in ("export_csv", "export_json"):
        page = client.get(f"{reverse(f'jobadmin:{name}')}?{query}")

        assert page.status_code == 400 and "mail.send" not in page.content.decode()


def test_a_store_that_is_away_is_said_before_the_file_begins(browse, other_server) -> None:
    client = browse()
    statuses.configure(url=other_server.url, namespace="away")
    other_server.stop()

    assert client.get(reverse("jobadmin:export_csv")).status_code == 503
