"""What writing costs: server time and rate of each verb and bytes a job, beside the classic design and a bare HSET.

    python -m benchmarks.writes [--jobs 20000] [--fill 1000000] [--classic 1000000] [--redis-server] [--repeat 5]

Bulk verbs: `python -m benchmarks.bulk`.

Everything in one run, on one private server, in turns; medians of `--repeat` rounds. Server time is what the server itself counts
for the command (INFO commandstats); the rate is one client, one call after the other, over a unix socket. Before the first write
both designs hold `--fill` finished jobs: an index of a few thousand members costs less to write to than one of a million. What the
classic design keeps of each stands in `benchmarks/classic.py`; `--classic 0` leaves it out, beyond a few million jobs it needs more
memory than most machines have."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import redis

import statuses
from benchmarks.classic import Classic
from statuses.embedded import EmbeddedServer, find_binary

Table = list[tuple[str, ...]]


def evalsha_us(client: Any) -> tuple[float, int]:
    """Microseconds and calls of scripts since the last reset."""
    found = client.info("commandstats").get("cmdstat_evalsha", {"usec": 0, "calls": 1})
    return found["usec"], found["calls"]


def timed(client: Any, work: Callable[[int], Any], count: int) -> tuple[float, float]:
    """(server microseconds, client microseconds) a call."""
    client.config_resetstat()
    began = time.perf_counter()
    for number in range(count):
        work(number)
    took = time.perf_counter() - began
    spent, _ = evalsha_us(client)
    return spent / count, 1e6 * took / count


def one_by_one(client: Any, jobs: int, repeat: int, fill: int, beside: int) -> Table:
    """Create, start and finish: ours with `fill` jobs there already, the classic design's with `beside`, and a bare HSET, in turns."""
    classic = Classic(client)
    fill_ours(client, fill)
    _fill_classic(client, beside)
    rounds: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, work: Callable[[int], Any]) -> None:
        rounds.setdefault(name, []).append(timed(client, work, jobs))

    for turn in range(repeat):
        made: list[Any] = []
        ids = [f"{turn + 1:04x}{n:032x}" for n in range(jobs)]
        note("create", lambda n, made=made: made.append(_create(n)))
        note("start", lambda n, made=made: made[n].started(worker=f"w{n % 8}"))
        note("finish", lambda n, made=made: made[n].succeeded())
        now = time.time_ns() // 1000
        if beside:
            note(
                "classic create",
                lambda n, i=ids, now=now: classic.create(i[n], now + n, f"n{n % 50}", f"q{n % 5}", f"u{n % 20}", f"Book:{n % 999}", i[n]),
            )
            note("classic start", lambda n, i=ids, now=now: classic.move(i[n], now + n, "started", f"w{n % 8}"))
            note("classic finish", lambda n, i=ids, now=now: classic.move(i[n], now + n, "succeeded"))
        note("bare HSET", lambda n, i=ids: client.hset(f"bare:{i[n]}", "state", "queued"))
    medians = {name: (statistics.median(s for s, _ in found), statistics.median(c for _, c in found)) for name, found in rounds.items()}
    bare = medians["bare HSET"][1]
    table: Table = [("verb", "server us", "classic us", "ratio", "calls/s", "of a bare HSET")]
    for verb in ("create", "start", "finish"):
        ours, theirs = medians[verb], medians.get(f"classic {verb}", (float("nan"), 0))
        table.append(
            (verb, f"{ours[0]:.1f}", f"{theirs[0]:.1f}", f"{ours[0] / theirs[0]:.2f}", f"{1e6 / ours[1]:,.0f}", f"{bare / ours[1]:.2f}")
        )
    return [*table, ("bare HSET", "", "", "", f"{1e6 / bare:,.0f}", "1.00")]


def _create(number: int) -> statuses.Status:
    return statuses.create(
        job_name=f"n{number % 50}", queue=f"q{number % 5}", user=f"u{number % 20}", engine="celery", state="queued",
        job_args={"book": f"Book:{number % 999}"}, provider_job_id=f"{number:036d}",
    )  # fmt: skip


def memory(jobs: int, binary: Any) -> Table:
    """Bytes a finished job, everything included, each design on a server of its own; the index alone is what is not the job's own hash."""
    table: Table = [("design", "bytes a job", "index alone", "of the classic")]
    sizes = {}
    for name, fill in (("ours", fill_ours), ("classic", _fill_classic)):
        with tempfile.TemporaryDirectory() as folder, EmbeddedServer(folder, append_only=False, binary=binary) as server:
            sizes[name] = _bytes(server.url, fill, jobs, "*j[0-9]*" if name == "ours" else "job:*")
    for name, (total, index) in sizes.items():
        table.append((name, f"{total:.0f}", f"{index:.0f}", f"{index / sizes['classic'][1]:.3f}"))
    return table


def _bytes(url: str, fill: Callable[[Any, int], None], jobs: int, hashes: str) -> tuple[float, float]:
    with redis.Redis.from_url(url) as client:
        statuses.configure(url=url, namespace="bench")
        before = client.info("memory")["used_memory"]
        fill(client, jobs)
        total = (client.info("memory")["used_memory"] - before) / jobs
        own = statistics.mean(client.memory_usage(key) for key in list(client.scan_iter(match=hashes, count=1000))[:2000])
    return total, total - own


def fill_ours(client: Any, jobs: int) -> None:
    statuses.collection.store.current().current.clear()
    now = time.time_ns() // 1000 - jobs
    statuses.load(
        {"job_name": f"n{n % 50}", "queue": f"q{n % 5}", "user": f"u{n % 20}", "engine": "celery", "worker": "w", "state": "succeeded",
         "job_args": {"book": f"Book:{n % 999}"}, "provider_job_id": f"{n:036d}", "recorded_at": now + n, "queued_at": now + n,
         "started_at": now + n, "succeeded_at": now + n + 5}
        for n in range(jobs)
    )  # fmt: skip


def _fill_classic(client: Any, jobs: int) -> None:
    Classic(client).fill(jobs, time.time_ns() // 1000 - jobs)


def show(title: str, table: Table) -> None:
    """Print a table for people and for Markdown alike."""
    print(f"\n{title}\n")
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--fill", type=int, default=1_000_000, help="finished jobs that are there before")
    parser.add_argument("--classic", type=int, help="the same for the classic design: as many unless given, 0 leaves it out")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--redis-server", action="store_true")
    options = parser.parse_args()
    binary = find_binary(("redis-server",)) if options.redis_server else find_binary()
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(folder, append_only=False, binary=binary) as server:
        statuses.configure(url=server.url, namespace="bench")
        client = redis.Redis.from_url(server.url)
        facts = statuses.ping()
        print(f"{facts['server']} {facts['version']}, unix socket, no append-only file")
        beside = options.fill if options.classic is None else options.classic
        title = f"One by one, {options.jobs:,} jobs beside {options.fill:,} (classic: {beside:,}), medians of {options.repeat}"
        show(title, one_by_one(client, options.jobs, options.repeat, options.fill, beside))
        show(f"Memory, {max(options.jobs, 100_000):,} finished jobs", memory(max(options.jobs, 100_000), binary))


if __name__ == "__main__":
    main()
