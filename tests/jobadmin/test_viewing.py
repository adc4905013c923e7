"""Times as the viewer wants them: in which zone, relative or absolute; kept in cookies, written by the server."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobadmin import formats
from jobadmin.paths import job_url
from jobadmin.viewing import Viewing, of_request, present, viewed_by
from statuses.testing import frozen_clock, make_status

AT = datetime(2026, 11, 19, 23, 32, 3, 120_000, tzinfo=UTC)
URLS = ("overview", "list", "names", "errors", "operations")


@pytest.fixture
def client(store: Any, browse: Any) -> Client:
    return browse()


def request_with(rf: Any, **cookies: str) -> Any:
    request = rf.get("/")
    request.COOKIES.update(cookies)
    return request


def test_cookies_say_how_times_are_read(rf: Any) -> None:
    assert of_request(request_with(rf)) == Viewing(mode="relative", zone="")
    assert of_request(request_with(rf, ja_times="utc", ja_zone="Asia/Tokyo")) == Viewing(mode="utc", zone="Asia/Tokyo")


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "/etc/passwd", "America", "x" * 999, "Asia/\x00", "<script>"])
def test_a_zone_nobody_knows_counts_as_not_told(rf: Any, zone: str) -> None:
    assert of_request(request_with(rf, ja_times="nonsense", ja_zone=zone)) == Viewing()


def test_a_viewer_has_their_zone_and_nobody_else() -> None:
    with viewed_by(Viewing(mode="local", zone="Asia/Tokyo")):
        assert formats.moment(AT) == "2026-11-20 08:32:03.120 JST"
        assert formats.day(AT) == "20 Nov 2026, JST"
        assert formats.clock(AT, shows_date=True) == "20 Nov 08:32:03.120"

    assert formats.moment(AT) == "2026-11-19 23:32:03.120 UTC"
    assert present() == Viewing()


def test_utc_is_utc_whatever_the_browsers_zone() -> None:
    with viewed_by(Viewing(mode="utc", zone="Asia/Tokyo")):
        assert formats.moment(AT) == "2026-11-19 23:32:03.120 UTC"


def test_without_a_browsers_zone_local_is_the_projects() -> None:
    with timezone.override("Europe/Berlin"), viewed_by(Viewing(mode="local")):
        assert formats.when(AT, AT + timedelta(minutes=4)) == "00:32:03"


@pytest.mark.parametrize(
    ("mode", "after", "words"),
    [
        ("relative", timedelta(minutes=4), "4 min ago"),
        ("relative", timedelta(days=3), "20 Nov, 08:32"),
        ("local", timedelta(minutes=4), "08:32:03"),
        ("local", timedelta(days=3), "20 Nov, 08:32"),
        ("utc", timedelta(minutes=4), "23:32:03"),
        ("utc", timedelta(hours=4), "19 Nov, 23:32"),
        ("local", timedelta(days=300), "20 Nov 2026, 08:32"),
    ],
)
def test_a_moment_is_written_as_the_viewer_wants_it(mode: str, after: timedelta, words: str) -> None:
    with viewed_by(Viewing(mode=mode, zone="Asia/Tokyo")):
        assert formats.when(AT, AT + after) == words


def test_machines_read_utc_in_every_zone() -> None:
    with viewed_by(Viewing(mode="local", zone="Asia/Tokyo")):
        assert formats.machine(timezone.localtime(AT)) == "2026-11-19T23:32:03.120000+00:00"


def test_pages_write_times_in_the_browsers_zone_and_machines_utc(client: Client) -> None:
    with frozen_clock(AT):
        status = make_status("started", job_name="mail.send")
    client.cookies["ja_zone"] = "Asia/Tokyo"

    html = client.get(job_url(status.id)).content.decode()

    assert "20 Nov 2026, JST" in html
    assert re.search(r'<time datetime="2026-11-19T23:32:03.120000\+00:00" title="2026-11-20 08:32:03.120 JST">08:32:03.120</time>', html)


@pytest.mark.parametrize("name", ["overview", "list", "queues"])
def test_a_clock_that_is_not_known_to_be_the_viewers_says_its_zone(client: Client, name: str) -> None:
    def clock(**cookies: str) -> str:
        client.cookies.load(cookies)
        page = client.get(reverse(f"jobadmin:{name}")).content.decode()
        return re.search(r'id="j-updated".*?</time>(.*?)</span>', page, re.S)[1]

    with frozen_clock(AT):
        assert clock() == " UTC", "nothing told the zone, as without script"
        assert clock(ja_zone="Asia/Tokyo") == ""
        assert clock(ja_zone="Asia/Tokyo", ja_times="utc") == " UTC"


def test_the_switch_keeps_the_choice_and_leads_back(client: Client) -> None:
    back = "http://testserver" + reverse("jobadmin:list") + "?span=1h&name=mail.send"

    answer = client.post(reverse("jobadmin:times"), {"times": "utc"}, HTTP_REFERER=back)

    assert (answer.status_code, answer["Location"]) == (302, back)
    cookie = answer.cookies["ja_times"]
    assert (cookie.value, cookie["path"], cookie["httponly"], cookie["samesite"]) == ("utc", "/admin/jobs/", True, "Lax")
    assert 'data-times="utc"' in client.get(reverse("jobadmin:list")).content.decode()


@pytest.mark.parametrize("referer", ["https://elsewhere.example/", "", "javascript:alert(1)"])
def test_the_switch_leads_nowhere_else(client: Client, referer: str) -> None:
    assert client.post(reverse("jobadmin:times"), {"times": "local"}, HTTP_REFERER=referer)["Location"] == reverse("jobadmin:overview")


def test_a_choice_there_is_not_is_refused(client: Client) -> None:
    answer = client.post(reverse("jobadmin:times"), {"times": "<martian>"})

    assert answer.status_code == 400
    assert "ja_times" not in answer.cookies


def test_the_switch_takes_a_right_and_a_post(store: Any, browse: Any) -> None:
    assert browse("kill_job", name="eve").post(reverse("jobadmin:times"), {"times": "utc"}).status_code == 403
    assert browse("view_job", name="marta").get(reverse("jobadmin:times")).status_code == 405


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("mode", ["relative", "local", "utc"])
def test_every_page_has_the_switch_and_says_what_is_chosen(client: Client, name: str, mode: str) -> None:
    make_status("failed", job_name="mail.send", error="no route")
    client.cookies["ja_times"] = mode

    html = client.get(reverse(f"jobadmin:{name}")).content.decode()

    assert re.search(rf'name="times" value="{mode}" aria-current="true"', html)


def test_the_axis_of_the_chart_has_the_viewers_days(client: Client) -> None:
    with frozen_clock(AT):
        make_status("failed", job_name="mail.send", error="no route")
        client.cookies["ja_zone"] = "Asia/Tokyo"

        html = client.get(reverse("jobadmin:overview") + "?span=24h").content.decode()

    assert "&quot;zone&quot;:&quot;Asia/Tokyo&quot;" in html or '"zone":"Asia/Tokyo"' in html


def test_a_worker_that_only_jobs_know_has_no_last_sign(client: Client) -> None:
    make_status("started", job_name="mail.send")

    assert client.get(reverse("jobadmin:workers")).status_code == 200
