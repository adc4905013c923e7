"""A page that is kept open costs one small look while nothing changed, and shows whatever did."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin.models import Operation
from jobadmin.views import unchanged
from statuses.testing import FrozenClock, frozen_clock, make_status

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

PAGES = ("overview", "list", "names", "errors")


def look(client: Client, name: str, tag: str = "", **parameters: str) -> Any:
    headers = {"HX-Request": "true", **({"If-None-Match": tag} if tag else {})}
    return client.get(reverse(f"jobadmin:{name}"), {"live": "1", **parameters}, headers=headers)


@pytest.fixture
def clock() -> Iterator[FrozenClock]:
    """On the hour: a minute and the steps of all spans begin."""
    with frozen_clock() as clock:
        yield clock


@pytest.mark.parametrize("name", PAGES)
def test_a_look_at_a_store_that_did_not_change_reads_its_versions_alone(browse: Callable, name: str, monkeypatch: Any) -> None:
    client = browse("view_job")
    # Between two looks a minute ends, or a step of a span, at some hour: with a clock that stands still none would be asked for the time.
    monkeypatch.setattr(unchanged, "MOST_SECONDS", 10**12)
    make_status("failed", error="broken")
    first = look(client, name, span="all")
    look(client, name, span="all")
    asked: list[str] = []
    pipeline = statuses.store.Store.pipeline

    def watched(self: Any, commands: Any, **options: Any) -> Any:
        commands = list(commands)
        asked.extend(command[0] for command in commands)
        return pipeline(self, commands, **options)

    monkeypatch.setattr(statuses.store.Store, "pipeline", watched)
    monkeypatch.setattr(statuses.Query, "report", lambda *_, **__: pytest.fail("it counted"))
    monkeypatch.setattr(statuses, "together", lambda *_: pytest.fail("it counted"))

    again = look(client, name, first["ETag"], span="all")

    assert again.status_code == 304
    assert asked == ["MGET", "HMGET", "TIME", "HKEYS", "HVALS"]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    "change",
    [
        lambda job: make_status("queued"),
        lambda job: job.killed(),
        lambda job: job.set_job_name("another.name"),
        lambda job: job.add_error("another"),
        lambda job: job.set_user("somebody"),
        lambda job: job.set_job_args({"book": "Book:1"}),
        lambda job: job.delete(force=True),
    ],
    ids=["created", "moved", "named", "error", "user", "arguments", "removed"],
)
def test_whatever_changes_is_shown(browse: Callable, name: str, change: Callable) -> None:
    client = browse("view_job")
    job = make_status("failed", error="broken")
    first = look(client, name)

    change(job)

    assert look(client, name, first["ETag"]).status_code == 200


def test_progress_of_a_job_that_runs_is_shown(browse: Callable) -> None:
    client = browse("view_job")
    job = make_status("started")
    job.set_progress(1, 10)
    first = look(client, "list")

    job.set_progress(7, 10)
    again = look(client, "list", first["ETag"])

    assert again.status_code == 200
    assert "70 %" in again.content.decode()


def test_the_overview_need_not_be_made_again_while_jobs_run_and_shows_who_fell_silent(browse: Callable) -> None:
    client = browse("view_job")
    with frozen_clock() as clock:
        make_status("started").heartbeat()
        clock.tick(60)
        tag = look(client, "overview", span="all")["ETag"]

        assert look(client, "overview", tag, span="all").status_code == 304
        clock.tick(1)
        assert look(client, "overview", tag, span="all").status_code == 200


def test_an_operation_under_way_is_shown(browse: Callable) -> None:
    client = browse("view_job")
    make_status("failed")
    first = look(client, "overview")

    Operation.objects.create(action="retry", state=Operation.State.RUNNING)

    assert look(client, "overview", first["ETag"]).status_code == 200


def test_the_pulse_tells_that_an_operation_ended_and_not_that_one_began_and_counts_nothing(browse: Callable, monkeypatch: Any) -> None:
    client = browse("view_job")
    make_status("failed")
    client.get(reverse("jobadmin:overview"))
    monkeypatch.setattr(statuses.Query, "report", lambda *_, **__: pytest.fail("it counted"))
    monkeypatch.setattr(statuses, "together", lambda *_: pytest.fail("it counted"))

    def pulse() -> str:
        return client.get(reverse("jobadmin:pulse"), headers={"HX-Request": "true"})["X-Operations-Ended"]

    # Numbers go on where other tests had operations.
    Operation.objects.create(action="kill", state=Operation.State.DONE)
    before = pulse()
    long, short = (Operation.objects.create(action="retry", state=Operation.State.RUNNING) for _ in range(2))
    during = pulse()
    told = []
    for operation in (short, long):
        operation.state = Operation.State.DONE
        operation.save()
        told.append(pulse())

    assert during == before
    assert len({before, *told}) == 3


@pytest.mark.parametrize("name", PAGES)
def test_a_page_carries_what_the_pulse_said_when_it_was_read(browse: Callable, name: str) -> None:
    client = browse("view_job")
    make_status("failed")
    Operation.objects.create(action="retry", state=Operation.State.DONE)

    ended = client.get(reverse("jobadmin:pulse"))["X-Operations-Ended"]

    for page in (client.get(reverse(f"jobadmin:{name}")), look(client, name)):
        assert f'data-ended="{ended}"' in page.content.decode()


def test_the_tag_is_of_one_viewer_one_address_and_one_span(browse: Callable, clock: FrozenClock) -> None:
    make_status("failed")
    anna, bert = browse("view_job", name="anna"), browse("view_job", "kill_job", name="bert")
    tag = look(anna, "list")["ETag"]

    assert look(anna, "list", tag).status_code == 304
    assert look(bert, "list", tag).status_code == 200
    assert look(anna, "list", tag, state="failed").status_code == 200
    anna.cookies["ja_times"] = "utc"
    assert look(anna, "list", tag).status_code == 200


def test_a_span_that_moved_on_is_read_anew(browse: Callable, clock: FrozenClock) -> None:
    client = browse("view_job")
    make_status("failed")
    tag = look(client, "overview", span="15m")["ETag"]

    clock.tick(14)
    assert look(client, "overview", tag, span="15m").status_code == 304
    clock.tick(1)
    assert look(client, "overview", tag, span="15m").status_code == 200


def test_a_page_that_is_opened_is_never_left_out(browse: Callable) -> None:
    client = browse("view_job")
    make_status("failed")
    tag = look(client, "overview")["ETag"]

    opened = client.get(reverse("jobadmin:overview"), headers={"If-None-Match": tag})

    assert opened.status_code == 200
