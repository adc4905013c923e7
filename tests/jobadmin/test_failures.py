"""When something is wrong the page says what, what still works and what to do; quickly, and never with a traceback."""

import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import moments, outage
from jobadmin.paths import action_url, job_url
from jobadmin.views import failures
from statuses import keys
from statuses.store import current
from statuses.testing import make_status
from tests.servers import Server

#: Seconds that a page waits for its store at most, however dead that is.
LIMIT = 3.0


@pytest.fixture
def client(browse: Any) -> Client:
    return browse(raise_request_exception=False)


@pytest.fixture(autouse=True)
def never_away() -> None:
    """No page of another test has failed."""
    outage.over()


@pytest.fixture
def lost(store: Any) -> Any:
    """A job in a store that can be taken away."""
    with tempfile.TemporaryDirectory(prefix="ja-") as folder:
        server = Server(Path(folder), "s")
        statuses.configure(url=server.url, namespace="lost")
        status = make_status("started")
        try:
            yield server, status
        finally:
            server.thaw() if server.process else None
            server.stop()


PAGES = ["overview", "list", "names", "errors", "export_csv", "export_json"]


@pytest.mark.parametrize(
    ("how", "view"), [*(("stop", view) for view in ("job", *PAGES)), *(("freeze", view) for view in ("job", "overview", "list"))]
)
def test_a_store_that_is_gone_is_said_within_the_time_limit(client: Client, lost: Any, waits: list[float], how: str, view: str) -> None:
    server, status = lost
    getattr(server, how)()

    response = client.get(job_url(status.id) if view == "job" else reverse(f"jobadmin:{view}"))

    assert (how == "freeze") <= sum(waits) < LIMIT
    page = response.content.decode()
    assert response.status_code == 503
    assert "Redis does not answer" in page and "Jobs that already run go on." in page
    assert "Traceback" not in page and 'id="site-name"' in page


def test_an_action_on_a_store_that_is_gone_changes_nothing_and_says_so(client: Client, lost: Any, waits: list[float]) -> None:
    server, status = lost
    server.stop()

    response = client.post(action_url(status.id, "kill"))

    assert sum(waits) < LIMIT
    assert response.status_code == 503 and b"nothing was changed" in response.content
    assert b"data-retry-seconds" not in response.content


def test_the_page_is_there_again_once_the_store_is(client: Client, lost: Any) -> None:
    server, status = lost
    server.stop()
    assert client.get(job_url(status.id)).status_code == 503

    server.start()

    assert client.get(job_url(status.id)).status_code == 200


def test_a_fragment_gets_a_notice_and_no_page(client: Client, lost: Any) -> None:
    server, status = lost
    server.stop()

    response = client.get(job_url(status.id), headers={"HX-Request": "true"})

    assert response.status_code == 503
    assert b"<html" not in response.content and b'role="alert"' in response.content


