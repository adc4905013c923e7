"""What bulk verbs cost: time, server time a job, and what other clients wait meanwhile, beside the classic design.

    python -m benchmarks.bulk [--jobs 200000] [--beside 10000000] [--redis-server]

Everything in one run, on one private server. Each verb is given the jobs of a queue of its own; `--beside` says how many others, that
ended, are in the store. Server time is CPU of its main thread, ours and the classic design's alike; a call's is how long
the server was with it; the bystander is another client that asks for one key every millisecond."""

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis

import statuses
from benchmarks.classic import Classic
from benchmarks.queries import redis_ms
from benchmarks.writes import Table, fill_ours, show
from statuses.embedded import EmbeddedServer, find_binary
from statuses.store import current

#: Jobs in one round trip of the classic design.
PIPED = 500


class Bystander:
    """Another client, in a process of its own, asking for one key again and again meanwhile."""

    def __init__(self, url: str) -> None:
        self._said, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=ask, args=(url, theirs), daemon=True)
        self._process.start()
        self._said.recv()

    def p99(self) -> float:
        self._said.send("enough")
        waits = self._said.recv()
        self._process.join()
        return sorted(waits)[int(0.99 * len(waits))]


def ask(url: str, said: Any) -> None:
    """Milliseconds that each question took, told once somebody has said that it is enough."""
    client, waits = redis.Redis.from_url(url), []
    client.ping()
    said.send("asking")
    while not said.poll(0.001):
        began = time.perf_counter()
        client.get("bystander")
        waits.append(1000 * (time.perf_counter() - began))
    said.recv()
    said.send(waits)


def empty(client: Any, beside: int) -> None:
    """A new store of so many jobs that ended."""
    client.flushall()
    current().current.clear()
    fill_ours(client, beside)


def fill(jobs: int, queue: str, states: tuple[str, ...]) -> None:
    """Jobs of this queue that are in these states by turns."""
    now = time.time_ns() // 1000 - jobs
    statuses.load(
        {"job_name": f"n{n % 50}", "queue": queue, "user": f"u{n % 20}", "engine": "celery", "state": states[n % len(states)],
         "job_args": {"book": f"Book:{n % 999}"}, "provider_job_id": f"{n:036d}", "recorded_at": now + n, "queued_at": now + n}
        for n in range(jobs)
    )  # fmt: skip


def ours(client: Any, url: str, jobs: int, queue: str, states: tuple[str, ...], verb: Callable[[Any], Any]) -> dict[str, float]:
    """One verb on all jobs of a new queue."""
    fill(jobs, queue, states)
    # Not the slow log: it keeps the commands within scripts, too, which costs a fifth to a third of the time, and taking so many
    # entries away leaves an allocator work that the next call had to do: 45 to 60 ms.
    client.config_set("latency-tracking-info-percentiles", "50 100")
    client.config_resetstat()
    bystander = Bystander(url)
    began, busy = time.perf_counter(), redis_ms(client)
    changed = verb(statuses.where(queue=queue))
    took, spent = time.perf_counter() - began, redis_ms(client) - busy
    assert changed.changed == jobs, changed
    calls = client.info("latencystats")["latency_percentiles_usec_evalsha"]
    return {
        "seconds": took, "median": calls["p50"] / 1000, "longest": calls["p100"] / 1000,
        "others": bystander.p99(), "us": 1000 * spent / jobs,
    }  # fmt: skip


def classics(client: Any, jobs: int) -> dict[str, float]:
    """Server microseconds a job of asking to die, of asking and moving to killed, and of removing."""
    classic, now = Classic(client), time.time_ns() // 1000
    client.flushall()
    # Neighbours in time are no neighbours in the sets' order, as with ids that are random.
    ids = [f"{n * 2_654_435_761 % (1 << 32):032x}" for n in range(jobs)]

    def spent(work: Callable[[str, int, Any], None]) -> float:
        busy = redis_ms(client)
        for first in range(0, jobs, PIPED):
            pipe = client.pipeline(transaction=False)
            for n in range(first, min(first + PIPED, jobs)):
                work(ids[n], n, pipe)
            pipe.execute()
        return 1000 * (redis_ms(client) - busy) / jobs

    spent(lambda id, n, c: classic.create(id, now + n, f"n{n % 50}", f"q{n % 5}", f"u{n % 20}", f"Book:{n % 999}", f"{n:036d}", client=c))
    kill = spent(lambda id, n, c: classic.kill(id, now + n, client=c))
    move = spent(lambda id, n, c: classic.move(id, now + n, "killed", client=c))
    return {"kill": kill, "end": kill + move, "remove": spent(lambda id, n, c: classic.remove(id, client=c))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--beside", type=int, default=0, help="jobs that are there before and belong to no verb")
    parser.add_argument("--redis-server", action="store_true")
    given = parser.parse_args()
    binary = find_binary(("redis-server",)) if given.redis_server else find_binary()
    undo = timedelta(minutes=10)
    verbs: dict[str, tuple[tuple[str, ...], Callable[[Any], Any], str]] = {
        "request kill": (("started", "queued"), lambda jobs: jobs.request_kill_all(by="ops", reason="too many"), "kill"),
        "kill what waits": (("queued",), lambda jobs: jobs.request_kill_all(by="ops", reason="too many", end_queued=True), "end"),
        "remove, to be undone": (("failed",), lambda jobs: jobs.delete_all(only_ended=True, undo_for=undo), ""),
        "remove for good": (("failed",), lambda jobs: jobs.delete_all(only_ended=True), "remove"),
    }
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(folder, append_only=False, binary=binary) as server:
        statuses.configure(url=server.url, namespace="bench", timeout_seconds=30)
        client = redis.Redis.from_url(server.url)
        facts = statuses.ping()
        print(f"{facts['server']} {facts['version']}, unix socket, no append-only file")
        peer = classics(client, given.jobs)
        table: Table = [
            ("verb", "seconds", "median call ms", "longest call ms", "others' p99 ms", "server us a job", "classic us", "ratio")
        ]
        empty(client, given.beside)
        for name, (states, verb, counterpart) in verbs.items():
            found = ours(client, server.url, given.jobs, name, states, verb)
            other = peer.get(counterpart)
            beside = ("", "") if other is None else (f"{other:.1f}", f"{found['us'] / other:.2f}")
            cells = (f"{found[key]:.2f}" for key in ("seconds", "median", "longest", "others"))
            table.append((name, *cells, f"{found['us']:.1f}", *beside))
        show(f"Bulk over {given.jobs:,} jobs beside {given.beside:,}", table)


if __name__ == "__main__":
    main()
