"""Answers over stores of several full segments, against plain numpy over all rows; and how little is read for them."""

import itertools
import math
import time

import numpy as np
import pytest

import statuses
from benchmarks.columns import DAY_US, build
from statuses import clock, directory, keys
from statuses.cache import partials
from statuses.clock import from_us
from statuses.columns import COLUMNS, SEGMENT_ROWS
from statuses.states import State
from statuses.store import Store, current

JOBS = 3 * SEGMENT_ROWS + 20_000
NAME = "job_name.00002"
_TYPES = {1: "u1", 4: "<u4", 8: "<i8"}


class Rows:
    """Every row's cells, by column, in the order of their creation."""

    def __init__(self, store):
        self.until_us = int(time.time() * 1e6)
        build(store, JOBS, self.until_us)
        parts = {column.name: [] for column in COLUMNS}
        for segment in range(4):
            prefix = keys.segment(store.families[0], segment)
            rows = int(store.writer.get(keys.rows(prefix)))
            for column in COLUMNS:
                kept = store.writer.get(keys.column(prefix, column.key)) or bytes(SEGMENT_ROWS * column.width)
                parts[column.name].append(np.frombuffer(kept, _TYPES[column.width])[:rows])
        self.cells = {name: np.concatenate(found) for name, found in parts.items()}

    def __getitem__(self, name):
        return self.cells[name]


@pytest.fixture(scope="module")
def rows(server_url):
    statuses.configure(url=server_url, namespace="many")
    yield Rows(current())
    current().writer.flushall()


@pytest.fixture(autouse=True)
def here(server_url, rows):
    statuses.configure(url=server_url, namespace="many")
    partials.clear()
    directory._known.clear()


def filters(rows):
    low, high = (int(np.quantile(rows["recorded_at"], part)) for part in (0.4, 0.9))
    span = (rows["recorded_at"] >= low) & (rows["recorded_at"] <= high)
    return {
        "everything": (statuses.all(), np.ones(JOBS, bool)),
        "name": (statuses.where(job_name=NAME), rows["job_name"] == 3),
        "name, failed": (statuses.where(job_name=NAME, state="failed"), (rows["job_name"] == 3) & (rows["state"] == State.failed.code)),
        "span": (statuses.where(recorded_at=(low, high)), span),
        "outside": (statuses.all().exclude(recorded_at=(low, high)), ~span),
        "users, ran long": (
            statuses.where(user=["user.00000", "user.00005", "user.00007", "user.00499"], run_time=(10, None)),
            np.isin(rows["user"], [1, 6, 8, 500]) & (rows["run_time"] >= 10_000_001),
        ),
    }


@pytest.mark.parametrize("name", ["everything", "name", "name, failed", "span", "outside", "users, ran long"])
def test_answers_are_those_of_all_rows_at_once(rows, name):
    query, mask = filters(rows)[name]
    states = rows["state"][mask]

    for _ in range(2):
        assert query.counts() == {state: int((states == state.code).sum()) for state in State}
        check_durations(query.durations("run_time"), rows["run_time"][mask])
        check_durations(query.durations("wait_time"), rows["wait_time"][mask])
        check_facets(query.counts_by("queue"), rows, mask, "queue", 20)
        check_facets(query.counts_by("user", 7), rows, mask, "user", 7)
        check_timeline(query.timeline(buckets=37), rows, mask)
        assert sum(b.n for b in query.histogram("run_time")) == int((rows["run_time"][mask] != 0).sum())


def check_durations(found, cells):
    values = np.sort(cells[cells != 0] - 1)
    assert (found.n, found.min, found.max) == (len(values), values[0] / 1e6, values[-1] / 1e6)
    for percentile, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        assert value == values[math.ceil(len(values) * percentile / 100) - 1] / 1e6
    assert found.avg == int(values.sum()) / len(values) / 1e6


def check_facets(found, rows, mask, field, limit):
    codes, recorded, states = rows[field][mask], rows["recorded_at"][mask], rows["state"][mask]
    values, totals = np.unique(codes, return_counts=True)
    order = np.lexsort((values, -totals))[:limit]
    assert [(f.value, f.total) for f in found] == [(f"{field}.{values[at] - 1:05d}", totals[at]) for at in order]
    for facet, code in zip(found, values[order], strict=True):
        mine = codes == code
        assert facet.by_state == {state: int((states[mine] == state.code).sum()) for state in State}
        assert (facet.first, facet.last) == (from_us(int(recorded[mine].min())), from_us(int(recorded[mine].max())))


