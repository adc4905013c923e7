"""Every answer equals the obvious computation over loaded statuses: random stores, random questions, changes in between."""

from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import statuses
from statuses import clock, directory, orders
from statuses.columns import DICTIONARIES, SPANS
from statuses.testing import frozen_clock
from tests.statuses import naive

often = settings(phases=[Phase.explicit, Phase.generate])
seeds = st.integers(0, 2**32)
ORDERS = [sign + name for name in (*naive.MOMENTS, *SPANS) for sign in ("", "-")]


def worlds(seed, server_url, families=1):
    """A small store with a past, in a namespace of its own."""
    statuses.configure(url=server_url, namespace=f"n{seed}-{next(_numbers)}", families=families)
    return Random(seed)


_numbers = iter(range(10**9))


def check_all(random, world, steps):
    for _ in range(steps):
        world.live(random.choice([3, 20, 60]))
        jobs = world.jobs()
        terms = naive.random_terms(random, jobs)
        check(random, naive.matching(jobs, terms), naive.query(terms), terms)


def check(random, jobs, query, terms):
    assert query.counts() == naive.counts(jobs), terms
    assert query.count() == len(jobs)
    assert query.exists() is bool(jobs)
    for field in random.sample([*DICTIONARIES, "job_arg"], 2):
        limit = random.choice([None, 0, 1, 2, 20])
        assert naive.facets(query.counts_by(field, limit)) == naive.counts_by(jobs, field, limit), (terms, field, limit)
    field, limit, order = (
        random.choice([*DICTIONARIES]),
        random.choice([None, 0, 1, 2]),
        random.choice(["", "-"]) + random.choice(orders.ORDERS),
    )
    assert naive.facets(query.counts_by(field, limit, order)) == naive.counts_by(jobs, field, limit, order), (terms, field, limit, order)
    for skipped in (0, 1, 3, 20):
        listed = query.report(counts_by={field: (order, limit, skipped)}).counts_by[field]
        end = None if limit is None else skipped + limit
        assert naive.facets(listed) == naive.counts_by(jobs, field, None, order)[skipped:end], (terms, field, limit, order, skipped)
    for asked, tally in zip(("job_arg", field), statuses.tallies((query, "job_arg"), (query, field)), strict=True):
        typed = random.choice(["b", "BOOK:", ":1", "é", "nothing"])
        expected = [found[:2] for found in naive.counts_by(jobs, asked, None)]
        assert [*zip(tally.values, tally.totals, strict=True)] == expected, (terms, asked)
        assert tuple([tally.values[at] for at in places] for places in tally.holding(typed)) == naive.holding(tally.values, typed)
    for span in SPANS:
        assert naive.durations_tuple(query.durations(span)) == naive.durations(jobs, span), (terms, span)
    check_durations_by(random, jobs, query)
    check_histogram(random, jobs, query)
    check_timeline(random, jobs, query)
    check_pages(random, jobs, query)


def check_durations_by(random, jobs, query):
    field, span, limit = random.choice([*DICTIONARIES]), random.choice(SPANS), random.choice([None, 0, 1, 3])
    found = query.durations_by(field, span, limit)
    expected = naive.durations_by(jobs, field, span, limit)
    assert {text: naive.durations_tuple(d) for text, d in found.items()} == expected
    assert list(found) == list(expected)


def check_histogram(random, jobs, query):
    span, number = random.choice(SPANS), random.choice([1, 2, 7, 40])
    bins = query.histogram(span, number)
    values = [job.spans[span] for job in jobs if job.spans[span] is not None]
    assert sum(b.n for b in bins) == len(values)
    if values:
        assert (bins[0].low, bins[-1].high) == (min(values), max(values))
        assert len(bins) == (number if min(values) < max(values) else 1)
    for at, b in enumerate(bins):
        closed = at == len(bins) - 1
        assert b.n == sum(b.low <= v < b.high or (closed and v == b.high) for v in values)


def check_timeline(random, jobs, query):
    on, buckets = random.choice(naive.MOMENTS), random.choice([1, 2, 13, 60])
    moments = sorted(at for job in jobs if (at := job.moments[on]) is not None)
    after = random.choice([None, *moments[:3]])
    before = random.choice([None, *[at + 5 for at in moments[-3:]]])
    found = query.timeline(on, after, before, buckets)
    low = after if after is not None else min(moments, default=None)
    high = before if before is not None else max(moments, default=None)
    if low is None or high is None or low > high:
        assert found == []
        return
    edges = [(clock.to_us(b.start), clock.to_us(b.end)) for b in found]
    assert (edges[0][0], edges[-1][1], len(edges)) == (low, high, buckets)
    assert all(edges[i][1] == edges[i + 1][0] for i in range(buckets - 1))
    widths = {end - start for start, end in edges}
    assert max(widths) - min(widths) <= 1
    assert [dict(b.counts) for b in found] == naive.timeline(jobs, on, edges)


def check_pages(random, jobs, query):
    order = random.choice(ORDERS)
    expected = naive.in_order(jobs, order)
    ordered = query.order_by(order)
    assert ordered.ids() == expected, order
    offset, limit = random.randrange(5), random.randrange(8)
    part = ordered.offset(offset).limit(limit)
    assert part.ids() == expected[offset : offset + limit]
    assert [status.id for status in part.run()] == expected[offset : offset + limit]
    assert part.count() == len(expected[offset : offset + limit])
    assert part.exists() is bool(expected[offset : offset + limit])
    first = ordered.first()
    assert (first.id if first else None) == (expected[0] if expected else None)
    walk(ordered, expected, random.choice([1, 2, 5, 50]))


