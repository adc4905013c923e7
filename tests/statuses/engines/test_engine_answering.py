"""Asking what may not answer."""

import threading
import time

import pytest

from statuses.engines import answering
from statuses.engines.answering import Asker


def test_an_answer_and_an_error_come_through() -> None:
    asker = Asker()

    assert asker.ask(lambda: 42) == 42
    with pytest.raises(OSError, match="gone"):
        asker.ask(lambda: _raise(OSError("gone")))
    assert asker.ask(lambda: 43) == 43


def test_what_does_not_answer_is_waited_for_once_and_not_at_all_until_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 0.2)
    before = set(threading.enumerate())
    asker, let_go, began = Asker(), threading.Event(), time.monotonic()
    with pytest.raises(TimeoutError):
        asker.ask(let_go.wait)
    first = time.monotonic() - began
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 3600)  # who waits now does so for ever

    for _ in range(100):
        with pytest.raises(TimeoutError, match="an earlier question"):
            asker.ask(lambda: 42)
    hanging = [thread for thread in set(threading.enumerate()) - before if thread.name == "statuses-asking"]
    let_go.set()
    hanging[0].join()

    assert first >= 0.2
    assert len(hanging) == 1
    assert asker.ask(lambda: 42) == 42


def test_threads_take_turns() -> None:
    asker, found = Asker(), []
    threads = [threading.Thread(target=lambda n=n: found.append(asker.ask(lambda: n))) for n in range(20)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == list(range(20))


def _raise(error: Exception) -> None:
    raise error