def check_timeline(found, rows, mask):
    moments, states = rows["recorded_at"][mask], rows["state"][mask]
    edges = [clock.to_us(bucket.start) for bucket in found] + [clock.to_us(found[-1].end)]
    assert (edges[0], edges[-1]) == (int(moments.min()), int(moments.max()))
    for number, (bucket, (start, end)) in enumerate(zip(found, itertools.pairwise(edges), strict=True)):
        inside = (moments >= start) & ((moments <= end) if number == len(found) - 1 else (moments < end))
        assert bucket.counts == {state: int((states[inside] == state.code).sum()) for state in State}


def test_durations_by_are_those_of_each_value_alone(rows):
    found = statuses.all().durations_by("queue", "run_time", 5)

    assert list(found) == [f"queue.{number:05d}" for number in range(5)]
    for number, (queue, durations) in enumerate(found.items(), start=1):
        check_durations(durations, rows["run_time"][rows["queue"] == number])
        assert durations == statuses.where(queue=queue).durations("run_time")


@pytest.mark.parametrize("order", ["run_time", "-run_time", "recorded_at", "-recorded_at", "-failed_at", "ended_at"])
@pytest.mark.parametrize("offset", [0, 500])
def test_a_page_is_a_slice_of_all_rows_sorted(rows, order, offset):
    name, sign = order.removeprefix("-"), -1 if order.startswith("-") else 1
    ended = sum(np.where(rows["state"] == s.code, rows[f"{s}_at"], 0) for s in (State.succeeded, State.failed, State.killed))
    cells = ended if name == "ended_at" else rows[name]
    keys_of = np.where(cells == 0, np.iinfo(np.int64).max, sign * cells)
    expected = np.lexsort((sign * np.arange(JOBS), keys_of))[offset : offset + 100]

    page = statuses.all().order_by(order)[offset : offset + 100].run()

    assert [status._place().segment * SEGMENT_ROWS + status._place().row for status in page] == expected.tolist()


def test_resources_are_counted_exactly(rows):
    kind = current()
    totals = {}
    for segment in range(4):
        prefix = keys.segment(kind.families[0], segment)
        for bucket in range(256):
            entries = np.frombuffer(kind.writer.get(keys.posting(prefix, "r", bucket)) or b"", "<u8")
            names, counts = np.unique(entries >> np.uint64(16), return_counts=True)
            for hash_, count in zip(names.tolist(), counts.tolist(), strict=True):
                totals[bucket, hash_] = totals.get((bucket, hash_), 0) + count

    found = statuses.all().counts_by("job_arg", 30)

    assert [facet.total for facet in found] == sorted(totals.values(), reverse=True)[:30]
    for facet in found[:3]:
        assert facet.total == statuses.where(job_arg=facet.value).count()
        assert facet.by_state == statuses.where(job_arg=facet.value).counts()
    assert statuses.all().report(counts_by={"job_arg": 1}).distinct["job_arg"] == len(totals)


class Read:
    """Every reading command sent, and how many bytes came back."""

    def __init__(self, monkeypatch):
        self.commands, self.bytes = [], 0
        real = Store.pipeline

        def pipeline(here, commands, *, primary=False):
            commands = list(commands)
            replies = real(here, commands, primary=primary)
            self.commands += commands
            parts = (part for reply in replies for part in (reply if isinstance(reply, list) else [reply]))
            self.bytes += sum(len(part) for part in parts if isinstance(part, bytes))
            return replies

        monkeypatch.setattr(Store, "pipeline", pipeline)

    @property
    def segments(self):
        """The numbers of the segments whose columns were read."""
        return {number for command in self.wide for number in command}

    @property
    def wide(self):
        """For each command that read columns: the numbers of the segments they are of."""
        reading = [command for command in self.commands if command[0] in ("MGET", "GETRANGE")]
        asked = [[name for name in command[1:] if str(name).endswith(":st")] for command in reading]
        return [[int(name.split("}")[1].split(":")[0]) for name in names] for names in asked if names]


