"""What a Celery worker does that is told to stop once more."""

from types import SimpleNamespace

import pytest
from celery.exceptions import WorkerShutdown
from celery.worker.control import Panel

from statuses.engines.celery import presence, stopping


def reporter(name: str, is_stopping: bool) -> SimpleNamespace:
    return SimpleNamespace(controller=SimpleNamespace(hostname=name), is_stopping=is_stopping)


def test_a_second_order_to_stop_breaks_no_job_off(monkeypatch: pytest.MonkeyPatch) -> None:
    presence.connect()
    presence.connect()
    worker = reporter("a@host", is_stopping=False)
    monkeypatch.setattr(presence, "_reporters", {1: worker, 2: reporter("b@host", is_stopping=True)})
    shutdown, state = Panel.data[stopping.SHUTDOWN], SimpleNamespace(hostname="a@host")

    with pytest.raises(WorkerShutdown):
        shutdown(state)
    worker.is_stopping = True  # by the step of its blueprint that closes first

    assert shutdown(state, msg="again") == {"ok": "it is stopping already"}


def test_a_worker_without_reports_hears_celerys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    presence.connect()
    monkeypatch.setattr(presence, "_reporters", {})

    with pytest.raises(WorkerShutdown):
        Panel.data[stopping.SHUTDOWN](SimpleNamespace(hostname="a@host"))
