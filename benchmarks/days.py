"""Days of jobs as `statuses.load` would have left them, in a tenth of its time: whole columns, and a script for the hashes.

The first jobs of each day do come through `load`, which makes what is not a cell: dictionaries and whatever columns are
missing. The rest goes into rows that the real script hands out, with the texts' codes looked up."""

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

import statuses
from statuses import clock, encoding, failure, keys, resource, segmentscripts
from statuses.columns import BY_NAME, DICTIONARIES, SEGMENT_ROWS, TIMESTAMPS
from statuses.encoding import tag_hash
from statuses.segments import Array
from statuses.states import State
from statuses.store import Store, current, token

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
#: Days a job is kept that succeeded, and one that failed: the default policy.
KEPT_DAYS = {"succeeded": 30, "failed": 180}
#: Jobs of a day that come through `load`: every text of the day is among theirs.
LOADED = 2_000
#: Hashes one call writes.
HASHES = 2_000
BOOKS = 9_999
ERROR = "ValueError: nothing left to plan"
#: ARGV prefix, then for each job: row, job_args, provider job id, name and value of one more field.
_HASHES = """
for i = 2, #ARGV, 5 do
  redis.call('HSET', ARGV[1] .. 'j' .. ARGV[i], 'a', ARGV[i + 1], 'p', ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end
"""


class Day:
    """The jobs of one day; the same for the same arguments."""

    def __init__(self, day: int, per_day: int, kept: float, until: int | None = None) -> None:
        """With `until` only those that are still there at the end of that day."""
        self.day = day
        numbers = np.arange(per_day, dtype=np.int64)
        seeds = ((day * per_day + numbers).astype(np.uint64) * np.uint64(2_654_435_761) % np.uint64(1 << 32)).astype(np.int64)
        failed = seeds / (1 << 32) < kept
        if until is not None:
            there = until - day <= np.where(failed, KEPT_DAYS["failed"], KEPT_DAYS["succeeded"])
            numbers, seeds, failed = numbers[there], seeds[there], failed[there]
        self.numbers, self.seeds, self.failed = numbers, seeds, failed
        self.at = clock.to_us(BEGIN) + day * DAY_US + numbers * DAY_US // per_day
        self.started = self.at + 1_000_000
        self.ended = self.at + 2_000_000 + seeds % 60_000_000

    def __len__(self) -> int:
        return len(self.numbers)

    def texts(self, seed: int) -> dict[str, str]:
        """The texts with dictionaries of one job."""
        return {
            "job_name": f"planning.step_{seed % 50}", "user": f"user-{seed % 200}", "queue": f"queue-{seed % 5}",
            "worker": f"worker-{self.day // 7}-{seed % 4}", "engine": "celery",
        }  # fmt: skip

    def provider_id(self, at: int) -> str:
        return f"{self.seeds[at]:08x}-{self.day:04x}-{self.numbers[at]:022x}"

    def records(self, end: int) -> Iterator[dict[str, Any]]:
        """The first jobs, as `load` takes them."""
        for at, seed in enumerate(self.seeds[:end].tolist()):
            state = "failed" if self.failed[at] else "succeeded"
            yield {
                **self.texts(seed), "job_args": {"book": f"Book:{seed % BOOKS}"}, "provider_job_id": self.provider_id(at), "state": state,
                "recorded_at": int(self.at[at]), "queued_at": int(self.at[at]), "started_at": int(self.started[at]),
                f"{state}_at": int(self.ended[at]), **({"errors": [ERROR]} if state == "failed" else {}),
            }  # fmt: skip


def write(day: Day) -> int:
    """Put the jobs of a day into the store, at its frozen time; how many."""
    store, done = current(), min(LOADED, len(day))
    statuses.load(day.records(done))
    codes = _codes(store, day) if done < len(day) else {}
    while done < len(day):
        segment, first, given = segmentscripts.reserve(store, 0, len(day) - done)
        _fill(store, segment, first, day, slice(done, done + given), codes)
        done += given
    return len(day)


def _codes(store: Store, day: Day) -> dict[str, Array]:
    """Column -> the code for each remainder of a seed."""
    found = {}
    for name, values in {"job_name": 50, "user": 200, "queue": 5, "worker": 4, "engine": 1}.items():
        texts = [day.texts(seed)[name] for seed in range(values)]
        kept = store.writer.hmget(keys.codes(store.families[0], DICTIONARIES[name]), texts)
        found[name] = np.array([abs(int(code)) for code in kept], "<u4")
    kept = store.writer.hget(keys.codes(store.families[0], DICTIONARIES["error"]), failure.describe(ERROR).group)
    found["error"] = np.array([abs(int(kept or 0))], "<u4")
    return found


