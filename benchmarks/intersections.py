"""The classic design beside ours: a set of ids for each value, sorted sets for times, intersections for questions.

    python -m benchmarks.intersections [--jobs 1000000] [--redis-server]

The same jobs in the same server, asked by name and state. Milliseconds of Redis (CPU of its main thread), medians, how
many times less ours takes with nothing kept in the asking process, and how many times less it should at 1M."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np

import statuses
from benchmarks.columns import DAY_US, SPAN_US, build
from benchmarks.queries import NAME, forget, idle_ms, redis_ms
from statuses import keys
from statuses.clock import from_us
from statuses.columns import BY_NAME, SEGMENT_ROWS
from statuses.embedded import EmbeddedServer, find_binary
from statuses.states import State
from statuses.store import current

_CHUNK = 5_000
#: How many times less Redis time than the classic design a question is to take, at a million jobs.
WANTED = {"counts of a name": 100, "timeline of a name": 60, "top 20 names": 400, "page of name + state": 300}
_TYPES = {1: "u1", 4: "<u4", 8: "<i8"}


class Classic:
    """Sets `name:<code>` and `state:<code>`, sorted sets `recorded` and `run`; temporary keys for what intersects."""

    def __init__(self, client: Any, names: int) -> None:
        self.client = client
        self.names = names

    def fill(self, segments: int) -> None:
        """The jobs of our segments once more."""
        for number in range(segments):
            cells = {name: self._column(number, name) for name in ("state", "job_name", "recorded_at", "run_time")}
            ids = [str(UUID(int=(number * SEGMENT_ROWS + row) * 2654435761 << 40)) for row in range(len(cells["state"]))]
            for kind, column in (("name", "job_name"), ("state", "state")):
                self._sets(kind, cells[column], ids)
            for key, column in (("recorded", "recorded_at"), ("run", "run_time")):
                scores = cells[column].tolist()
                pairs = [(id, score) for id, score in zip(ids, scores, strict=True) if score]
                for first in range(0, len(pairs), _CHUNK):
                    self.client.zadd(key, dict(pairs[first : first + _CHUNK]))

    def _column(self, number: int, name: str) -> Any:
        prefix, column = keys.segment(current().families[0], number), BY_NAME[name]
        rows = int(self.client.get(keys.rows(prefix)))
        return np.frombuffer(self.client.get(keys.column(prefix, column.key)), _TYPES[column.width])[:rows]

    def _sets(self, kind: str, cells: Any, ids: list[str]) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            for code in np.unique(cells).tolist():
                pipe.sadd(f"{kind}:{code}", *(ids[row] for row in np.flatnonzero(cells == code).tolist()))
            pipe.execute()

    def counts(self, name: int = 1) -> list[int]:
        return [self.client.execute_command("SINTERCARD", 2, f"name:{name}", f"state:{state.code}") for state in State]

    def top_names(self) -> list[list[int]]:
        return [self.counts(name) for name in range(1, self.names + 1)]

    def durations(self) -> list[Any]:
        number = self.client.zinterstore("tmp", {"run": 1, "name:1": 0})
        return [self.client.zrange("tmp", rank, rank, withscores=True) for rank in (0, number // 2, number * 95 // 100, number - 1)]

    def timeline(self, low: int, high: int, buckets: int = 60) -> list[list[int]]:
        edges = [low + (high - low) * step // buckets for step in range(buckets + 1)]
        found = []
        for state in State:
            self.client.zinterstore("tmp", {"recorded": 1, "name:1": 0, f"state:{state.code}": 0})
            found.append([self.client.zcount("tmp", start, f"({end}") for start, end in pairwise(edges)])
        return found

    def page(self) -> list[bytes]:
        self.client.zinterstore("tmp", {"recorded": 1, "name:1": 0, f"state:{State.succeeded.code}": 0})
        return self.client.zrevrange("tmp", 0, 49)


def measure(client: Any, ask: Callable[[], Any], repeat: int) -> float:
    """Median milliseconds of Redis, with nothing kept in this process."""
    found, idle = [], idle_ms(client, 50)
    for _ in range(repeat):
        forget()
        start = redis_ms(client)
        ask()
        found.append(redis_ms(client) - start - idle)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--redis-server", action="store_true")
    given = parser.parse_args()
    binary = find_binary(("redis-server",)) if given.redis_server else None
    with tempfile.TemporaryDirectory() as directory, EmbeddedServer(directory, append_only=False, binary=binary) as server:
        statuses.configure(url=server.url, timeout_seconds=60)
        client, until_us = current().writer, int(time.time() * 1e6)
        build(current(), given.jobs, until_us, resources=False)
        ours = client.info("memory")["used_memory"]
        classic = Classic(client, names=300)
        classic.fill(-(-given.jobs // SEGMENT_ROWS))
        theirs = client.info("memory")["used_memory"] - ours
        print(f"{given.jobs:,} jobs; index of ours {ours / given.jobs:.0f} bytes a job, classic {theirs / given.jobs:.0f}")
        low, high = until_us - SPAN_US, until_us + DAY_US
        named = statuses.where(job_name=NAME)
        questions: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "counts of a name": (classic.counts, named.counts),
            "durations of a name": (classic.durations, lambda: named.durations("run_time")),
            "timeline of a name": (
                lambda: classic.timeline(low, high),
                lambda: named.timeline(after=from_us(low), before=from_us(high)),
            ),
            "top 20 names": (classic.top_names, lambda: statuses.all().counts_by("job_name")),
            "page of name + state": (classic.page, lambda: named.where(state="succeeded").limit(50).ids()),
        }
        for name, (old, new) in questions.items():
            before, now = measure(client, old, 3), measure(client, new, 5)
            wanted = f", wanted {WANTED[name]}" if name in WANTED else ""
            print(f"{name:24}{before:10.1f}{now:10.2f}   {before / max(now, 0.01):6.0f} times less{wanted}", flush=True)


if __name__ == "__main__":
    main()