def test_the_notice_shows_no_password(client: Client, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(job_id: str) -> None:
        raise statuses.StoreUnavailable("a read", "redis://:hunter2hunter2@cache-1:6379/2 refused")

    monkeypatch.setattr(statuses, "find", away)

    page = client.get(job_url("any")).content.decode()

    assert "hunter2" not in page and "cache-1:6379" in page


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_the_notice_names_the_server_that_is_away(client: Client, lost: Any, how: str) -> None:
    server, status = lost
    getattr(server, how)()

    page = client.get(job_url(status.id)).content.decode()

    assert f"No reply from <code>{server.url.partition('?')[0]}</code>." in page


def test_the_notice_says_since_when_the_store_is_away(client: Client, lost: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = lost[0]
    moment = datetime(2026, 11, 29, 14, 27, 13, tzinfo=UTC)

    def get(later: int, view: str = "overview", **headers: str) -> str:
        monkeypatch.setattr(moments, "now", lambda: moment + timedelta(seconds=later))
        return client.get(reverse(f"jobadmin:{view}"), headers=headers).content.decode()

    server.stop()
    first, later = get(0), get(147)
    get(150, "operations")  # which asks the database alone
    part = get(200, **{"HX-Request": "true"})
    server.start()
    get(300)
    server.stop()

    address = f"No reply from <code>{server.url.partition('?')[0]}</code>"
    assert f"{address}." in first
    assert f'{address} for <span data-ticks="147' in later and "2 min 27 s</span>." in later
    assert f'{address} since <time datetime="2026-11-29T14:27:13' in part, "it stays above what was read before"
    assert f"{address}." in get(400), "it was there in between"


def test_a_notice_above_what_was_read_before_does_not_say_that_nothing_is_shown(client: Client, lost: Any) -> None:
    lost[0].stop()

    page = "http://testserver/admin/jobs/list/?state=failed"
    headers = {"HX-Request": "true", "HX-Current-URL": page}
    part = client.get(reverse("jobadmin:pulse"), headers=headers).content.decode()

    assert '<a class="j-btn j-note__act" href="/admin/jobs/list/?state=failed">Try now</a>' in part, "the page, not what was asked for"
    assert "What is shown was read before, and may be out of date." in part and "cannot be shown" not in part


def test_neither_server_nor_tabs_are_for_somebody_who_may_see_no_job(browse: Any, lost: Any, rf: Any) -> None:
    lost[0].stop()
    with pytest.raises(statuses.StoreUnavailable) as away:
        statuses.all().count()
    request = rf.get("/admin/jobs/")
    request.user, request.htmx = AnonymousUser(), False

    page = failures.unavailable(request, away.value).content.decode()

    assert "Redis does not answer" in page
    assert lost[0].url.partition("?")[0].removeprefix("unix://") not in page and "j-tabs" not in page


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("address", "status", "current"),
    [
        ("list/?state=broken", 400, "list"),
        ("nosuchjob/", 404, None),
        ("queues/nosuch/", 404, "queues"),
        ("operations/99999/", 404, None),
    ],
)
def test_a_page_for_a_failure_has_the_ways_to_the_others(client: Client, address: str, status: int, current: str | None) -> None:
    response = client.get(reverse("jobadmin:overview") + address)

    page = response.content.decode()
    assert response.status_code == status
    assert [f'id="j-tab-{name}"' in page for name in ("overview", "list", "queues", "workers", "schedules", "operations")] == [True] * 6
    assert re.findall(r'id="j-tab-(\w+)"[^>]* aria-current="page"', page) == ([current] if current else [])
    assert page.count("<h1") - page.count('<h1 id="site-name"') == 1 and "Copy a link" not in page


@pytest.mark.parametrize("view", ["overview", "list", "queues"])
def test_a_store_that_holds_something_else_is_said_and_logged_and_nobody_waits(
    client: Client, store: Any, caplog: pytest.LogCaptureFixture, view: str
) -> None:
    statuses.create()
    meta = keys.meta(current().families[0])
    store.delete(meta)
    store.set(meta, "of another program")

    response = client.get(reverse(f"jobadmin:{view}"))

    page = response.content.decode()
    assert response.status_code == 500
    assert "The job store is not as expected" in page and "WRONGTYPE" in page and 'id="site-name"' in page
    assert b"data-retry-seconds" not in response.content
    assert "WRONGTYPE" in caplog.text
    store.delete(meta)


def test_settings_that_do_not_fit_the_store_are_said_on_the_page(client: Client, server_url: str, store: Any) -> None:
    statuses.configure(url=server_url, namespace="wide", families=4)
    statuses.create()
    statuses.configure(url=server_url, namespace="wide")

    response = client.get(reverse("jobadmin:list"))

    assert response.status_code == 500 and b"4 families" in response.content


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("query", "named", "said"),
    [
        ("from=yesterdayish", "from", "Expected"),
        ("state=broken", "state", "Expected"),
        ("span=5y", "span", "Expected"),
        ("span=7d&from=2026-01-01", "span", "Expected"),
        ("sort=colour", "sort", "Expected"),
        ("nmae=x", "nmae", "Did you mean the parameter name?"),
        ("nothing-like-it=x", "nothing-like-it", "Expected"),
    ],
)
def test_a_filter_nobody_can_read_is_a_bad_request_with_a_way_on(client: Client, query: str, named: str, said: str) -> None:
    response = client.get(f"{reverse('jobadmin:list')}?{query}")

    page = response.content.decode()
    assert response.status_code == 400
    assert named in page and said in page and "Traceback" not in page
    assert f'href="{reverse("jobadmin:list")}"' in page