def _hashes(store: Store, prefix: str, first: int, day: Day, part: slice) -> None:
    """What a job's page shows, and the error of those that failed."""
    given: list[Any] = []
    script, error = store.writer.register_script(_HASHES), failure.describe(ERROR)
    pipe = store.writer.pipeline(transaction=False)
    for row, at in enumerate(range(*part.indices(len(day))), start=first):
        more = ("g", "1")
        if day.failed[at]:
            more = ("o", error.summary)
            pipe.set(keys.errors(prefix, row), f"{'0' * 16}{error.text}\n")
        given += row, _BOOKS[day.seeds[at] % BOOKS], day.provider_id(at), *more
    for begin in range(0, len(given), 5 * HASHES):
        script(args=[prefix, *given[begin : begin + 5 * HASHES]])
    pipe.execute()


def _hashed(texts: Iterable[str]) -> tuple[Array, Array]:
    """Bucket and entry of each text's tag, the row left out."""
    found = [tag_hash(text) for text in texts]
    return np.array([bucket for bucket, _ in found]), np.array([int.from_bytes(entry, "little") << 16 for _, entry in found], np.uint64)


def _postings(buckets: Array, entries: Array) -> Iterator[tuple[int, bytes]]:
    order = np.argsort(buckets, kind="stable")
    starts = np.searchsorted(buckets[order], np.arange(257))
    for bucket in range(256):
        part = entries[order[starts[bucket] : starts[bucket + 1]]]
        if len(part):
            yield bucket, part.astype("<u8").tobytes()


def _zone(kept: bytes, cells: dict[str, Array]) -> bytes:
    """A segment's zone, wide enough for what was put into it."""
    zone = list(struct.unpack(f"<{len(kept) // 8}Q", kept))
    for number, name in enumerate(TIMESTAMPS):
        given = cells[name][cells[name] != 0] if name in cells else ()
        if len(given):
            low, high = zone[1 + 2 * number], zone[2 + 2 * number]
            zone[1 + 2 * number] = min(low or int(given.min()), int(given.min()))
            zone[2 + 2 * number] = max(high, int(given.max()))
    return struct.pack(f"<{len(zone)}Q", *zone)


def _version(kept: bytes, now: int) -> bytes:
    return struct.pack("<Q", max(now, struct.unpack("<Q", kept[:8])[0] + 1)) + token()


def _fill(store: Store, segment: int, first: int, day: Day, part: slice, codes: dict[str, Array]) -> None:
    prefix, seeds, failed = keys.segment(store.families[0], segment), day.seeds[part], day.failed[part]
    recorded, started, ended = day.at[part], day.started[part], day.ended[part]
    now = clock.frozen_us()
    cells = {
        "random": np.random.default_rng(int(seeds[0])).integers(1, 1 << 32, len(seeds), dtype=np.uint32),
        **{name: kept[seeds % len(kept)] for name, kept in codes.items() if name != "error"},
        "error": np.where(failed, codes["error"][0], 0).astype("<u4"),
        "recorded_at": recorded, "queued_at": recorded, "started_at": started,
        "succeeded_at": np.where(failed, 0, ended), "failed_at": np.where(failed, ended, 0),
        "run_time": ended - started + 1, "wait_time": started - recorded + 1, "loaded_at": np.full(len(seeds), now),
        "state": np.where(failed, State.failed.code, State.succeeded.code).astype("u1"),
    }  # fmt: skip
    _hashes(store, prefix, first, day, part)
    pipe = store.writer.pipeline(transaction=False)
    tags = {
        "r": (_BOOK_TAGS[0][seeds % BOOKS], _BOOK_TAGS[1][seeds % BOOKS]),
        "p": _hashed(map(day.provider_id, range(*part.indices(len(day))))),
    }
    for kind, (buckets, entries) in tags.items():
        for bucket, packed in _postings(buckets, entries | np.arange(first, first + len(seeds)).astype(np.uint64)):
            pipe.append(keys.posting(prefix, kind, bucket), packed)
    for name, values in cells.items():
        column = BY_NAME[name]
        key = keys.column(prefix, column.key)
        if values.any():
            if not store.writer.strlen(key):
                pipe.setrange(key, SEGMENT_ROWS * column.width - 1, b"\0")
            pipe.setrange(key, first * column.width, values.tobytes())
    pipe.set(keys.zone(prefix), _zone(store.writer.get(keys.zone(prefix)), cells))
    pipe.set(keys.version(prefix), _version(store.writer.get(keys.version(prefix)), now))
    pipe.execute()


_BOOKS = [encoding.dumps(resource.normalise({"book": f"Book:{number}"}), "job_args") for number in range(BOOKS)]
_BOOK_TAGS = _hashed(f"Book:{number}" for number in range(BOOKS))
