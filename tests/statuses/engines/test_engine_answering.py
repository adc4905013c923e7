"""Asking what may not answer."""

import threading
import time

import pytest

from statuses.engines import answering
from statuses.engines.answering import FIRST, MOST, Asker, Patience, together


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


class Broker:
    """One that gives what it is told to, and counts how often it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.is_kept = False
        self.asked = 0

    def ask(self) -> object:
        self.asked += 1
        return self.answers.pop(0)


def test_a_broker_that_was_asked_in_vain_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, patience = Broker(None, 42), Patience()
    away = [patience.ask(broker.ask, lambda: broker.is_kept) for _ in range(3)]
    asked = broker.asked

    monkeypatch.setattr(patience, "_away_until", time.monotonic())

    assert (away, asked, patience.ask(broker.ask, lambda: broker.is_kept)) == ([None] * 3, 1, 42)


def test_a_line_that_was_kept_and_is_cut_is_tried_anew_at_once_unless_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, hangs = Broker(None, 42), Broker(None, 42)

    at_once = Patience().ask(cut.ask, lambda: True)
    monkeypatch.setattr(answering, "TIMEOUT_SECONDS", 0.0)  # whatever an answer takes is long
    waited = Patience().ask(hangs.ask, lambda: True)

    assert (at_once, cut.asked) == (42, 2)
    assert (waited, hangs.asked) == (None, 1)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        (0.0, [FIRST, 40, 160, MOST, MOST, 90]),
        (0.5, [FIRST] * 130),
        (2.0, [FIRST, 2, *[1] * 1_288]),
    ],
    ids=["quick", "fair", "slow"],
)
def test_many_are_asked_about_together_as_long_as_that_is_quick(seconds: float, sizes: list[int]) -> None:
    asked: list[int] = []
    now = [0.0]

    def ask(jobs: list[int]) -> list[int]:
        asked.append(len(jobs))
        now[0] += seconds
        return [-job for job in jobs]

    told = list(together(range(1_300), ask, lambda: now[0]))

    assert told == [-number for number in range(1_300)]
    assert asked == sizes


def test_nobody_is_asked_before_somebody_wants_to_know() -> None:
    asked: list[int] = []

    told = together(range(FIRST + 1), lambda jobs: asked.append(len(jobs)) or jobs)

    assert asked == []
    assert [next(told) for _ in range(FIRST)] and asked == [FIRST]
    assert list(told) == [FIRST] and asked == [FIRST, 1]
    assert list(together([], _raise)) == []
