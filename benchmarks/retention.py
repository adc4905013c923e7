"""Half a year of jobs, most of them forgotten after a month: what a live job costs then, beside a fresh store of the same jobs.

    python -m benchmarks.retention [--per-day 10000] [--days 180] [--kept 0.03] [--repeat 5] [--redis-server]

The clock is frozen and moved from day to day. Each day brings its jobs, most of which succeed and go after 30 days; a share of
them fails and is kept for 180. Each day ends with a cleaning, as `clean_jobs` on a timer. Then, and once more when a month
without jobs has left nothing but the failed ones: bytes and milliseconds of Redis (CPU of its main thread) a live job, against a
new server that was given exactly these jobs. 100,000 jobs a day, as a busy site has, take some ten minutes and 2 GB."""

import argparse
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import redis

import statuses
from benchmarks.days import BEGIN, Day, write
from benchmarks.queries import forget, measure, redis_ms
from benchmarks.writes import Table, show
from statuses import clock
from statuses.embedded import EmbeddedServer, find_binary

DAY = timedelta(days=1)


def live_through(days: int, per_day: int, kept: float, client: Any) -> dict[str, float]:
    """Days of jobs, each ending with a cleaning; what the cleanings took."""
    client.config_resetstat()
    took = spent = 0.0
    packed = dropped = removed = 0
    for day in range(days):
        clock.freeze(BEGIN + (day + 1) * DAY)
        write(Day(day, per_day, kept))
        began, busy = time.perf_counter(), redis_ms(client)
        cleaned = statuses.clean()
        took += time.perf_counter() - began
        spent += redis_ms(client) - busy
        packed, dropped, removed = packed + cleaned.packed, dropped + cleaned.dropped, removed + cleaned.removed
        if day % 30 == 29:
            print(f"  day {day + 1}: {statuses.all().count():,} jobs, {memory_of(client) / 1e6:,.0f} MB", flush=True)
    return {"removed": removed, "packed": packed, "dropped": dropped, "seconds": took, "redis_ms": spent}


def memory_of(client: Any) -> int:
    """Bytes the server has in use."""
    return client.info("memory")["used_memory"]


def questions(day: int) -> dict[str, Callable[[], Any]]:
    """What is asked of both stores."""
    named = statuses.where(job_name="planning.step_7")
    week = (BEGIN + (day - 7) * DAY, BEGIN + day * DAY)
    return {
        "counts": statuses.all().counts,
        "counts, name + state": named.where(state="failed").counts,
        "durations, name": lambda: named.durations("run_time"),
        "top names": lambda: statuses.all().counts_by("job_name"),
        "timeline": lambda: statuses.all().timeline(after=BEGIN, before=BEGIN + day * DAY),
        "counts of the week": lambda: statuses.where(recorded_at=week).counts(),
        "counts, resource": lambda: statuses.where(job_arg="Book:7").counts(),
        "page": lambda: statuses.all().limit(50).run(),
        "page, name + state": lambda: named.where(state="failed").limit(50).run(),
    }


#: Questions that read a part of the store which does not grow with its age: told, not compared by job.
_PARTS = ("counts of the week", "page", "page, name + state")


#: Times a question is asked between two readings of the server's clock, which moves in steps of its own.
ASKED = 10


def ask(client: Any, day: int, repeat: int) -> dict[str, float]:
    """Milliseconds of Redis for each question, asked by a process that has just begun."""
    found = {}
    for name, question in questions(day).items():

        def often(question: Callable[[], Any] = question) -> None:
            for _ in range(ASKED):
                forget()
                question()

        found[name] = measure(client, often, forget, repeat)[0] / ASKED
    return found


@contextmanager
def server(binary: Any) -> Generator[Any]:
    """A client of a new, empty server that `statuses` is configured for."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(folder, append_only=False, binary=binary) as running:
        statuses.configure(url=running.url, namespace="bench", timeout_seconds=30)
        with redis.Redis.from_url(running.url) as client:
            yield client


def fresh(days: int, until: int, per_day: int, kept: float, repeat: int, binary: Any) -> tuple[int, int, dict[str, float]]:
    """Jobs, bytes and milliseconds of a server that has the live jobs only."""
    with server(binary) as client:
        empty = memory_of(client)
        clock.freeze(BEGIN + until * DAY)
        count = sum(write(Day(day, per_day, kept, until)) for day in range(days))
        return count, memory_of(client) - empty, ask(client, until, repeat)


def compare(title: str, aged: tuple[int, int, dict[str, float]], new: tuple[int, int, dict[str, float]]) -> None:
    """Print both stores side by side."""
    assert aged[0] == new[0], f"{aged[0]} jobs are there, {new[0]} should be"
    table: Table = [("", "aged", "fresh", "aged / fresh")]
    table.append(("bytes a live job", f"{aged[1] / aged[0]:.0f}", f"{new[1] / new[0]:.0f}", f"{aged[1] / new[1]:.2f}"))
    for name, mine in aged[2].items():
        table.append((f"{name}, ms of Redis", f"{mine:.2f}", f"{new[2][name]:.2f}", f"{mine / max(new[2][name], 0.01):.2f}"))
    mine, other = (sum(ms for name, ms in found[2].items() if name not in _PARTS) for found in (aged, new))
    table.append(("all that read the whole store", f"{mine:.2f}", f"{other:.2f}", f"{mine / other:.2f}"))
    show(f"{title}: {aged[0]:,} live jobs", table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-day", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=180)
    parser.add_argument("--kept", type=float, default=0.03, help="share of jobs that fail and are kept for 180 days")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--redis-server", action="store_true")
    given = parser.parse_args()
    binary = find_binary(("redis-server",)) if given.redis_server else find_binary()
    days, quiet = given.days, given.days + 31
    aged = []
    with server(binary) as client:
        facts, empty = statuses.ping(), memory_of(client)
        print(f"{facts['server']} {facts['version']}; {given.days} days of {given.per_day:,} jobs, {given.kept:.0%} kept long", flush=True)
        done = live_through(days, given.per_day, given.kept, client)
        print(f"  cleaning took {1000 * done['seconds'] / days:,.0f} ms a day, {done['redis_ms'] / days:,.0f} ms of it Redis':", end=" ")
        print(f"{done['removed']:,} jobs removed, {done['packed']:,} segments packed, {done['dropped']:,} dropped", flush=True)
        aged.append((statuses.all().count(), memory_of(client) - empty, ask(client, days, given.repeat)))
        clock.freeze(BEGIN + quiet * DAY)
        statuses.clean()
        aged.append((statuses.all().count(), memory_of(client) - empty, ask(client, quiet, given.repeat)))
        problems = statuses.check().problems
    for title, until, found in (("After all days", days, aged[0]), ("After a month without jobs", quiet, aged[1])):
        compare(title, found, fresh(days, until, given.per_day, given.kept, given.repeat, binary))
    clock.freeze(None)
    print(f"\ncheck found {sum(problem.count for problem in problems)} problems")


if __name__ == "__main__":
    main()