@pytest.mark.usefixtures("store")
def test_hostile_parameters_stay_text(client: Client) -> None:
    response = client.get(reverse("jobadmin:list"), {"state": "<script>alert(1)</script>"})

    assert response.status_code == 400 and b"<script>alert(1)" not in response.content


@pytest.mark.usefixtures("store")
def test_what_is_not_permitted_names_the_right(browse: Any) -> None:
    status = make_status("started")

    response = browse("view_job").post(action_url(status.id, "kill"))

    assert response.status_code == 403 and "Can kill jobs" in response.content.decode()


@pytest.mark.usefixtures("store")
def test_an_old_form_says_what_to_do(browse: Any) -> None:
    status = make_status("started")

    response = browse(enforce_csrf_checks=True).post(action_url(status.id, "kill"))

    assert response.status_code == 403 and "This form is out of date" in response.content.decode()


def test_the_page_of_a_job_that_is_gone_leads_to_the_record_it_speaks_of(client: Client, store: Any) -> None:
    page = client.get(job_url("no-such-job")).content.decode()

    assert "Removed jobs stay in the record of operations" in page
    assert f'href="{reverse("jobadmin:operations")}">Operations</a></div>' in page


@pytest.mark.parametrize("path", ["/", "operations/abc/", "operations/abc/stop/x/", "queues/workflow/x/y/z/", "control/", "bulk/abc/def/"])
def test_what_cannot_be_a_job_is_not_called_one(client: Client, store: Any, path: str) -> None:
    response = client.get(reverse("jobadmin:overview") + path)

    assert response.status_code == 404
    assert "There is nothing at this address." in response.content.decode() and 'id="j-tabs"' in response.content.decode()
    assert "This job does not exist" not in response.content.decode()


def test_an_address_that_is_none_asks_who_looks_and_has_its_slash(client: Client, browse: Any, store: Any) -> None:
    nothing = reverse("jobadmin:overview") + "list/nothing/at/all"

    assert client.get(nothing)["Location"] == nothing + "/"
    assert Client().get(nothing + "/")["Location"].startswith(reverse("admin:login"))
    assert browse("kill_job", name="otto").get(nothing + "/").status_code == 403


def test_a_job_whose_id_spells_a_page_has_its_own(client: Client, store: Any) -> None:
    statuses.create(id="redis", state="queued")

    own, page = client.get(job_url("redis")), client.get(reverse("jobadmin:overview") + "redis/")

    assert (own.status_code, own.resolver_match.url_name) == (200, "job")
    assert (page.status_code, page.resolver_match.url_name) == (200, "redis")


#: Addresses that are posted to.
BUTTONS = [
    ("job_action", ["nothing", "kill"]), ("operation_stop", [1]), ("operation_undo", [1]), ("operation_again", [1]), ("control", ["pause"]),
    ("times", []), ("view_save", []), ("view_remove", []),
]  # fmt: skip


@pytest.mark.parametrize(("view", "which"), BUTTONS)
def test_an_address_of_a_button_says_so(browse: Any, store: Any, view: str, which: list[Any]) -> None:
    address = reverse(f"jobadmin:{view}", args=which)
    response = browse("view_job", "control_workers", name="ines").get(address)

    assert response.status_code == 405 and response["Allow"] == "POST"
    assert "does nothing when it is opened" in response.content.decode() and 'id="j-tabs"' in response.content.decode()
    assert Client().get(address)["Location"].startswith(reverse("admin:login"))
    assert browse("kill_job", name="otto").get(address).status_code == 403
