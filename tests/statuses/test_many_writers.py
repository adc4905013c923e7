"""Many hands on the same jobs: one winner, nothing lost, columns equal to records."""

import contextlib
import multiprocessing
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

import statuses
from statuses import dictionaries, directory, record, store, tracked
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")


def test_errors_of_many_writers_are_all_kept():
    status = make_status("started")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: statuses.at(status.id).add_error(f"error {number}"), range(200)))

    assert sorted(status.errors) == sorted(f"error {number}" for number in range(200))


def test_what_was_read_before_another_thread_wrote_is_not_kept(monkeypatch):
    status, read = make_status("started").heartbeat(), record.read_rows

    def slowly(*args, **more):
        found = read(*args, **more)
        monkeypatch.setattr(record, "read_rows", read)
        status.succeeded()
        return found

    monkeypatch.setattr(record, "read_rows", slowly)

    assert status.state == "started"
    assert status.state == "succeeded"


def test_texts_that_were_read_before_another_thread_wrote_are_not_kept(monkeypatch):
    status = make_status("started").save({"n": 1})
    there, pipeline = store.current(), store.current().pipeline

    def slowly(commands, **more):
        replies = pipeline(commands, **more)
        if any(command[0] == "GET" for command in commands):
            monkeypatch.setattr(there, "pipeline", pipeline)
            status.save({"n": 2})
        return replies

    monkeypatch.setattr(there, "pipeline", slowly)

    assert status.data == {"n": 1}
    assert status.data == {"n": 2}


def test_one_of_many_wins_an_own_id():
    won, lost = [], []

    def take(_):
        try:
            won.append(statuses.create(id="own"))
        except statuses.StatusExists:
            lost.append(1)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(take, range(50)))

    assert (len(won), len(lost)) == (1, 49)
    assert statuses.all().count() == 1


def test_one_of_many_guarded_moves_wins():
    status = make_status("queued")
    outcomes = []

    def race(verb):
        outcomes.append(getattr(statuses.at(status.id), verb)(sources={"queued"}).changed)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(race, ["started", "killed"] * 20))

    assert outcomes.count(True) == 1


def test_restarts_of_many_writers_are_archived_one_by_one():
    status = make_status("started")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: statuses.at(status.id).started(), range(40)))

    assert status.reload().attempt == 40
    assert len(status.prior_attempts) == 40


def test_a_child_forked_while_others_hold_every_lock_writes(server_url):
    """As a worker that forks while its heartbeats write: a lock held by a thread of the parent is nobody's in the child."""
    here = statuses.create(job_name="parent")._store
    held = [here.writer.connection_pool._lock, directory._lock, dictionaries._lock, store._lock, tracked._lock]
    holding, forked = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as locks:
            for lock in held:
                locks.enter_context(lock)
            holding.set()
            forked.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(60)
    child = multiprocessing.get_context("fork").Process(target=_child, args=(server_url, here.config.namespace))
    child.start()
    child.join(30)
    forked.set()
    thread.join()
    child.kill()

    assert child.exitcode == 0
    assert len(statuses.all().counts_by("job_name")) == 3


def _child(url: str, namespace: str) -> None:
    statuses.create(job_name="as the parent")
    statuses.configure(url=url, namespace=namespace)
    with statuses.track("anew"):
        assert statuses.all().count() == 3


OWN = [f"own-{number}" for number in range(8)]
STATES = ["unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown", "requeued", "started", "requeued"]


def at_random(chance: random.Random, ids: list[str]) -> None:
    """One of the things that can be done to jobs, to one of those that all processes have in hand."""
    id = chance.choice(ids)
    status = statuses.find_or_create(id) if id in OWN and chance.random() < 0.3 else statuses.at(id)
    some = statuses.where(job_name=f"n{chance.randrange(3)}")
    acts = [
        (40, lambda: getattr(status, chance.choice(STATES))()),
        (8, lambda: status.failed(attempt=chance.randrange(4), sources={"started"}, error=f"no {chance.randrange(9)}")),
        (8, lambda: status.started(f"w{chance.randrange(4)}", refuse_killed=True)),
        (8, lambda: status.set_progress(chance.randrange(9), 8 + chance.randrange(4), message="m" * chance.randrange(1, 99))),
        (6, lambda: status.save({"n": chance.randrange(99), "text": "d" * chance.randrange(200)})),
        (6, lambda: status.add_error({"class": f"E{chance.randrange(5)}", "message": "m"})),
        (6, lambda: status.set_job_args({"book": f"Book:{chance.randrange(9)}"})),
        (3, lambda: status.set_provider_job_id(f"p{chance.randrange(9)}")),
        (3, lambda: status.set_job_name(f"n{chance.randrange(3)}").set_queue(f"q{chance.randrange(3)}")),
        (6, lambda: status.request_kill(by="somebody", end_queued=chance.random() < 0.5)),
        (3, lambda: status.heartbeat().check_kill()),
        (2, lambda: status.keep_for(chance.choice([None, timedelta(days=1)]))),
        (4, lambda: status.delete(force=chance.random() < 0.3)),
        (2, lambda: ids.append(status.spawn("n1").id)),
        (2, lambda: some.limit(5).request_kill_all(end_queued=True)),
        (1, lambda: undo(some.where(state="failed").limit(4).delete_all(only_ended=True, undo_for=timedelta(minutes=1)), chance)),
        (1, lambda: some.where(state="killed").limit(2).delete_all(force=True)),
        (1, lambda: statuses.load([{"job_name": "n2", "state": "failed", "errors": ["loaded"], "job_args": {"b": "Book:1"}}])),
        (1, lambda: statuses.clean()),
    ]
    chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]()


