"""Messages that Dramatiq's Redis has lost, and those that it seems to have lost: a worker has them, or may."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message

import statuses
from statuses import State, Status, presence
from statuses.engines import dramatiq as tracking
from statuses.engines.dramatiq import taken
from statuses.testing import frozen_clock
from tests.projects.running import Process, Project
from tests.servers import until
from tests.statuses.proxy import Proxy

SOON = {"TEST_PRESENCE": "0.1"}


def look(project: Project) -> None:
    project.ask("reap", 1.0, waiting=True)


def becomes_unknown(project: Project, *jobs: Status) -> None:
    until(lambda: look(project) or {job.reload().state for job in jobs} == {State.unknown}, "the reaper marks them")


def looks_at_length(project: Project, *jobs: Status) -> set[State]:
    """The states they were in while the reaper looked for longer than it waits between two looks."""
    since, states = statuses.server_time(), set()
    while (statuses.server_time() - since).total_seconds() < 2:
        look(project)
        states |= {job.reload().state for job in jobs}
    return states


@pytest.mark.parametrize("running", ["dramatiq"], indirect=True)
class TestAWorker:
    @pytest.fixture
    def flush(self, project: Project) -> Any:
        """Empty the broker, as a server does that comes back without its data."""
        return lambda: project.broker.client(db=4).flushdb()

    def start(self, project: Project, queue: str, **environment: str) -> Process:
        worker = project.start_worker("forgotten", queue, **SOON, **environment)
        project.told(queue.partition(",")[0])
        return worker

    def test_what_its_broker_lost_becomes_unknown_and_what_it_has_in_its_memory_runs(self, project: Project, flush: Any) -> None:
        project.ask("control", "pause_queue", "lost-beside")
        self.start(project, "flushed,lost-beside")
        project.told("lost-beside", lambda worker: "lost-beside" in worker.held)
        lost = project.send("add", 1, 1, to="lost-beside")
        runs = [project.send("gated", f"flushed {number}", to="flushed") for number in range(2)]
        ahead = project.send("add", 1, 2, to="flushed")
        later = project.send("add", 1, 3, to="flushed", later=6)
        for number in range(2):
            project.began(f"flushed {number}")
        until(lambda: {ahead.provider_job_id, later.provider_job_id} <= {*_taken("flushed")}, "it has taken them")

        before = project.forgotten(lost)
        flush()
        becomes_unknown(project, lost)
        look(project)
        meanwhile = ahead.reload().state
        for number in range(2):
            project.open(f"flushed {number}")

        assert (before, meanwhile) == (False, State.queued)
        assert [project.ended(job).state for job in (*runs, ahead, later)] == [State.succeeded] * 4
        project.ask("control", "resume_queue", "lost-beside")

    def test_what_a_killed_one_had_taken_is_handed_out_again_and_lost_with_its_broker(self, project: Project, flush: Any) -> None:
        worker = self.start(project, "killed", TEST_HANDED_OUT_AGAIN="1")
        later = project.send("add", 1, 1, to="killed", later=3600)
        until(lambda: later.provider_job_id in _taken("killed"), "it has taken it")

        worker.kill()
        states = looks_at_length(project, later)
        flush()

        assert states == {State.unqueued}
        becomes_unknown(project, later)

    def test_one_that_is_cut_off_from_the_store_alone_may_have_any(self, project: Project, flush: Any, tmp_path: Path) -> None:
        with Proxy(tmp_path, project.store.socket) as line:
            self.start(project, "cut-off", TEST_STORE=line.url)
            line.turn_to("/nowhere/at all")
            gates = [f"cut off {number}" for number in range(2)]
            jobs = [project.send("gated", gate, to="cut-off") for gate in gates]
            ahead = project.send("add", 1, 1, to="cut-off")
            for gate in gates:
                project.began(gate)
            until(lambda: not project.broker.client(db=4).llen("dramatiq:cut-off"), "it was taken ahead")
            flush()
            states = looks_at_length(project, jobs[0], ahead)
            line.turn_to(project.store.socket)
            for gate in gates:
                project.open(gate)

            assert states == {State.queued}
            assert [project.ended(job).state for job in (*jobs, ahead)] == [State.succeeded] * 3

    def test_where_none_that_tells_of_itself_takes_from_a_queue_nobody_can_tell(self, project: Project, flush: Any) -> None:
        job = project.send("gated", "without", to="without-adapter")
        project.start_worker("without", "without-adapter", TEST_WITHOUT_ADAPTER="1")
        project.began("without")
        flush()

        assert not project.forgotten(job)
        project.open("without")

    def test_the_callback_of_a_group_is_not_forgotten_for_a_retry_lets_it_go(self, project: Project, shared: Process) -> None:
        *_, after = project.ask("send_group", "group one", "group two", then="after the group")
        after = project.status(after)
        project.began("group one")

        assert (after.state, project.forgotten(after)) == (State.unqueued, False)
        project.open("group one")
        project.open("group two")
        project.ended(after)

    def test_the_callback_of_a_group_whose_members_were_lost_is_lost_with_them_and_a_retry_of_them_lets_it_go(
        self, project: Project
    ) -> None:
        self.start(project, "lost-group")
        project.ask("control", "pause_queue", "lost-group")
        project.told("lost-group", lambda worker: "lost-group" in worker.held)
        *members, after = map(project.status, project.ask("send_group_of_unreliable", "lost member", "after the lost", to="lost-group"))
        before = project.forgotten(after)
        project.broker.client(db=4).delete("dramatiq:lost-group", "dramatiq:lost-group.msgs")

        becomes_unknown(project, *members)
        becomes_unknown(project, after)
        project.ask("control", "resume_queue", "lost-group")
        for job in members:
            project.retry(job)
        project.retry(project.ended(members[1]))

        assert (before, project.ended(after).state, project.noted("after the lost")) == (False, State.succeeded, 1)


def _taken(queue: str) -> list[str]:
    """The messages that workers of a queue say that they have."""
    return [id for report in presence.reports("dramatiq") if queue in report.facts["queues"] for id in report.facts["taken"]]


class TestWhatWorkersSay:
    @pytest.fixture
    def broker(self, servers: Any, store: Any) -> Iterator[RedisBroker]:
        """A broker with a job that is nowhere in it, and a worker of its queue that has nothing."""
        client = servers[0].client(db=5)
        client.flushdb()
        broker = RedisBroker(client=type(client)(unix_socket_path=str(servers[0].socket), db=5))
        self.engine = tracking.install(broker, name="kept")
        self.job = statuses.create(job_name="add", engine="kept", provider_job_id="lost", queue="kept", state="queued")
        self.later = statuses.create(job_name="add", engine="kept", provider_job_id="lost later", queue="kept")
        self.tell()
        yield broker
        tracking.uninstall(broker)
        client.flushdb()

    def tell(self, name: str = "w1", **facts: Any) -> None:
        presence.tell("kept", name, {"queues": ["kept"], "broker": f"of {name}", "taken": [], "more": 0, "more_later": 0, **facts})

    def forgotten(self) -> list[Status]:
        return self.engine.forgotten([self.job, self.later])

    def test_what_it_has_and_what_it_may_have_is_not_forgotten(self, broker: RedisBroker) -> None:
        said = []
        for facts in ({}, {"taken": ["lost"]}, {"more": 3}, {"more_later": 3}, {"queues": ["another"]}):
            self.tell(**facts)
            said.append(self.forgotten())

        assert said == [[self.job, self.later], [self.later], [], [self.job], []]

    @pytest.mark.parametrize(
        ("states", "is_lost"),
        [
            (["succeeded", "started"], False),
            (["unknown", "started"], False),
            (["succeeded", "failed"], False),
            (["succeeded", "killed"], False),
            (["succeeded", "unknown"], True),
            (["failed", "unknown"], True),
            (["succeeded", "succeeded"], True),
            (["succeeded", None], False),
        ],
    )
    def test_the_callback_of_a_group_that_nothing_lets_go_any_more_is_lost(
        self, broker: RedisBroker, states: list[str | None], is_lost: bool
    ) -> None:
        for number, state in enumerate(states):
            if state is not None:
                statuses.create(job_name="add", engine="kept", provider_job_id=f"member {number}", queue="kept", state=state)
        after = statuses.create(
            job_name="add", engine="kept", provider_job_id="after", queue="kept", depends_on=[f"member {number}" for number in range(2)]
        )

        assert self.engine.forgotten([after]) == ([after] if is_lost else [])

    def test_one_that_was_not_heard_lately_may_have_any_until_it_is_dead_for_the_broker_too(self, broker: RedisBroker) -> None:
        with frozen_clock() as clock:
            self.tell()
            clock.tick(2 * presence.EVERY_SECONDS + 1)
            late = self.forgotten()
            clock.tick(120)
            dead = self.forgotten()
            now, _ = broker.client.time()
            broker.client.zadd("dramatiq:__heartbeats__", {"of w1": now * 1000})
            heard_by_broker = self.forgotten()
            broker.client.zadd("dramatiq:__heartbeats__", {"of w1": (now - 62) * 1000})
            no_longer = self.forgotten()

        assert (late, dead, heard_by_broker, no_longer) == ([], [self.job, self.later], [], [self.job, self.later])

    def test_one_of_an_older_version_does_not_say_all(self, broker: RedisBroker) -> None:
        presence.tell("kept", "older", {"queues": ["kept"]})

        assert self.forgotten() == []

    def test_what_stands_in_its_queue_or_is_put_off_is_there(self, broker: RedisBroker) -> None:
        broker.declare_queue("kept")
        for id, delay in (("lost", None), ("lost later", 3_600_000)):
            message = Message("kept", "add", (), {}, {}, message_id=id)
            broker.enqueue(message, delay=delay)
        there = self.forgotten()
        broker.flush("kept")

        assert (there, self.forgotten()) == ([], [self.job, self.later])

    def test_of_messages_that_cannot_be_read_or_are_too_many_nobody_can_tell(
        self, broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broker.client.hset("dramatiq:kept.msgs", "odd", b"no message")
        odd = self.forgotten()
        broker.client.delete("dramatiq:kept.msgs")
        monkeypatch.setattr("statuses.engines.dramatiq.kept.MOST", 1)
        for id in ("one", "two"):
            broker.client.hset("dramatiq:kept.DQ.msgs", id, Message("kept", "add", (), {}, {}).encode())

        assert odd == self.forgotten() == []

    def test_of_thousands_for_later_it_tells_those_that_are_due_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taken, "MOST_TAKEN", 3)
        broker = type("Broker", (), {"broker_id": "b"})()
        messages = {id: Message("q", "add", (), {}, {}, message_id=id) for id in ("ahead", "third", "first", "second")}
        put_off = [(at, messages[id]) for at, id in ((3, "third"), (1, "first"), (2, "second"))]
        threads = {
            "q": _thread("q", unread=2),
            "q.DQ": _thread("q.DQ", put_off, unread=1),
        }
        worker = _having(consumers=threads, work_queue=_having(queue=[(0, messages["ahead"])]))

        found = taken.facts(broker, worker, taken.InHand())

        assert found == {"broker": "b", "taken": ["ahead", "first", "second"], "more": 2, "more_later": 2}


def _thread(name: str, put_off: Any = (), unread: int = 0) -> Any:
    return _having(queue_name=name, delay_queue=_having(queue=[*put_off]), consumer=_having(message_cache=[b"?"] * unread))


def _having(**attributes: Any) -> Any:
    return type("Having", (), attributes)()