def walk(ordered, expected, size):
    """Forward through all pages, and back again."""
    page, seen, pages = ordered.limit(size).run(), [], []
    assert page.previous is None
    while True:
        pages.append(page)
        seen += page.ids()
        if page.next is None:
            break
        page = ordered.limit(size).after(page.next).run()
    assert seen == expected
    for later, earlier in zip(pages[:0:-1], pages[-2::-1], strict=True):
        back = ordered.limit(size).before(later.previous).run()
        assert back.ids() == earlier.ids()
        assert ordered.limit(size).after(back.next).run().ids() == later.ids()
        assert (back.previous is None) == (earlier is pages[0])
    if len(pages) > 1:
        rest = ordered.after(pages[0].next)
        assert rest.count() == len(expected) - len(pages[0])
        assert rest.ids() == expected[len(pages[0]) :]


def examples(*numbers):
    """How many examples a story is told with, every day and where there is time. Each run makes others."""
    return pytest.mark.parametrize("examples", [numbers[0], pytest.param(numbers[1], marks=pytest.mark.full)])


@pytest.fixture(params=[directory.CODES, 0], ids=["codes are asked for", "codes are known"])
def codes(request, monkeypatch):
    """How few texts are few: of more their codes are found in what is known of the dictionary."""
    monkeypatch.setattr(directory, "CODES", request.param)


@pytest.mark.usefixtures("codes")
@examples(5, 60)
def test_every_answer_is_that_of_the_naive_model(examples, server_url):
    @settings(often, max_examples=examples)
    @given(seed=seeds)
    def every_seed(seed):
        with frozen_clock() as frozen:
            random = worlds(seed, server_url)
            check_all(random, naive.World(random, frozen), steps=4)

    every_seed()


@pytest.mark.usefixtures("codes")
@examples(4, 30)
def test_families_are_merged_by_text(examples, server_url):
    @settings(often, max_examples=examples)
    @given(seed=seeds)
    def every_seed(seed):
        with frozen_clock() as frozen:
            random = worlds(seed, server_url, families=3)
            check_all(random, naive.World(random, frozen), steps=3)

    every_seed()


@examples(15, 100)
def test_a_report_holds_the_same_answers(examples, server_url):
    @settings(often, max_examples=examples)
    @given(seed=seeds)
    def every_seed(seed):
        with frozen_clock() as frozen:
            random = worlds(seed, server_url)
            world = naive.World(random, frozen)
            for _ in range(3):
                world.live(random.randrange(25))
                jobs = world.jobs()
                terms = naive.random_terms(random, jobs)
                check_report(naive.query(terms), naive.matching(jobs, terms))

    every_seed()


def check_report(query, jobs):
    report = query.report(
        counts=True,
        counts_by={"job_name": 2, "job_arg": 3, "queue": ("-run_time", 1)},
        earliest_by={"queue": "queued_at", "worker": "heartbeat_at", "error": "ended_at"},
        durations=SPANS,
        durations_by={"job_name": ("run_time", 2)},
        histogram={"run_time": 5},
        timeline={"on": "started_at", "buckets": 4},
        flags=True,
        bounds=True,
    )

    assert (report.counts, report.total) == (naive.counts(jobs), len(jobs))
    assert naive.facets(report.counts_by["job_name"]) == naive.counts_by(jobs, "job_name", 2)
    assert naive.facets(report.counts_by["job_arg"]) == naive.counts_by(jobs, "job_arg", 3)
    assert naive.facets(report.counts_by["queue"]) == naive.counts_by(jobs, "queue", 1, "-run_time")
    for field, on in (("queue", "queued_at"), ("worker", "heartbeat_at"), ("error", "ended_at")):
        found = {text: clock.to_us(moment) for text, moment in report.earliest_by[field].items()}
        assert found == naive.earliest_by(jobs, field, on)
    for field in report.distinct:
        assert report.distinct[field] == len({text for job in jobs for text in job.values(field)})
    assert {span: naive.durations_tuple(d) for span, d in report.durations.items()} == {span: naive.durations(jobs, span) for span in SPANS}
    assert report.durations_by["job_name"] == query.durations_by("job_name", "run_time", 2)
    assert report.histogram["run_time"] == query.histogram("run_time", 5)
    assert report.timeline == query.timeline("started_at", buckets=4)
    assert report.flags["kill_requested"] == naive.counts([job for job in jobs if job.moments["kill_requested_at"] is not None])
    assert report.flags["stale"] == sum(job.is_stale for job in jobs)
    recorded = [job.moments["recorded_at"] for job in jobs]
    found = None if report.bounds is None else tuple(clock.to_us(at) for at in report.bounds)
    assert found == ((min(recorded), max(recorded)) if recorded else None)


@pytest.mark.usefixtures("store")
def test_an_empty_store_has_an_answer_to_everything():
    check(Random(1), [], statuses.all(), [])
    check(Random(2), [], statuses.where(job_name="x", stale=True, job_arg="Book:1"), [])
