"""Many processes at once, and a server killed at its worst moment: every status is whole, every answer some true moment."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

import statuses
from statuses.embedded import EmbeddedServer
from tests.servers import until

#: What an append-only file that is written to disk every second may lose (the server lets a second one pass while the
#: disk is busy), and a little for the line.
PROMISE_SECONDS = 2.5
FORK = multiprocessing.get_context("fork")
VERBS = ("queued", "started", "succeeded", "failed", "killed", "requeued", "unknown")


def write(url: str, log: Path, seed: int, stop) -> None:
    """One process: a line in the log for every write that was answered, and for every one that was not."""
    statuses.configure(url=url, namespace="crash", timeout_seconds=1.0)
    chance, own = random.Random(seed), []
    with open(log, "a", buffering=1) as lines:
        while not stop.is_set():
            try:
                if not own or chance.random() < 0.3:
                    id = f"w{seed}-{len(own)}"
                    own.append(id)
                    status = statuses.create(id=id, job_name=f"n{seed}", job_args={"a": f"Book:{len(own) % 7}"}, data={"n": len(own)})
                else:
                    id = chance.choice(own[-20:])
                    status = getattr(statuses.at(id), chance.choice(VERBS))()
                    if chance.random() < 0.3:
                        status.add_error({"class": "Boom", "n": chance.randrange(3)})
                told = [status.reload().state.value, status.attempt, len(status.errors)]
            except statuses.StatusNotFound:
                told = None
            except statuses.StoreUnavailable:
                told = "?"
                time.sleep(0.05)
            lines.write(json.dumps([time.time(), id, told]) + "\n")


def history(logs: list[Path]) -> dict[str, list[tuple[float, object]]]:
    found: dict[str, list[tuple[float, object]]] = {}
    for log in logs:
        for line in log.read_text().splitlines():
            at, id, told = json.loads(line)
            found.setdefault(id, []).append((at, told))
    return found


def is_kept(id: str, told: list[tuple[float, object]], killed_at: list[float]) -> bool:
    """Whether what is there now is what the process was told last; or, where the server was killed after that, something
    it was told within the promise before, or a write that was never answered."""
    status = statuses.find(id)
    now = None if status is None else [status.state.value, status.attempt, len(status.errors)]
    for at, said in reversed(told):
        if said == now:
            return True
        excused = said == "?" or any(0 <= kill - at < PROMISE_SECONDS for kill in killed_at)
        if not excused:
            # An unanswered write may have been applied once the server was there again.
            return any(s == "?" for t, s in told if t > at) and now is not None
    return True


def _lines(logs: list[Path]) -> int:
    return sum(log.read_text().count("\n") for log in logs)


def run_until_killed(tmp_path, kills: int, processes: int, writes: int) -> None:
    folder = tmp_path / "server"
    server = EmbeddedServer(folder, append_only=True).start()
    stop, logs = FORK.Event(), [tmp_path / f"log{n}" for n in range(processes)]
    for log in logs:
        log.touch()
    workers = [FORK.Process(target=write, args=(server.url, log, n, stop)) for n, log in enumerate(logs)]
    for worker in workers:
        worker.start()
    killed_at = []
    try:
        for _ in range(kills):
            lines, began = _lines(logs), time.time()
            # Long enough for many jobs to be older than what the file may lose.
            until(lambda n=lines, t=began: _lines(logs) > n + writes and time.time() > t + PROMISE_SECONDS + 1, "writers are at work", 300)
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            killed_at.append(time.time())
            server = EmbeddedServer(folder, append_only=True).start()
        until(lambda: all('"?"' not in log.read_text().splitlines()[-1] for log in logs), "everybody writes again")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    statuses.configure(url=server.url, namespace="crash")
    try:
        told = history(logs)
        lost = [id for id, lines in told.items() if not is_kept(id, lines, killed_at)]
        assert lost == []
        assert statuses.check().problems == ()
        whole = [status for status in map(statuses.find, told) if status is not None]
        assert len(whole) > 20
        assert all(len(status.prior_attempts) == status.attempt and (status.data is not None or status.attempt) for status in whole)
        assert statuses.all().counts() == {state: sum(status.state is state for status in whole) for state in statuses.State}
    finally:
        server.stop()


def test_a_server_killed_under_load_has_lost_no_more_than_its_file_promises(tmp_path):
    run_until_killed(tmp_path, kills=1, processes=3, writes=300)


@pytest.mark.full
def test_a_server_killed_again_and_again_has_lost_no_more_than_its_file_promises(tmp_path):
    run_until_killed(tmp_path, kills=15, processes=6, writes=3000)


STAYING, LEAVING = 60, 60


def disturb(url: str, namespace: str, ids: dict[str, list[str]], seed: int, rounds: int) -> None:
    """One of many: anything to any job, only that the jobs named "stays" are never removed."""
    statuses.configure(url=url, namespace=namespace)
    chance = random.Random(seed)
    for _ in range(rounds):
        kind = chance.choice(["stays", "leaves"])
        id = chance.choice(ids[kind])
        verb = chance.choice(
            [*VERBS, "heartbeat", "request_kill", "kill_now", "add_error", "save", "label", "args", "remove", "delete", "bulk"]
        )
        with contextlib.suppress(statuses.StatusNotFound, statuses.NotCompleted, statuses.EngineCannot):
            status = statuses.at(id)
            if verb in ("add_error", "save"):
                getattr(status, verb)({"class": f"E{seed}"})
            elif verb == "label":
                status.set_queue(f"q{chance.randrange(4)}")
            elif verb == "args":
                status.set_job_args({"a": f"Book:{chance.randrange(4)}"})
            elif verb == "bulk":
                statuses.where(job_name=kind, state="queued").request_kill_all(end_queued=chance.random() < 0.5)
            elif verb not in ("remove", "delete"):
                getattr(status, verb)()
            elif kind == "leaves" and verb == "delete":
                status.delete(force=chance.random() < 0.3)
            elif kind == "leaves":
                done = statuses.where(id=id).delete_all(only_ended=True, undo_for=timedelta(minutes=1))
                if done.undo and chance.random() < 0.7:
                    statuses.restore(done.undo)


def watch(url: str, namespace: str, stop, problems) -> None:
    """One of those who count meanwhile: what stays is always all there, and parts add up."""
    statuses.configure(url=url, namespace=namespace)
    looks = 0
    while not stop.is_set() or not looks:
        looks += 1
        stays = statuses.where(job_name="stays")
        report = stays.report(counts=True, counts_by={"queue": None, "worker": None}, timeline={"buckets": 3}, flags=True)
        found = {
            "counts": sum(stays.counts().values()),
            "report": sum(report.counts.values()),
            "timeline": sum(sum(bucket.counts.values()) for bucket in report.timeline),
            "ids": len(set(stays.ids())),
        }
        if set(found.values()) != {STAYING} or statuses.where(job_name="leaves").count() > LEAVING:
            problems.put(found)
            return


def many_hands(server_url, processes: int, rounds: int) -> None:
    namespace = statuses.collection.store.current().config.namespace
    ids = {"stays": [statuses.create(job_name="stays").id for _ in range(STAYING)]}
    ids["leaves"] = [statuses.create(job_name="leaves", id=f"own{n}" if n % 2 else None).id for n in range(LEAVING)]
    stop, problems = FORK.Event(), FORK.Queue()
    readers = [FORK.Process(target=watch, args=(server_url, namespace, stop, problems)) for _ in range(2)]
    writers = [FORK.Process(target=disturb, args=(server_url, namespace, ids, seed, rounds)) for seed in range(processes)]
    for process in [*readers, *writers]:
        process.start()
    for process in writers:
        process.join()
    stop.set()
    for process in readers:
        process.join()

    assert [process.exitcode for process in [*writers, *readers]] == [0] * (processes + 2)
    assert problems.empty(), problems.get()
    living = [status for status in map(statuses.find, [*ids["stays"], *ids["leaves"]]) if status is not None]
    assert Counter(status.state for status in living) == +Counter(statuses.all().counts())
    assert Counter(status.queue for status in living if status.queue) == {f.value: f.total for f in statuses.all().counts_by("queue")}
    resources = Counter(text for status in living for text in status.job_args.values())
    assert resources == {facet.value: facet.total for facet in statuses.all().counts_by("job_arg")}
    assert all(len(status.prior_attempts) == status.attempt for status in living)
    assert statuses.check().problems == ()


def test_many_processes_at_random_leave_everything_whole_and_every_count_true(server_url, store):
    many_hands(server_url, processes=16, rounds=40)


@pytest.mark.full
def test_many_processes_for_long_leave_everything_whole_and_every_count_true(server_url, store):
    many_hands(server_url, processes=16, rounds=3000)