def test_a_page_of_the_newest_reads_the_newest_segments_only(monkeypatch):
    read = Read(monkeypatch)

    statuses.all().limit(20).run()

    assert read.segments <= {2, 3}


def test_a_span_skips_the_segments_outside(rows, monkeypatch):
    early = (int(rows["recorded_at"][10]), int(rows["recorded_at"][5000]))
    read = Read(monkeypatch)

    assert statuses.where(recorded_at=early).count() == 4991
    assert read.segments == {0}


def test_nothing_is_read_again_while_nothing_changes(monkeypatch):
    query = statuses.where(job_name=NAME)
    first = query.report(counts=True, counts_by={"user": 5}, durations=("run_time",), timeline={"buckets": 10})
    read = Read(monkeypatch)

    assert query.report(counts=True, counts_by={"user": 5}, durations=("run_time",), timeline={"buckets": 10}) == first

    assert read.segments == set()
    assert read.bytes < 10_000


def test_only_the_segment_that_changed_is_read_again(monkeypatch):
    query = statuses.where(job_name=NAME)
    before = query.counts()
    made = statuses.create(job_name=NAME)
    read = Read(monkeypatch)

    assert query.counts() == {**before, State.unqueued: before["unqueued"] + 1}

    assert read.segments == {3}
    made.delete(force=True)


def test_a_window_that_slides_reads_only_where_it_ends(rows, monkeypatch):
    start, end = int(rows["recorded_at"][30_000]), rows.until_us + 3_600_000_000
    statuses.where(recorded_at=(start, end)).counts()
    read = Read(monkeypatch)

    found = statuses.where(recorded_at=(start + 60_000_000, end + 60_000_000)).count()

    assert found == int((rows["recorded_at"] >= start + 60_000_000).sum())
    assert read.segments == {0}


def test_segments_of_which_little_is_asked_share_a_command(monkeypatch):
    read = Read(monkeypatch)

    assert sum(statuses.all().counts().values()) == JOBS
    assert sum(statuses.where(job_name=NAME).counts().values()) < JOBS

    assert read.wide == [[3], [2, 1, 0], [3], [2], [1], [0]]


def test_no_command_asks_for_more_than_about_a_megabyte(monkeypatch):
    read = Read(monkeypatch)

    statuses.all().report(
        counts=True,
        counts_by={"job_name": 5, "job_arg": 5},
        durations=("run_time", "wait_time"),
        timeline={"on": "started_at"},
        flags=True,
    )

    sizes = {column.key: column.width * SEGMENT_ROWS for column in COLUMNS} | dict.fromkeys(("v", "n", "z", "rows"), 0)
    for command in read.commands:
        if command[0] == "MGET":
            assert sum(sizes.get(name.rsplit(":", 1)[-1], 4096) for name in command[1:]) <= 1 << 20
        elif command[0] == "GETRANGE":
            assert command[3] < 30_000 * 8


def test_exists_stops_at_the_first_segment_that_has_one(monkeypatch):
    read = Read(monkeypatch)

    assert statuses.where(job_name="job_name.00000").exists()

    assert len(read.segments) == 1


def test_iterating_over_everything_gives_each_once():
    count, seen = 0, set()
    for status in itertools.islice(statuses.where(state="killed", job_name=NAME), 2000):
        count += 1
        seen.add(status.id)

    assert count == len(seen) == min(2000, statuses.where(state="killed", job_name=NAME).count())


def test_places_name_every_match_once(rows):
    places = list(statuses.where(state="failed").places())

    found = np.concatenate([segment * SEGMENT_ROWS + found for _, segment, found, _, _ in places])
    assert sorted(found.tolist()) == np.flatnonzero(rows["state"] == State.failed.code).tolist()
    assert all((randoms == rows["random"][segment * SEGMENT_ROWS + part]).all() for _, segment, part, randoms, _ in places)
    assert all((states == State.failed.code).all() for *_, states in places)


def test_the_span_of_the_benchmark_store_is_what_it_says(rows):
    assert rows["recorded_at"][-1] - rows["recorded_at"][0] == 180 * DAY_US
