"""What questions cost: milliseconds of Redis (CPU of its main thread) and of the asking process, by size of the store.

    python -m benchmarks.queries [--jobs 100000 1000000 10000000] [--redis-server] [--repeat 5]

Each question is asked cold (nothing kept in this process), warm (nothing changed since), and with one job changed in
the newest segment. Medians. The longest single command is Redis' own latency by SLOWLOG. With several sizes: how much
more the largest costs Redis than the one before it. Beside the classic design: `python -m benchmarks.intersections`."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import statuses
from benchmarks.columns import DAY_US, build
from statuses import directory, estimates, health
from statuses.cache import partials
from statuses.clock import from_us
from statuses.embedded import EmbeddedServer, find_binary
from statuses.store import current

NAME = "job_name.00000"
READING = ("MGET", "EVAL", "LRAN", "HMGE", "GETR")


def questions(until_us: int) -> dict[str, Callable[[], Any]]:
    """What is asked, by name."""
    named = statuses.where(job_name=NAME)
    week = statuses.where(recorded_at=(until_us - 7 * DAY_US, until_us))
    everything = statuses.all()
    return {
        "counts": everything.counts,
        "counts, name": named.counts,
        "counts, name + state": named.where(state="failed").counts,
        "counts, resource": statuses.where(job_arg="Book:0").counts,
        "durations, name": lambda: named.durations("run_time"),
        "durations": lambda: everything.durations("run_time"),
        "histogram, name": lambda: named.histogram("run_time"),
        "timeline, name": lambda: named.timeline(after=from_us(until_us - 180 * DAY_US), before=from_us(until_us)),
        "timeline": lambda: everything.timeline(after=from_us(until_us - 180 * DAY_US), before=from_us(until_us)),
        "timeline of the week": lambda: week.timeline(after=from_us(until_us - 7 * DAY_US), before=from_us(until_us)),
        "top names": lambda: everything.counts_by("job_name"),
        "top users of a name": lambda: named.counts_by("user"),
        "top errors": lambda: everything.where(state="failed").counts_by("error"),
        "durations by name": lambda: everything.durations_by("job_name", "run_time"),
        "top resources": lambda: everything.counts_by("job_arg"),
        "page": lambda: everything.limit(50).run(),
        "page, name + state": lambda: named.where(state="failed").limit(50).run(),
        "page by run time": lambda: named.order_by("-run_time").limit(50).run(),
        "overview of the week": lambda: overview(week, until_us - 7 * DAY_US, until_us),
        "overview": lambda: overview(everything, until_us - 180 * DAY_US, until_us),
        "overview of a name": lambda: overview(named, until_us - 180 * DAY_US, until_us),
        "the store's page": health.examine,
        "the store's page, estimated": lambda: health.examine(believed=timedelta(0)),
    }


def overview(query: Any, after: int, before: int) -> Any:
    """What the dashboard's first page asks."""
    return query.report(
        counts=True,
        counts_by={"job_name": 10, "error": 8},
        durations=("run_time", "wait_time"),
        durations_by={"job_name": ("run_time", 10)},
        histogram={"run_time": 40},
        timeline={"on": "recorded_at", "after": after, "before": before, "buckets": 60},
        flags=True,
    )


def forget() -> None:
    """As a process that has just begun."""
    partials.clear()
    directory._known.clear()
    estimates._processes.clear()


def redis_ms(client: Any) -> float:
    """CPU time of the server's main thread so far."""
    info = client.info("cpu")
    return 1000 * (info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])


def measure(client: Any, ask: Callable[[], Any], before: Callable[[], Any], repeat: int) -> tuple[float, float, float]:
    """Median milliseconds of Redis, of this process, and of the whole call."""
    of_redis, mine, whole = [], [], []
    for _ in range(repeat):
        before()
        start, began, busy = redis_ms(client), time.perf_counter(), time.process_time()
        ask()
        mine.append(1000 * (time.process_time() - busy))
        whole.append(1000 * (time.perf_counter() - began))
        of_redis.append(redis_ms(client) - start)
    return statistics.median(of_redis), statistics.median(mine), statistics.median(whole)


def idle_ms(client: Any, repeat: int = 200) -> float:
    """What asking for the time costs itself."""
    start = redis_ms(client)
    for _ in range(repeat):
        redis_ms(client)
    return (redis_ms(client) - start) / (repeat + 1)


def run(jobs: int, repeat: int, binary: Any, only: str) -> dict[str, float]:
    """One size, one table; milliseconds of Redis for each question, cold."""
    cold = {}
    with tempfile.TemporaryDirectory() as directory_name, EmbeddedServer(directory_name, append_only=False, binary=binary) as server:
        statuses.configure(url=server.url, timeout_seconds=30)
        store = current()
        until_us = int(time.time() * 1e6)
        began = time.perf_counter()
        build(store, jobs, until_us)
        print(f"\n{jobs:,} jobs (built in {time.perf_counter() - began:.0f} s), {store.writer.info('memory')['used_memory_human']}")
        client, idle = store.writer, idle_ms(store.writer)
        status = statuses.create(job_name=NAME)
        client.config_set("slowlog-log-slower-than", 1000)
        print(f"{'':28}{'cold':>24}{'warm':>24}{'one changed':>24}   ms: CPU of Redis, CPU of the asking process, until answered")
        for name, ask in questions(until_us).items():
            if only not in name:
                continue
            found = []
            for before in (forget, lambda: None, lambda: status.set_user(f"user-{time.time()}")):
                ask()
                redis, mine, whole = measure(client, ask, before, repeat)
                found.append(f"{max(redis - idle, 0):8.2f}{mine:8.1f}{whole:8.1f}")
                cold.setdefault(name, max(redis - idle, 0.01))
            print(f"{name:28}" + "".join(found), flush=True)
        slow = [(entry["duration"], entry["command"][:30].decode()) for entry in client.slowlog_get(100)]
        print("longest reading commands, us:", sorted((found for found in slow if found[1][:4] in READING), reverse=True)[:3])
    return cold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--redis-server", action="store_true")
    parser.add_argument("--only", default="", help="questions whose name holds this")
    given = parser.parse_args()
    binary = find_binary(("redis-server",)) if given.redis_server else None
    found = [run(jobs, given.repeat, binary, given.only) for jobs in given.jobs]
    for (less, before), (more, after) in list(pairwise(zip(given.jobs, found, strict=True)))[-1:]:
        grown = ", ".join(f"{name} {after[name] / before[name]:.1f}" for name in after)
        print(f"\nRedis' time from {less:,} to {more:,} jobs, times: {grown}")


if __name__ == "__main__":
    main()
