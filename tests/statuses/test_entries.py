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


@pytest.mark.parametrize("seed", range(8))
def test_each_is_there_once_and_in_order(seed):
    random = Random(seed)
    hits, live = made(random)
    wanted = np.array([random.random() < 0.5 for _ in range(CELLS)])
    buckets = sorted(random.sample(range(TAG_BUCKETS), 100))

    hashes, rows = each_once(hits, "job_arg", range(TAG_BUCKETS))
    some_hashes, some_rows = each_once(hits, "job_arg", buckets, wanted)

    expected = sorted({(bucket << 48 | hash, row) for bucket, hash, row in live})
    some = {(b << 48 | h, row) for b, h, row in live if b in buckets and wanted[b << 8 | h & 0xFF]}
    assert [*zip(hashes.tolist(), rows.tolist(), strict=True)] == expected
    assert [*zip(some_hashes.tolist(), some_rows.tolist(), strict=True)] == sorted(some)


@pytest.mark.parametrize("seed", range(8))
def test_cells_are_counted(seed):
    hits, live = made(Random(seed))

    counted = count_cells(hits, "job_arg")

    cells = [bucket << 8 | hash & 0xFF for bucket, hash, _ in live]
    assert counted.tolist() == np.bincount(cells, minlength=CELLS).tolist()