def undo(removal: statuses.Changed, chance: random.Random) -> None:
    if removal.undo and chance.random() < 0.7:
        statuses.restore(removal.undo)


#: What may be answered to somebody who is too late, or who asks what is not possible now.
LATE = (statuses.StatusNotFound, statuses.NotCompleted, statuses.KillRequested, statuses.EngineCannot, statuses.ReadOnlyAttempt)


def work(where: dict[str, object], ids: list[str], diary: str, seed: int, steps: int) -> None:
    """What each of the processes does, with an entry in the diary they share now and then."""
    statuses.configure(**where)
    chance = random.Random(seed)
    for step in range(steps):
        with contextlib.suppress(*LATE):
            at_random(chance, ids)
        if step % 10 == 0:
            statuses.at(diary).add_error(f"{seed}:{step}")


def read(stop: threading.Event, answers: list[int], wrong: list[object]) -> None:
    """Ask until told to stop; what does not fit together is wrong."""
    while not stop.is_set():
        found = statuses.all().report(
            counts=True, counts_by={"job_name": None, "queue": None}, timeline={"buckets": 7}, durations=("run_time",)
        )
        total = sum(found.counts.values())
        answers.append(total)
        for facet in found.counts_by["job_name"] + found.counts_by["queue"]:
            if facet.total != sum(facet.by_state.values()) or facet.total > total:
                wrong.append(facet)
        if total != found.total or sum(sum(bucket.counts.values()) for bucket in found.timeline) != total:
            wrong.append(found)
        page = statuses.all().limit(20).run()
        if len(set(page.ids())) != len(page) or any(status.archived for status in page):
            wrong.append(page)


@pytest.mark.parametrize(
    ("hands", "steps", "families"),
    [(4, 150, 1), pytest.param(16, 600, 1, marks=pytest.mark.full), pytest.param(16, 600, 3, marks=pytest.mark.full)],
)
def test_processes_at_random_leave_a_consistent_store(server_url, hands, steps, families):
    where = {"url": server_url, "namespace": f"many{hands}x{families}", "families": families}
    statuses.configure(**where)
    ids = [statuses.create(job_name=f"n{number % 3}", queue="q0").id for number in range(40)] + OWN
    diary = statuses.create(job_name="diary", queue="q9", state="started").id
    stop, answers, wrong = threading.Event(), [], []
    reader = threading.Thread(target=read, args=(stop, answers, wrong))
    reader.start()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(where, ids, diary, seed, steps)) for seed in range(hands)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    stop.set()
    reader.join()

    assert [process.exitcode for process in processes] == [0] * hands
    assert len(answers) > hands and wrong == []
    assert sorted(statuses.find(diary).errors) == sorted(f"{seed}:{step}" for seed in range(hands) for step in range(0, steps, 10))
    assert statuses.check().problems == ()
    living = [*statuses.all()]
    assert any(status.attempt for status in living)  # how many is chance: those that were sent again may be removed, too
    expected = {state: sum(status.state is state for status in living) for state in statuses.State}
    assert statuses.all().counts() == expected
    for status in living:
        assert statuses.find(status.id) == status
        ends = status.ended_at if status.ended_at and status.started_at and status.ended_at >= status.started_at else None
        assert status.run_time == (None if ends is None else (ends - status.started_at).total_seconds())
        assert len(status.prior_attempts) == status.attempt
    for resource in range(9):
        holding = {status.id for status in living if f"Book:{resource}" in status.job_args.values()}
        assert set(statuses.where(job_arg=f"Book:{resource}").ids()) == holding


def test_connections_are_not_shared_with_a_forked_child(server_url):
    make_status("started")
    namespace = statuses.collection.store.current().config.namespace
    assert namespace
    context = multiprocessing.get_context("fork")

    def child():
        for _ in range(50):
            statuses.create(job_name="child")

    processes = [context.Process(target=child) for _ in range(4)]
    for process in processes:
        process.start()
    for _ in range(50):
        statuses.create(job_name="parent")
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert statuses.where(job_name="child").count() == 200
    assert statuses.where(job_name="parent").count() == 50
