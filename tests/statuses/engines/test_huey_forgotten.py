"""Tasks that Huey has lost: a consumer took them and died before their start. And those it has not: a consumer has them in hand."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from huey import MemoryHuey, SqliteHuey
from huey.serializer import Serializer, SignedSerializer

import statuses
from statuses import State, Status, presence
from statuses.engines import huey as tracking
from statuses.engines.huey import kept as storage
from statuses.testing import frozen_clock
from tests.projects.running import Process, Project
from tests.servers import until

SOON = {"TEST_PRESENCE": "0.1"}


def look(project: Project) -> None:
    project.ask("reap", 1.0, waiting=True)


@pytest.mark.parametrize("running", ["huey"], indirect=True)
class TestAConsumer:
    @pytest.fixture(params=["worker", "command"])
    def consumer(self, request: Any, project: Project) -> Iterator[tuple[str, Process]]:
        """One with processes, and one with threads; its queue, which is its own."""
        queue = f"hand-{request.param}-{len(project.workers)}"
        started = project.start_worker("hand", queue, how=request.param, TEST_QUEUE=queue, **SOON)
        project.told(queue)
        yield queue, started
        started.kill()

    def test_what_it_has_taken_and_not_begun_with_waits_on_as_long_as_it_lives(
        self, project: Project, consumer: tuple[str, Process]
    ) -> None:
        queue, gate = consumer[0], f"in hand {consumer[0]}"
        job = project.send("add", "held up", gate, to=queue)
        project.began(gate)
        project.told(queue, lambda worker: job.id in worker.running)

        looks = [project.forgotten(job)]
        since = statuses.server_time()
        while statuses.server_time() - since < timedelta(seconds=1.5):  # longer than between the two looks
            look(project)
            looks.append(project.forgotten(job))
        waited = job.reload().state
        project.open(gate)

        assert (waited, {*looks}) == (State.queued, {False})
        assert project.ended(job).state is State.succeeded
        project.told(queue, lambda worker: not worker.running)

    def test_what_it_had_taken_when_it_was_killed_becomes_unknown(self, project: Project, consumer: tuple[str, Process]) -> None:
        queue, gate = consumer[0], f"lost {consumer[0]}"
        job = project.send("add", "held up", gate, to=queue)
        project.began(gate)
        project.told(queue, lambda worker: job.id in worker.running)
        waits = project.send("add", 1, 1, to=queue, later=3600)
        until(lambda: project.ask("put_off", queue) == [waits.provider_job_id], "it is put off")

        consumer[1].kill()

        until(lambda: look(project) or job.reload().state is not State.queued, "the reaper marks it")
        assert (job.state, waits.reload().state) == (State.unknown, State.unqueued)
        project.ask("lose_schedule", queue)
        until(lambda: project.forgotten(waits), "what was put off is lost, too")

    def test_nothing_is_forgotten_while_its_scheduler_puts_what_is_due_into_the_queue(
        self, project: Project, consumer: tuple[str, Process]
    ) -> None:
        queue = consumer[0]
        lost = project.send("add", 1, 1, to=queue, later=3600)
        until(lambda: project.ask("put_off", queue) == [lost.provider_job_id], "it is put off")
        project.ask("lose_schedule", queue)
        until(lambda: project.forgotten(lost), "it is lost")

        gate = f"due {queue}"
        first = project.send("add", "let go", gate, to=queue, later=1)
        project.began(gate)
        until(lambda: not project.forgotten(lost), "the consumer says so")
        project.open(gate)

        assert project.ended(first).state is State.succeeded
        until(lambda: project.forgotten(lost), "it has put all into the queue")

    def test_the_callback_of_a_chord_is_not_forgotten_before_it_is_sent(self, project: Project, shared: Process) -> None:
        *_, after = project.ask("send_chord", "chord one", "chord two")
        after = project.status(after)
        project.began("chord two")

        assert (after.state, project.forgotten(after)) == (State.unqueued, False)
        project.open("chord one")
        project.open("chord two")
        project.ended(after)

    def test_the_callback_of_a_chord_of_which_a_member_was_lost_becomes_unknown(self, project: Project) -> None:
        queue = "chord-lost"
        lost_with = project.start_worker("chord", queue, TEST_QUEUE=queue, **SOON)
        *ids, after_id = project.ask("send_chord", "lost one", "lost two", to=queue)
        project.began("lost one")
        project.began("lost two")
        members, after = [project.status(id) for id in ids], project.status(after_id)

        lost_with.kill()
        looked = set()
        until(lambda: look(project) or looked.add(after.reload().state) or members[0].reload().is_ended, "its member is given up")
        project.start_worker("goes on", queue, TEST_QUEUE=queue, **SOON)
        until(lambda: look(project) or after.reload().state is not State.unqueued, "it is marked")

        assert (looked, after.state) == ({State.unqueued}, State.unknown)
        assert {job.reload().state for job in members} == {State.failed, State.succeeded}

    def test_what_one_runs_that_says_nothing_of_itself_is_not_forgotten(self, project: Project) -> None:
        queue, gate = "hand-without", "hand without"
        job = project.send("gated", gate, to=queue)
        project.start_worker("without", queue, TEST_WITHOUT_ADAPTER="1", TEST_QUEUE=queue)
        project.began(gate)

        assert (job.reload().state, project.forgotten(job)) == (State.queued, False)
        project.open(gate)


def tracked(made: Any) -> Iterator[tuple[Any, tracking.Huey, Status]]:
    """A Huey with a consumer that tells of itself, and a job that is nowhere in it."""
    engine = tracking.install(made, name="kept")
    made.task()(add)
    job = statuses.create(job_name="add", engine="kept", provider_job_id="lost", queue=made.name, state="queued")
    tell("c1")
    yield made, engine, job
    tracking.uninstall(made)


def tell(consumer: str, **facts: Any) -> None:
    """A report of a consumer that has nothing in hand but what is said."""
    presence.tell("kept", consumer, {"queues": ["kept"], "running": [], "letting_go": 0, **facts})


def add(x: int, y: int) -> int:
    return x + y


@pytest.fixture
def kept(store: Any, tmp_path: Any) -> Iterator[tuple[Any, tracking.Huey, Status]]:
    yield from tracked(SqliteHuey("kept", filename=str(tmp_path / "kept.db")))


def test_a_consumer_that_was_not_heard_lately_may_have_taken_it(kept: Any) -> None:
    _, engine, job = kept
    with frozen_clock() as clock:
        tell("c1")
        heard = engine.forgotten([job])
        clock.tick(2 * presence.EVERY_SECONDS + 1)
        late = engine.forgotten([job])
        clock.tick(120)
        dead = engine.forgotten([job])

    assert (heard, late, dead) == ([job], [], [job])


@pytest.mark.parametrize("facts", [{"letting_go": 3}, {"running": [f"job-{number}" for number in range(1000)]}])
def test_what_it_has_taken_without_saying_its_name_may_be_any(kept: Any, facts: Any) -> None:
    _, engine, job = kept
    tell("c1", **facts)
    with_more = engine.forgotten([job])
    tell("c1")

    assert (with_more, engine.forgotten([job])) == ([], [job])


def test_while_a_consumer_of_an_older_version_lives_that_does_not_say_all_nobody_can_tell(kept: Any) -> None:
    _, engine, job = kept
    presence.tell("kept", "older", {"queues": ["kept"], "running": []})
    with_older = engine.forgotten([job])
    presence.leave("kept", "older")

    assert (with_older, engine.forgotten([job])) == ([], [job])


def test_of_what_it_said_before_it_fell_silent_nothing_is_held_for_ever(kept: Any) -> None:
    _, engine, job = kept
    with frozen_clock() as clock:
        tell("c1", running=[job.id])
        held = engine.forgotten([job])
        clock.tick(121)

        assert (held, engine.forgotten([job])) == ([], [job])


def test_where_no_consumer_tells_of_itself_nobody_can_tell(kept: Any) -> None:
    _, engine, job = kept
    presence.leave("kept", "c1")
    without = engine.forgotten([job])
    tell("c2", queues=["another"])

    assert without == engine.forgotten([job]) == []


@pytest.mark.parametrize("odd", [b"no pickle", SignedSerializer(secret="theirs").serialize("signed"), Serializer().serialize("a text")])
def test_a_task_that_cannot_be_read_may_be_any(kept: Any, odd: bytes) -> None:
    made, engine, job = kept
    made.storage.enqueue(odd)
    while_odd = engine.forgotten([job])
    made.storage.flush_queue()

    assert (while_odd, engine.forgotten([job])) == ([], [job])


class Made:
    """An argument; how often one was made of a pickle."""

    times = 0

    def __setstate__(self, state: Any) -> None:
        Made.times += 1


def made_argument() -> Made:
    found = Made()
    found.__dict__["x"] = 1
    return found


@pytest.mark.parametrize(("serializer", "made"), [(Serializer(), 0), (Serializer(compression=True), 2), (Serializer(pickle_protocol=2), 2)])
def test_whose_a_task_is_is_read_without_its_arguments_where_it_can_be(kept: Any, serializer: Serializer, made: int) -> None:
    huey, engine, job = kept
    huey.serializer = serializer
    kind = huey._registry.string_to_task(next(iter(huey._registry._registry)))
    huey.enqueue(kind((made_argument(), "x" * 70_000), id=job.provider_job_id))
    huey.enqueue(kind((made_argument(),), id="\u00fcnicode", eta=datetime(2030, 1, 1)))
    huey.add_schedule(kind((), id="for later"))
    Made.times = 0

    ids, times = storage.task_ids(huey), Made.times

    assert (ids, times, engine.forgotten([job])) == ({job.provider_job_id, "\u00fcnicode", "for later"}, made, [])


def test_of_more_tasks_than_are_read_nobody_looks_whose_they_are(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, engine, job = kept
    monkeypatch.setattr("statuses.engines.huey.kept.MOST", 1)
    tasks = [made._registry.string_to_task(next(iter(made._registry._registry)))((1, 1)) for _ in range(2)]
    for task in tasks:
        made.enqueue(task)
    many = engine.forgotten([job])
    made.dequeue()

    assert (many, engine.forgotten([job])) == ([], [job])


def test_what_stands_in_the_memory_of_another_process_is_never_forgotten(store: Any) -> None:
    for made in (MemoryHuey("kept"), SqliteHuey("kept", filename=":memory:")):
        for _, engine, _ in tracked(made):
            assert not engine.can_tell_forgotten
