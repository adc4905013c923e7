"""Stores of any size in seconds: segments written as whole columns, as `create` and the moves would have left them.

The shape of the jobs is that of a busy site: names and resources after Zipf's law, 180 days, lognormal waits and runs,
nearly all of them ended, the last minutes still running. Only the newest segment's rows have a hash (with the job's
resource): what only a job's page shows is not asked for here, but for the texts of the largest resources."""

import struct
from collections.abc import Iterator

import numpy as np

from statuses import keys
from statuses.columns import BY_NAME, DICTIONARIES, SEGMENT_ROWS, TIMESTAMPS
from statuses.encoding import tag_hash
from statuses.segments import Array
from statuses.states import State
from statuses.store import FORMAT, Store, token

DAY_US = 86_400_000_000
SPAN_US = 180 * DAY_US
SIZES = {"job_name": 300, "user": 500, "queue": 8, "worker": 64, "engine": 1, "error": 40}
RESOURCES = 20_000


def build(store: Store, jobs: int, until_us: int, *, seed: int = 7, resources: bool = True, family: int = 0) -> None:
    """Fill an empty family of a store with `jobs` jobs, the last of them recorded at `until_us`."""
    random = np.random.default_rng(seed)
    tag = store.families[family]
    dictionaries = {name: [f"{name}.{number:05d}" for number in range(size)] for name, size in SIZES.items()}
    for name, texts in dictionaries.items():
        for first in range(0, len(texts), 1000):
            part = texts[first : first + 1000]
            store.writer.rpush(keys.texts(tag, DICTIONARIES[name]), *part)
            store.writer.hset(keys.codes(tag, DICTIONARIES[name]), mapping={t: first + i + 1 for i, t in enumerate(part)})
    hashes = _hashes()
    segments = -(-jobs // SEGMENT_ROWS)
    recorded = np.linspace(until_us - SPAN_US, until_us, jobs).astype(np.int64)
    for number in range(segments):
        part = recorded[number * SEGMENT_ROWS : (number + 1) * SEGMENT_ROWS]
        prefix = keys.segment(tag, number)
        with store.writer.pipeline(transaction=False) as pipe:
            for name, cells in _cells(random, part, until_us):
                column = BY_NAME[name]
                pipe.set(keys.column(prefix, column.key), cells.tobytes().ljust(SEGMENT_ROWS * column.width, b"\0"))
            if resources:
                which = _zipf(random, RESOURCES, len(part)) - 1
                for bucket, entries in _postings(which, hashes):
                    pipe.set(keys.posting(prefix, "r", bucket), entries)
                for row, resource in enumerate(which.tolist() if number == segments - 1 else ()):
                    pipe.hset(keys.job(prefix, row), "a", f'{{"book":"Book:{resource}"}}')
            last = min(int(part[-1]) + DAY_US, until_us)
            pipe.set(keys.rows(prefix), len(part))
            pipe.set(keys.version(prefix), struct.pack("<Q", last) + token())
            pipe.set(keys.zone(prefix), struct.pack("<Q", int(part[0])) + bytes(16 * len(TIMESTAMPS)))
            pipe.execute()
    store.writer.hset(
        keys.meta(tag),
        mapping={
            "store": token().hex(),
            "format": FORMAT,
            "families": len(store.families),
            "first": 0,
            "dropped": 0,
            "current": segments - 1,
        },
    )


def _zipf(random: np.random.Generator, values: int, rows: int) -> Array:
    """Values from 1, the first the commonest."""
    weights = 1 / np.arange(1, values + 1)
    return (np.searchsorted(np.cumsum(weights / weights.sum()), random.random(rows)) + 1).clip(1, values).astype("<u4")


def _cells(random: np.random.Generator, recorded: Array, until_us: int) -> Iterator[tuple[str, Array]]:
    rows = len(recorded)
    wait = random.lognormal(14, 2, rows).astype(np.int64)
    run = random.lognormal(15, 2, rows).astype(np.int64)
    started, ended = recorded + 900 + wait, recorded + 900 + wait + run
    fate = random.choice([State.succeeded.code, State.failed.code, State.killed.code], rows, p=[0.93, 0.05, 0.02])
    states = np.where(ended <= until_us, fate, np.where(started <= until_us, State.started.code, State.queued.code)).astype("u1")
    began = started <= until_us
    yield "state", states
    yield "random", random.integers(1, 1 << 32, rows, dtype=np.uint32)
    for name in ("job_name", "user", "queue", "worker", "engine"):
        yield name, _zipf(random, SIZES[name], rows)
    yield "error", np.where(states == State.failed.code, _zipf(random, SIZES["error"], rows), 0).astype("<u4")
    yield "recorded_at", recorded
    yield "queued_at", recorded + 900
    yield "started_at", np.where(began, started, 0)
    for state in (State.succeeded, State.failed, State.killed):
        yield f"{state}_at", np.where(states == state.code, ended, 0)
    yield "wait_time", np.where(began, wait + 1, 0)
    yield "run_time", np.where(ended <= until_us, run + 1, 0)
    running = states == State.started.code
    if running.any():
        yield "heartbeat_at", np.where(running, until_us - random.integers(0, 120_000_000, rows), 0)
        yield "kill_requested_at", np.where(running & (random.random(rows) < 0.01), until_us, 0)


def _hashes() -> tuple[Array, Array]:
    found = [tag_hash(f"Book:{number}") for number in range(RESOURCES)]
    return np.array([bucket for bucket, _ in found]), np.array([int.from_bytes(entry, "little") << 16 for _, entry in found], np.uint64)


def _postings(which: Array, hashes: tuple[Array, Array]) -> Iterator[tuple[int, bytes]]:
    buckets, entries = hashes[0][which], hashes[1][which] | np.arange(len(which), dtype=np.uint64)
    order = np.argsort(buckets, kind="stable")
    starts = np.searchsorted(buckets[order], np.arange(257))
    for bucket in range(256):
        part = entries[order[starts[bucket] : starts[bucket + 1]]]
        if len(part):
            yield bucket, part.astype("<u8").tobytes()
