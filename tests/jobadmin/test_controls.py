"""Orders given to workers and queues from their pages."""

from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

import statuses
from jobadmin import queues as queues_page
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Worker
from statuses.testing import make_status

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

HOSTILE = "<script>alert(1)</script>\"'&"


class Obeying(Engine):
    """An engine that writes down what it is told to do."""

    name = "obeying"
    has_workers = has_queues = True
    can_stop_worker = can_restart_pool = can_pause_queue = True

    def __init__(self) -> None:
        now = statuses.server_time()
        self.there = [
            Worker(name="w1", queues=("mail",), seen_at=now, running=("a", "b")),
            Worker(name="gone", queues=("mail",), seen_at=now, is_alive=False),
            Worker(name="ends", queues=("mail",), seen_at=now, is_stopping=True),
            Worker(name="threads", queues=("mail",), seen_at=now, refuses={"restart_pool": "it has none"}),
        ]
        self.lines = {"mail": False, "reports": True}
        self.told: list[tuple[str, ...]] = []
        self.broken = ""

    def workers(self) -> list[Worker]:
        return self.there

    def queues(self) -> list[Queue]:
        return [Queue(name=name, is_paused=is_paused) for name, is_paused in self.lines.items()]

    def _do(self, *what: str) -> None:
        if self.broken:
            raise self.refusal("stop_worker", what[1], self.broken)
        self.told.append(what)

    def stop_worker(self, worker: Worker) -> None:
        self._do("stop", worker.name)

    def restart_pool(self, worker: Worker) -> None:
        self._do("restart", worker.name)

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        self._do("pause", queue, by or "")
        changed, self.lines[queue] = not self.lines[queue], True
        return changed

    def resume_queue(self, queue: str, by: str | None = None) -> bool:
        self._do("resume", queue, by or "")
        changed, self.lines[queue] = self.lines[queue], False
        return changed


class Deaf(Engine):
    """An engine that can do none of it."""

    name = "deaf"
    has_workers = has_queues = True

    def workers(self) -> list[Worker]:
        return [Worker(name="w9", queues=("mute",), seen_at=statuses.server_time())]

    def queues(self) -> list[Queue]:
        return [Queue(name="mute")]


@pytest.fixture
def engine() -> Iterator[Obeying]:
    engine = Obeying()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    engine = Deaf()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


@pytest.fixture
def controller(browse: Any) -> Any:
    return browse("view_job", "control_workers")


def order(client: Any, verb: str, name: str, engine: str = "obeying", **more: str) -> Any:
    return client.post(reverse("jobadmin:control", args=[verb]), {"engine": engine, "name": name, **more}, follow=True)


def said(page: Any) -> str:
    return " ".join(str(message) for message in page.context["messages"])


@pytest.mark.parametrize(
    ("verb", "name", "told"),
    [
        ("stop-worker", "w1", ("stop", "w1")),
        ("restart-pool", "w1", ("restart", "w1")),
        ("pause-queue", "mail", ("pause", "mail", "marta")),
    ],
)
def test_what_changes_something_asks_first_and_then_does_it_and_is_written_down(controller, engine, verb, name, told):
    asked = order(controller, verb, name)
    before = list(engine.told)
    done = order(controller, verb, name, confirmed="yes", reason="deploy")

    assert asked.status_code == 200 and 'name="confirmed"' in asked.content.decode()
    assert before == [] and engine.told == [told]
    assert name in said(done)
    operation, entry = Operation.objects.get(), LogEntry.objects.get()
    assert (operation.action, operation.username, operation.reason, operation.changed) == (verb, "marta", "deploy", 1)
    assert operation.description == entry.object_repr == f"obeying: {name}"
    assert "deploy" in entry.change_message


def test_a_stop_is_announced_with_what_the_worker_runs(controller, engine):
    assert "It runs 2 jobs now." in order(controller, "stop-worker", "w1").content.decode()


@pytest.mark.parametrize(
    ("verb", "words"), [("stop-worker", "gone when their jobs have ended"), ("restart-pool", "once their jobs have ended")]
)
def test_a_worker_that_is_one_of_several_is_said_to_take_them_along(controller, engine, verb, words):
    engine.acts_on_siblings = True

    question = order(controller, verb, "w1").content.decode()
    done = said(order(controller, verb, "w1", confirmed="yes"))

    assert "all of them are meant" in question
    assert "every process that its command has started" in done and words in done


def test_a_worker_that_begins_anew_is_not_said_to_stay(controller, engine):
    engine.restarts_anew = True

    question = order(controller, "restart-pool", "w1").content.decode()
    done = said(order(controller, "restart-pool", "w1", confirmed="yes"))

    assert "takes no more jobs, ends those it runs, and then begins anew" in question
    assert "The worker itself stays" not in question
    assert done.startswith("Asked to begin anew: w1")
    shown = controller.get(reverse("jobadmin:workers")).content.decode()
    assert "and then begins anew" in shown and "Replaces its processes" not in shown


def test_a_stopped_worker_is_not_said_to_have_stopped(controller, engine):
    words = said(order(controller, "stop-worker", "w1", confirmed="yes"))

    assert words.startswith("Asked to stop: w1") and "once it says so" in words


def test_a_queue_that_goes_on_needs_no_second_look(controller, engine):
    order(controller, "resume-queue", "reports")

    assert engine.told == [("resume", "reports", "marta")]


