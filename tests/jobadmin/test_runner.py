"""The thread that carries operations out: who starts it, and that it ends in order."""

import threading

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started

from jobadmin import runner
from jobadmin.models import Operation
from statuses.testing import make_status

from .test_bulk import confirm

#: As they are: other tests here have no thread behind their back.
WAKE = runner.Runner.wake


def test_a_request_of_the_test_client_starts_no_thread(browse, store, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(runner.Runner, "ensure", lambda self: started.append(self))

    browse().get("/admin/jobs/")
    assert started == []

    request_started.send(sender=WSGIHandler, environ={})
    assert len(started) == 1


def test_stopping_waits_for_what_was_begun_and_looks_for_no_more(monkeypatch) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []
    work = [(Operation(pk=1), None)]
    monkeypatch.setattr(runner, "take", lambda: work.pop() if work else None)

    class Slow:
        def __init__(self, *taken) -> None:
            pass

        def run(self) -> None:
            begun.set()
            go_on.wait(10)
            done.append(1)

    monkeypatch.setattr(runner, "Work", Slow)
    mine = runner.Runner()
    WAKE(mine)
    assert begun.wait(10)

    stopping = threading.Thread(target=mine.stop)
    stopping.start()
    assert (stopping.is_alive(), done) == (True, [])
    go_on.set()
    stopping.join(10)

    assert (stopping.is_alive(), done) == (False, [1])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("jobadmin")]


def test_a_stopped_one_can_be_woken_again(monkeypatch) -> None:
    looked = threading.Event()
    monkeypatch.setattr(runner, "take", looked.set)
    mine = runner.Runner()
    mine.stop()

    WAKE(mine)

    assert looked.wait(10)
    mine.stop()


@pytest.mark.parametrize("parameter", ["name", "error", "resource"])
def test_what_is_kept_of_an_operation_holds_no_null_characters(browse, store, parameter) -> None:
    make_status("started", job_name="a\x00b", error="a\x00b", job_args={"a": "a\x00b"})

    confirm(browse(), "kill", f"span=all&{parameter}=a%00b")
    runner.run_pending()

    operation = Operation.objects.get()
    assert operation.changed == 1
    assert "\x00" not in operation.filter + operation.description + str(operation.plan)


def test_an_operation_of_an_action_that_only_a_newer_version_knows_is_left_to_a_process_of_that(db, store) -> None:
    Operation.objects.create(action="mend-all", username="ann", announced=1)
    Operation.objects.create(action="kill", username="ann", announced=0, filter="span=all")

    assert runner.run_pending() == 1

    assert dict(Operation.objects.values_list("action", "state")) == {"mend-all": "waiting", "kill": "done"}


def test_an_operation_whose_filter_a_newer_version_wrote_does_nothing_and_says_what_cannot_be_read(db, store) -> None:
    job = make_status(state="queued")
    Operation.objects.create(action="kill", username="ann", announced=1, filter="span=all&colour=red")

    runner.run_pending()

    found = Operation.objects.get()
    assert (found.state, found.changed, job.reload().state) == ("failed", 0, "queued")
    assert "colour='red'" in found.error
