"""Engines that answer from elsewhere are asked with the page's patience, and not more often than they have to be."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import statuses
from jobadmin import answers, controls, lost
from jobadmin.answers import Manner, NoAnswer
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Worker
from tests.servers import until

#: A page that waits as long as it takes, and sees this moment; one that takes what there is; one that hardly waits.
PATIENT, TRUSTING, HASTY = Manner(30, 0), Manner(30, 30), Manner(0.01, 0)


class Elsewhere(Engine):
    """An engine whose list of workers lies on a server that answers when a test lets it."""

    name = "elsewhere"
    has_workers = has_queues = can_pause_queue = True
    asks_elsewhere = frozenset({"workers", "queues"})

    def __init__(self) -> None:
        self.answers, self.asked, self.asking = threading.Event(), 0, set[str]()
        self.answers.set()
        self.error: Exception | None = None
        self.alive = True
        self.lines: list[Queue] = []

    def workers(self) -> list[Worker]:
        answers = self.answers
        self.asked += 1
        self.asking.add(threading.current_thread().name)
        answers.wait(10)
        if self.error is not None:
            raise self.error
        return [Worker(name=f"w{self.asked}", is_alive=self.alive)]

    def queues(self) -> list[Queue]:
        self.answers.wait(10)
        return self.lines

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        return True


@pytest.fixture
def engine() -> Iterator[Elsewhere]:
    engine = Elsewhere()
    registry.register(engine)
    yield engine
    engine.answers.set()
    registry.unregister(engine.name)
    until(lambda: not asking(), "no thread asks any more")


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("jobadmin-asks")]


def names(engine: Engine, manner: Manner) -> list[str]:
    return [worker.name for worker in answers.of(engine, "workers", manner)]


def test_an_answer_is_kept_for_those_who_believe_it_and_asked_for_anew_by_those_who_do_not(engine: Elsewhere) -> None:
    assert [names(engine, manner) for manner in (TRUSTING, TRUSTING, PATIENT, TRUSTING)] == [["w1"], ["w1"], ["w2"], ["w2"]]


def test_many_who_look_at_once_share_one_question(engine: Elsewhere) -> None:
    engine.answers.clear()
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(names(engine, TRUSTING))) for _ in range(20)]
    for thread in threads:
        thread.start()

    engine.answers.set()
    for thread in threads:
        thread.join()

    assert found == [["w1"]] * 20 and engine.asked == 1


def test_an_engine_that_hangs_is_asked_by_one_thread_and_waited_for_by_nobody(engine: Elsewhere) -> None:
    engine.answers.clear()

    for what in ("workers", "queues") * 50:
        with pytest.raises(NoAnswer, match=f"did not tell of its {what} in time"):
            answers.of(engine, what, HASTY)

    assert len(asking()) == engine.asked == 1


def test_whoever_comes_when_it_has_hung_for_long_does_not_wait_at_all(engine: Elsewhere) -> None:
    engine.answers.clear()
    with pytest.raises(NoAnswer):
        names(engine, HASTY)
    hanging = answers._line(engine)._open
    assert hanging is not None
    hanging.began -= PATIENT.patience_seconds

    with pytest.raises(NoAnswer):  # who waited would be given this very answer in the end
        names(engine, Manner(PATIENT.patience_seconds, 2 * PATIENT.patience_seconds))


def hang(engine: Elsewhere) -> threading.Event:
    """Let a question hang for so long that it is given up, until the event that comes back."""
    asked, hangs = engine.asked, threading.Event()
    engine.answers = hangs
    with pytest.raises(NoAnswer):
        names(engine, HASTY)
    until(lambda: engine.asked == asked + 1, "it is asked")
    hanging = answers._line(engine)._open
    assert hanging is not None
    hanging.began -= answers.GIVEN_UP_SECONDS
    return hangs


def test_a_question_that_never_has_an_answer_is_given_up_and_asked_anew(engine: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SLOW_SECONDS", 30.0)
    given_up = hang(engine)
    engine.answers = threading.Event()
    engine.answers.set()

    assert names(engine, PATIENT) == ["w2"]
    given_up.set()
    until(lambda: not asking(), "the one that was given up has its answer after all")
    assert names(engine, TRUSTING) == ["w2"]


def test_what_a_question_that_was_given_up_brings_leaves_the_one_that_is_asked_now_alone(engine: Elsewhere) -> None:
    given_up, present = hang(engine), hang(engine)

    given_up.set()
    until(lambda: len(asking()) == 1, "the first has its answer")
    question = answers._line(engine)._open
    present.set()

    assert question is not None and question.what == "workers"
    until(lambda: answers._line(engine)._open is None, "the second has its answer")


def test_no_more_than_three_questions_of_an_engine_hang_at_once(engine: Elsewhere) -> None:
    hanging = [hang(engine) for _ in range(3)]

    for _ in range(10):
        with pytest.raises(NoAnswer):
            names(engine, HASTY)
    asked = engine.asked
    hanging[0].set()
    until(lambda: len(asking()) == 2, "one has its answer")
    hanging.append(hang(engine))

    assert (asked, engine.asked, len(asking())) == (3, 4, 3)
    for each in hanging:
        each.set()


def test_an_engine_that_answers_again_is_believed_again(engine: Elsewhere) -> None:
    engine.answers.clear()
    with pytest.raises(NoAnswer):
        names(engine, HASTY)

    engine.answers.set()
    until(lambda: not asking(), "the question that hung has its answer")

    assert names(engine, TRUSTING) == ["w1"]
    assert names(engine, PATIENT) == ["w2"]


def test_what_was_answered_a_moment_ago_stands_for_what_does_not_come(engine: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(engine, PATIENT) == ["w1"]
    engine.answers.clear()

    kept = names(engine, HASTY)
    monkeypatch.setattr(answers, "KEPT_SECONDS", 0.0)

    assert kept == ["w1"]
    with pytest.raises(NoAnswer):
        names(engine, HASTY)


@pytest.mark.parametrize("error", [OSError("refused"), statuses.StoreUnavailable("a read", "away")])
def test_an_error_is_an_answer_too(engine: Elsewhere, error: Exception) -> None:
    engine.error = error

    for _ in range(2):
        with pytest.raises(type(error)):
            names(engine, TRUSTING)

    assert engine.asked == 1
    engine.error = None
    assert names(engine, PATIENT) == ["w2"]


def test_after_an_order_nothing_is_believed_that_was_asked_before(engine: Elsewhere) -> None:
    assert names(engine, TRUSTING) == ["w1"]

    controls.give(controls.PAUSE, engine, Queue(name="mail", engine=engine.name), "marta")

    assert names(engine, TRUSTING) == ["w2"]


def test_an_engine_that_reads_the_store_is_asked_by_who_looks(engine: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Elsewhere, "asks_elsewhere", frozenset())

    assert [names(engine, TRUSTING), names(engine, TRUSTING)] == [["w1"], ["w2"]]
    assert engine.asking == {threading.current_thread().name}


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it has a thread that asks: that is the point
def test_a_forked_process_asks_by_itself(engine: Elsewhere) -> None:
    engine.answers.clear()
    with pytest.raises(NoAnswer):
        names(engine, HASTY)

    assert in_child(lambda: (engine.answers.set(), names(engine, PATIENT))[1] == ["w2"])


def in_child(true: Callable[[], Any]) -> bool:
    """What `true` gives in a forked process."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if true() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.usefixtures("store")
def test_a_page_waits_no_longer_for_who_could_say_whether_its_job_is_lost(engine: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.alive = False
    first, second = (statuses.create(job_name="a", engine=engine.name).started(worker=worker) for worker in ("w1", "w2"))
    monkeypatch.setattr(answers, "NOW", PATIENT)
    assert lost.is_lost(first)

    engine.answers = threading.Event()
    monkeypatch.setattr(answers, "NOW", HASTY)

    assert not lost.is_lost(second)
    assert threading.current_thread().name not in engine.asking