def test_an_order_that_changes_nothing_says_so(controller, engine):
    words = said(order(controller, "pause-queue", "reports", confirmed="yes"))

    assert words == "It was paused already. Nothing was changed."
    assert (Operation.objects.get().changed, Operation.objects.get().skipped) == (0, 1)


@pytest.mark.parametrize(
    ("name", "why"), [("gone", "It is lost"), ("ends", "It is stopping already"), ("threads", "obeying cannot: it has none")]
)
def test_what_is_not_possible_is_not_sent_whatever_the_page_showed(controller, engine, name, why):
    words = said(order(controller, "restart-pool", name, confirmed="yes"))

    assert why in words
    assert engine.told == []
    assert Operation.objects.get().state == "failed"


def test_an_engine_that_fails_says_why(controller, engine):
    engine.broken = "the broker does not answer"

    words = said(order(controller, "stop-worker", "w1", confirmed="yes"))

    assert words == "Nothing was changed: the broker does not answer."
    assert "the broker does not answer" in Operation.objects.get().error


@pytest.mark.parametrize(("verb", "engine_name", "name"), [("stop-worker", "obeying", HOSTILE), ("pause-queue", "nobody", "mail")])
def test_what_is_not_there_is_not_ordered(controller, engine, verb, engine_name, name):
    page = order(controller, verb, name, engine=engine_name, confirmed="yes")

    assert "Not there any more: " in said(page)
    assert "<script>alert" not in page.content.decode()
    assert (engine.told, Operation.objects.count()) == ([], 0)


def test_a_verb_that_is_none_is_not_found(controller, engine):
    assert order(controller, "explode", "w1").status_code == 404


@pytest.mark.parametrize("name", ["queues", "workers"])
def test_who_may_not_control_sees_no_button(browse, engine, name):
    url = reverse(f"jobadmin:{name}")

    assert "/control/" not in browse("view_job").get(url).content.decode()
    assert "/control/" in browse("view_job", "control_workers", name="other").get(url).content.decode()


@pytest.mark.parametrize(("name", "words"), [("queues", "Pause queue: mute"), ("workers", "Stop worker: w9")])
def test_what_an_engine_cannot_stays_visible_with_the_reason(controller, deaf, name, words):
    page = unescape(controller.get(reverse(f"jobadmin:{name}")).content.decode())

    assert words in page
    assert "deaf cannot: it has no means to." in page
    assert "/control/" not in page


def test_a_queue_is_pausing_while_a_worker_still_takes_from_it_and_paused_after(controller, engine):
    engine.there = [Worker(name="w1", queues=("reports",), held=("reports",)), Worker(name="w2", queues=("reports",))]
    pausing = controller.get(reverse("jobadmin:queues")).content.decode()

    engine.there = [Worker(name=name, queues=("reports",), held=("reports",)) for name in ("w1", "w2")]
    paused = controller.get(reverse("jobadmin:queues")).content.decode()

    assert "Pausing" in pausing and "1 worker still takes from it" in pausing
    assert "Paused" in paused and "still take" not in paused


def test_a_paused_queue_whose_workers_leave_it_alone_is_not_said_to_have_none(engine):
    engine.there = [Worker(name="w1", queues=("reports",), held=("reports",))]
    make_status("queued", queue="reports", engine="obeying")

    row = next(row for row in queues_page.read(JobFilter()).rows if row.name == "reports")

    assert (row.is_unserved, row.workers, row.is_paused) == (False, 1, True)


@pytest.mark.parametrize(("verb", "name", "page"), [("stop-worker", "w1", "workers"), ("pause-queue", "mail", "queues")])
def test_the_operation_leads_back_to_where_it_belongs(controller, engine, verb, name, page):
    order(controller, verb, name, confirmed="yes")
    operation = Operation.objects.get()

    shown = controller.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()
    listed = controller.get(reverse("jobadmin:operations")).content.decode()

    assert f'href="{reverse(f"jobadmin:{page}")}"' in shown and f"obeying: {name}" in shown
    assert f"obeying: {name}" in listed


def test_the_way_back_stays_on_this_site(controller, engine):
    answer = controller.post(
        reverse("jobadmin:control", args=["resume-queue"]), {"engine": "obeying", "name": "reports", "next": "https://elsewhere.example/"}
    )

    assert answer["Location"] == reverse("jobadmin:queues")


def test_a_worker_that_was_stopped_is_told_of_until_it_is_back(browse, engine):
    client = browse("view_job", "control_workers")
    client.post(reverse("jobadmin:control", args=["stop-worker"]), {"engine": "obeying", "name": "w1", "confirmed": "1", "reason": "leaks"})
    worker, engine.there = engine.there[0], []

    page = client.get(reverse("jobadmin:workers")).content.decode()
    engine.there = [worker]
    back = client.get(reverse("jobadmin:workers")).content.decode()

    assert "The worker w1 was stopped from here" in page and "by marta: leaks" in page
    assert "No worker is left" in page and "No worker is known" not in page
    assert reverse("jobadmin:operation", args=[Operation.objects.get().pk]) in page
    assert "was stopped from here" not in back


def test_the_question_before_a_stop_says_who_may_start_it_again(browse, engine):
    page = browse("view_job", "control_workers").post(
        reverse("jobadmin:control", args=["stop-worker"]), {"engine": "obeying", "name": "w1"}
    )

    assert "whatever started it, such as systemd, Kubernetes or the demo, may do so by itself" in page.content.decode()
