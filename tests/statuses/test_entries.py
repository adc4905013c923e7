"""The entries of posting lists are put together as they would be one by one, whatever lies in them."""

from random import Random

import numpy as np
import pytest

from statuses.columns import DEAD_ROW, TAG_BUCKETS
from statuses.entries import CELLS, count_cells, each_once
from statuses.evaluation import Hits
from statuses.masks import TRUE
from statuses.segments import Segment, View

ROWS = 300


def made(random: Random) -> tuple[Hits, list[tuple[int, int, int]]]:
    """A segment whose lists hold entries twice, of dead rows, and the same hash in two buckets; and its live entries."""
    states = np.array([random.choice([0, 1, 4, 9]) for _ in range(ROWS)], np.uint8)
    view = View(Segment(b"", 0, 0, bytes(16), ROWS, None))
    view._columns["state"] = states
    few = [random.getrandbits(48) for _ in range(12)]
    live = []
    for bucket in range(TAG_BUCKETS):
        number = random.choice([0, 0, 1, 7, 40])
        entries = [(random.choice(few), random.choice([random.randrange(ROWS), DEAD_ROW])) for _ in range(number)]
        entries += entries[: random.randrange(3)]
        view._postings["job_arg", bucket] = np.array([hash << 16 | row for hash, row in entries], np.uint64)
        live += [(bucket, hash, row) for hash, row in entries if row != DEAD_ROW and states[row] in (1, 4)]
    return Hits(view, TRUE), live


def listed(parts) -> list[tuple[int, int]]:
    return [pair for hashes, rows in parts for pair in zip(hashes.tolist(), rows.tolist(), strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_each_is_there_once_and_in_order(seed):
    random = Random(seed)
    hits, live = made(random)
    wanted = np.array([random.random() < 0.5 for _ in range(CELLS)])
    buckets = sorted(random.sample(range(TAG_BUCKETS), 100))

    every = listed(each_once(hits, "job_arg", range(TAG_BUCKETS)))
    chosen = listed(each_once(hits, "job_arg", buckets, wanted))

    assert every == sorted({(bucket << 48 | hash, row) for bucket, hash, row in live})
    some = {(b << 48 | h, row) for b, h, row in live if b in buckets and wanted[b << 8 | h & 0xFF]}
    assert chosen == sorted(some)


def test_hashes_that_begin_alike_are_told_apart_and_none_is_there_for_nothing():
    states = np.full(ROWS, 4, np.uint8)
    view = View(Segment(b"", 0, 0, bytes(16), ROWS, None))
    view._columns["state"] = states
    alike = [0xABCD_0000_0000 | last for last in (0, 1, 0xFFFF_FFFF)]
    for bucket in range(TAG_BUCKETS):
        entries = [hash << 16 | row for row in range(ROWS) for hash in alike] if bucket in (0, 1, 31, 32, 255) else []
        view._postings["job_arg", bucket] = np.array(entries, np.uint64)

    found = [*each_once(Hits(view, TRUE), "job_arg", range(TAG_BUCKETS))]

    assert listed(found) == [(bucket << 48 | hash, row) for bucket in (0, 1, 31, 32, 255) for hash in alike for row in range(ROWS)]
    assert all(len(hashes) for hashes, _ in found)


@pytest.mark.parametrize("seed", range(8))
def test_cells_are_counted(seed):
    hits, live = made(Random(seed))

    counted = count_cells(hits, "job_arg")

    cells = [bucket << 8 | hash & 0xFF for bucket, hash, _ in live]
    assert counted.tolist() == np.bincount(cells, minlength=CELLS).tolist()
