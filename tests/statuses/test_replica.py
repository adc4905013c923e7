"""Questions asked of a replica that is behind, and of one that is older than the one before: an answer is true of one moment, and what
is written, looked up by id, removed or cleaned goes by the primary."""

import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import statuses
from statuses import pauses
from statuses.cache import partials
from statuses.store import current
from statuses.tracked import guard_of
from tests.servers import until
from tests.statuses.instances import Instance, instances
from tests.statuses.proxy import Proxy


class Replicas:
    """A primary that is written to, and a line to whichever replica is asked."""

    def __init__(self, primary: Instance, make: Callable[..., Instance], line: Proxy) -> None:
        self.primary, self._make, self.line = primary, make, line

    def replica(self) -> Instance:
        """One more, which has heard everything up to here."""
        made = self._make("--replicaof", "127.0.0.1", str(self.primary.port))
        self.hear(made)
        return made

    def hear(self, replica: Instance) -> None:
        """Wait until it has heard everything up to here."""
        told = self.primary.client().info("replication")["master_repl_offset"]
        until(lambda: heard(replica) >= told, "the replica has caught up")

    def ask(self, replica: Instance) -> None:
        """From now on this one is asked."""
        self.line.turn_to(replica.socket)

    def configure(self) -> None:
        """As a process that knows nothing yet."""
        statuses.configure(url=self.primary.url, namespace="r", read_url=self.line.url)
        partials.clear()


def heard(replica: Instance) -> int:
    """How far it has heard its primary; -1 until it has all that was before."""
    told = replica.client().info("replication")
    return int(told["slave_repl_offset"]) if told.get("master_link_status") == "up" else -1


def fall_behind(replica: Instance) -> None:
    """From now on it hears nothing."""
    replica.client().replicaof("NO", "ONE")


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with instances() as make:
        primary = make("--repl-diskless-sync-delay", "0")
        with Proxy(tmp_path, primary.socket) as line:
            made = Replicas(primary, make, line)
            made.configure()
            yield made


@pytest.fixture
def behind(replicas: Replicas) -> tuple[Replicas, Instance, list[statuses.Status]]:
    """A replica that heard of three jobs and nothing since."""
    jobs = [statuses.create(job_name=name, state="started", job_args={"book": "Book:1"}) for name in "abc"]
    jobs[1].failed(error="e")
    replica = replicas.replica()
    fall_behind(replica)
    replicas.ask(replica)
    return replicas, replica, jobs


def answers() -> dict[str, Any]:
    """Every kind of answer, and the jobs one by one."""
    every = statuses.all()
    pages, cursor = [], every.limit(3).run()
    while len(cursor):
        pages.append(cursor.ids())
        cursor = every.limit(3).after(cursor.next).run() if cursor.next else ()
    return {
        "counts": every.counts(),
        "names": every.counts_by("job_name"),
        "errors": every.counts_by("error"),
        "resources": every.counts_by("job_arg"),
        "run_time": every.durations("run_time"),
        "by name": every.durations_by("job_name", "run_time"),
        "histogram": every.histogram("run_time"),
        "timeline": every.timeline(buckets=7),
        "of a resource": statuses.where(job_arg="Book:1").ids(),
        "of a name": {name: statuses.where(job_name=name).count() for name in "abcdefgh"},
        "asked": statuses.where(kill_requested=True).ids(),
        "values": every.values("job_name"),
        "pages": pages,
        "jobs": [(job.id, job.state, job.job_name, job.worker, job.attempt, job.error_group) for job in every.run()],
    }


def something(chance: random.Random, jobs: list[statuses.Status]) -> None:
    """One write of any kind, to a job that may be gone."""
    name = chance.choice("abcdefgh")
    verbs: list[Callable[[statuses.Status], object]] = [
        lambda job: job.started(worker=name),
        lambda job: job.succeeded(),
        lambda job: job.failed(error=f"{name} failed"),
        lambda job: job.requeued(),
        lambda job: job.request_kill(),
        lambda job: job.killed(),
        lambda job: job.set_job_name(name),
        lambda job: job.set_job_args({"book": f"Book:{chance.randrange(3)}"}),
        lambda job: job.delete(force=True),
    ]
    if chance.random() < 0.4 or not jobs:
        jobs.append(statuses.create(job_name=name, job_args={"book": f"Book:{chance.randrange(3)}"}))
        return
    with contextlib.suppress(statuses.StatusNotFound):
        chance.choice(verbs)(chance.choice(jobs))


def test_questions_go_to_the_replica_and_writes_to_the_primary(behind) -> None:
    _, replica, _ = behind
    made = statuses.create(job_name="new")

    assert statuses.where(job_name="new").count() == 0
    assert statuses.all().counts()[statuses.State.started] == 2
    assert statuses.find(made.id).job_name == "new"
    assert replica.client().info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0) == 0


