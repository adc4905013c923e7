"""The export: all that matches, nothing else, and nothing that runs in a spreadsheet."""

import csv
import io
import json

import pytest
from django.urls import reverse

import statuses
from jobadmin import exports
from statuses.testing import make_status

from .test_listing import load

pytestmark = pytest.mark.usefixtures("store")


def rows(client, query: str = "span=all") -> list[dict[str, str]]:
    text = client.get(f"{reverse('jobadmin:export_csv')}?{query}").getvalue().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def objects(client, query: str = "span=all") -> list[dict]:
    return json.loads(client.get(f"{reverse('jobadmin:export_json')}?{query}").getvalue())


def test_both_files_hold_every_match_once(browse, monkeypatch) -> None:
    monkeypatch.setattr(exports, "PAGE", 10)
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


def test_numbers_and_times_stay_what_they_are() -> None:
    assert exports.cell(-1.5) == "-1.5"
    assert exports.cell(None) == ""
    assert exports.cell({"book": "=1"}) == '{"book": "=1"}'


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


def test_a_store_that_is_away_is_said_before_the_file_begins(browse, other_server) -> None:
    client = browse()
    statuses.configure(url=other_server.url, namespace="away")
    other_server.stop()

    assert client.get(reverse("jobadmin:export_csv")).status_code == 503