def test_what_is_known_by_its_id_is_read_from_the_primary(behind) -> None:
    _, _, (first, second, third) = behind
    first.save([1]).add_error("x").succeeded()
    second.started(worker="w")
    third.request_kill(by="ops")

    assert (statuses.find(first.id).state, first.data, first.errors) == ("succeeded", [1], ["x"])
    assert [(one.state, one.errors) for one in second.reload().prior_attempts] == [("failed", ["e"])]
    with pytest.raises(statuses.KillRequested):
        third.check_kill()
    third.delete(force=True)
    assert statuses.find(third.id) is None
    assert statuses.where(id=third.id).count() == 1  # as of what the replica heard


def test_what_was_chosen_on_a_replica_that_is_behind_is_looked_at_again_before_it_is_changed(behind) -> None:
    _, _, (first, second, third) = behind
    first.succeeded()
    second.started()
    third.delete(force=True)

    killed = statuses.where(state="started").request_kill_all()
    removed = statuses.where(state="failed").delete_all()
    taken = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10))

    assert (killed.changed, killed.skipped, killed.missing) == (0, 1, 1)
    assert (removed.changed, removed.skipped) == (0, 1)
    assert (taken.changed, taken.skipped, taken.missing) == (1, 1, 1)
    assert second.reload().state == "started" and not second.kill_requested
    assert statuses.restore(taken.undo).changed == 1 and first.reload().state == "succeeded"


def test_cleaning_and_checking_go_by_the_primary(behind) -> None:
    _, _, (first, second, _) = behind
    second.started()
    first.succeeded().keep_for(timedelta(days=900))

    cleaned = statuses.clean(older_than=timedelta(0))

    assert (cleaned.removed, cleaned.promised) == (0, 1)
    assert statuses.check().problems == ()


def test_a_job_loaded_from_the_replica_is_written_and_read_at_the_primary(behind) -> None:
    _, _, (first, *_) = behind
    first.set_queue("elsewhere")

    (found,) = statuses.where(job_name="a").run()

    assert found.queue is None
    assert found.succeeded().queue == "elsewhere"


def test_a_replica_that_catches_up_is_believed_again(behind) -> None:
    replicas, replica, jobs = behind
    chance, before = random.Random(7), answers()
    for _ in range(60):
        something(chance, jobs)
    assert answers() == before

    replica.client().replicaof("127.0.0.1", replicas.primary.port)
    replicas.hear(replica)
    after = answers()

    assert after != before
    replicas.configure()
    assert after == answers()
    replicas.ask(replicas.primary)
    assert after == answers()


@pytest.mark.parametrize("seed", range(3))
def test_a_replica_that_is_older_than_the_one_before_makes_no_cached_answer_lie(replicas, seed) -> None:
    chance, jobs = random.Random(seed), []
    for _ in range(30):
        something(chance, jobs)
    older, newer = replicas.replica(), replicas.replica()
    fall_behind(older)
    for _ in range(30):
        something(chance, jobs)
    replicas.hear(newer)

    told = []
    for replica in (newer, older, newer, older):
        replicas.ask(replica)
        told.append(answers())

    assert told[0] == told[2] != told[1] == told[3]
    for replica, said in ((newer, told[0]), (older, told[1])):
        replicas.configure()
        replicas.ask(replica)
        assert answers() == said


def test_a_replica_that_never_heard_of_the_store_holds_nothing(replicas) -> None:
    empty = replicas.replica()
    fall_behind(empty)
    jobs = [statuses.create(job_name="a")]
    assert statuses.all().count() == 1

    replicas.ask(empty)

    assert statuses.all().count() == 0 and statuses.all().run() == []
    assert statuses.find(jobs[0].id) is not None
    assert statuses.version().since is None


def test_a_replica_that_is_away_keeps_nobody_from_writing_and_the_store_is_there(behind) -> None:
    replicas, _, (first, *_) = behind
    replicas.line.turn_to("/nowhere")

    with statuses.track("d") as job:
        with pytest.raises(statuses.StoreUnavailable):
            statuses.all().count()
        assert statuses.ping()["role"] == "master"
    assert first.succeeded().state == job.reload().state == "succeeded"
    assert guard_of(current()).away is False


def test_a_primary_that_is_away_is_not_there_though_its_replica_answers(behind) -> None:
    replicas, *_ = behind
    replicas.primary.stop()

    assert statuses.all().count() == 3
    with pytest.raises(statuses.StoreUnavailable):
        statuses.ping()


def test_pauses_and_workers_are_those_the_primary_knows_of(behind) -> None:
    pauses.pause("celery", "bulk", by="ops")

    assert "bulk" in pauses.paused("celery")
