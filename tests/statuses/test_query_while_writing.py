"""Answers while others write: each is that of one moment, however often the segments change between two looks."""

from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import statuses
from statuses import evaluation, ids, segments
from statuses.columns import SPANS
from statuses.store import Store, current
from statuses.testing import frozen_clock
from tests.statuses import naive
from tests.statuses.test_query_against_naive import examples

often = settings(phases=[Phase.explicit, Phase.generate])
seeds = st.integers(0, 2**32)
_numbers = iter(range(10**9))


class Interference:
    """Something happens in the store after every read of the one who asks; remembers how everything was each time."""

    def __init__(self, world, happen, monkeypatch):
        self.world, self.happen = world, happen
        self.moments = [world.jobs()]
        self.busy = False
        real = Store.pipeline

        def pipeline(here, commands, *, primary=False):
            replies = real(here, commands, primary=primary)
            if not self.busy and not primary:
                self.busy = True
                self.happen()
                self.moments.append(self.world.jobs())
                self.busy = False
            return replies

        monkeypatch.setattr(Store, "pipeline", pipeline)


def started_world(seed, server_url, frozen, steps):
    statuses.configure(url=server_url, namespace=f"w{seed}-{next(_numbers)}")
    world = naive.World(Random(seed), frozen)
    world.create()
    for _ in range(steps):
        world.tick()
        world.random.choice([world.create, world.change])()
    return world


QUESTIONS = {
    "counts": (lambda query: query.counts(), naive.counts),
    "exists": (lambda query: query.exists(), bool),
    "names": (lambda query: naive.facets(query.counts_by("job_name", 2)), lambda jobs: naive.counts_by(jobs, "job_name", 2)),
    "resources": (lambda query: naive.facets(query.counts_by("job_arg", 2)), lambda jobs: naive.counts_by(jobs, "job_arg", 2)),
    "durations": (lambda query: naive.durations_tuple(query.durations("run_time")), lambda jobs: naive.durations(jobs, "run_time")),
    "durations_by": (
        lambda query: {t: naive.durations_tuple(d) for t, d in query.durations_by("job_name", "wait_time", 2).items()},
        lambda jobs: naive.durations_by(jobs, "job_name", "wait_time", 2),
    ),
    "histogram": (
        lambda query: sum(b.n for b in query.histogram("run_time", 5)),
        lambda jobs: sum(job.spans["run_time"] is not None for job in jobs),
    ),
    "timeline": (
        lambda query: sum(sum(b.counts.values()) for b in query.timeline("started_at", buckets=3)),
        lambda jobs: sum(job.moments["started_at"] is not None for job in jobs),
    ),
    "ids": (lambda query: query.ids(), lambda jobs: naive.in_order(jobs, "-recorded_at")),
    "ids by run time": (lambda query: query.order_by("run_time")[:3].ids(), lambda jobs: naive.in_order(jobs, "run_time")[:3]),
}


def without_removed(answers, moments):
    """Lists of ids as they are where jobs with own ids are gone when those are read: they are left out, as `ids()` says."""
    lists = [(at, answer) for at, answer in enumerate(answers) if isinstance(answer, list) and all(isinstance(one, str) for one in answer)]
    there = [{job.id for job in jobs} for jobs in moments]
    return [[one for one in answer if one in alive or ids.decode(one)] for at, answer in lists for alive in there[at:]]


@examples(6, 40)
@pytest.mark.parametrize("kept", [0, 60_000, 64 << 20], ids=["nothing kept", "some kept", "snapshots kept"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_is_of_one_moment(question, kept, examples, server_url):
    ask, expect = QUESTIONS[question]

    @settings(often, max_examples=examples)
    @given(seed=seeds)
    @example(seed=72)  # where a segment changes while what was missing of it is read, and a text that is asked for may be new
    @example(seed=436779)
    @example(seed=46728)  # where a job with an own id is removed between the answer and the reading of that id
    def every_seed(seed):
        with frozen_clock() as frozen, pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "KEPT_BYTES", kept)
            world = started_world(seed, server_url, frozen, 15)
            terms = naive.random_terms(world.random, world.jobs())

            def happen():
                for _ in range(world.random.randrange(3)):
                    world.random.choice([world.create, world.change])()

            seen = Interference(world, happen, patch)
            found = ask(naive.query(terms))
            moments = [expect(naive.matching(jobs, terms)) for jobs in seen.moments]
            assert found in moments or found in without_removed(moments, seen.moments), terms

    every_seed()


@examples(6, 80)
@pytest.mark.parametrize("kept", [0, 60_000, 64 << 20], ids=["nothing kept", "some kept", "snapshots kept"])
def test_the_answers_of_a_report_fit_together(kept, examples, server_url):
    @settings(often, max_examples=examples)
    @given(seed=seeds)
    @example(seed=274843901)  # where the last reading found all answers of its first looks known, and had read nothing for the next ones
    @example(seed=2277942729)
    def every_seed(seed):
        with frozen_clock() as frozen, pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "KEPT_BYTES", kept)
            world = started_world(seed, server_url, frozen, 10)
            for _ in range(2):
                world.next_segment()
                world.live(10)
            Interference(world, lambda: world.live(world.random.randrange(4)), patch)
            check_fits(naive.query(naive.random_terms(world.random, world.jobs())))

    every_seed()


def check_fits(query):
    report = query.report(
        counts=True,
        counts_by={"job_name": None, "job_arg": 3},
        durations=SPANS,
        durations_by={"job_name": ("run_time", None)},
        histogram={"run_time": 5},
        timeline={"buckets": 4},
    )

    assert sum(report.counts.values()) == report.total == sum(sum(b.counts.values()) for b in report.timeline)
    for state, number in report.counts.items():
        assert number == sum(bucket.counts[state] for bucket in report.timeline)
        assert number >= sum(facet.by_state[state] for facet in report.counts_by["job_name"])
    timed = report.durations["run_time"].n
    assert timed == sum(b.n for b in report.histogram["run_time"])
    assert timed >= sum(d.n for d in report.durations_by["job_name"].values())


@pytest.fixture
def written(server_url, monkeypatch):
    """What is read of a store of three families of which each is written to after every read: `begun` and `read`, how often an
    evaluation began, and how often the states of a segment were read."""
    statuses.configure(url=server_url, namespace=f"w{next(_numbers)}", families=3)
    seen, real, real_init = SimpleNamespace(begun=0, read=0), Store.pipeline, evaluation.Evaluation.__init__
    jobs = [statuses.create(job_name=f"n{n % 3}", job_args={"book": f"Book:{n % 5}"}).started(worker="w") for n in range(40)]
    for job in jobs[:30]:
        job.succeeded()
    jobs[30].request_kill()
    one_of_each = list({job._place().family: job for job in jobs}.values())
    assert len(one_of_each) == 3

    def counted(self, *args, **kwargs):
        seen.begun += 1
        real_init(self, *args, **kwargs)

    def pipeline(store, commands, *, primary=False):
        commands = list(commands)
        replies = real(store, commands, primary=primary)
        if not primary:
            seen.read += sum(str(name).endswith(":st") for command in commands for name in command[1:])
            for job in one_of_each:
                job.set_user("somebody")
        return replies

    for job in one_of_each:
        job.set_user("somebody")
    monkeypatch.setattr(evaluation.Evaluation, "__init__", counted)
    monkeypatch.setattr(Store, "pipeline", pipeline)
    return seen


OVERVIEW = {
    "counts": True, "counts_by": {"job_name": 10, "error": 8}, "durations": SPANS, "durations_by": {"job_name": ("run_time", 10)},
    "histogram": {"run_time": 5}, "timeline": {"on": "recorded_at", "buckets": 4}, "flags": True, "bounds": True,
}  # fmt: skip
REPORTS = {
    "overview": OVERVIEW,
    "names by time": {"counts_by": {"job_name": ("-run_time", 2)}},
    "resources": {"counts_by": {"job_arg": 3}},
    "queues": {"counts_by": {"queue": None}, "earliest_by": {"queue": "started_at"}},
    "timeline of the ended": {"timeline": {"on": "ended_at", "buckets": 3}},
}


@pytest.mark.parametrize("name", REPORTS)
def test_of_what_is_written_all_the_time_everything_is_read_at_once(name, written):
    found = statuses.all().report(**REPORTS[name])

    assert (written.begun, written.read) == (1, 3)
    assert found.total in (None, 40)


@pytest.mark.parametrize("name", REPORTS)
def test_where_there_is_no_room_for_that_an_answer_is_asked_for_again(name, written, monkeypatch):
    monkeypatch.setattr(evaluation, "KEPT_BYTES", 0)

    found = statuses.all().report(**REPORTS[name])

    assert written.begun <= evaluation.RESTARTS + 1
    assert found.total in (None, 40)


def test_of_what_is_known_only_signs_of_life_are_read_again_though_it_was_written_lately(server_url, monkeypatch):
    statuses.configure(url=server_url, namespace=f"k{next(_numbers)}")
    statuses.create(job_name="n").started().heartbeat()
    first = statuses.all().report(**OVERVIEW)
    asked, real = [], Store.pipeline

    def pipeline(store, commands, *, primary=False):
        commands = list(commands)
        names = [command[1].rsplit(":", 1)[-1] for command in commands if command[0] == "GETRANGE"]
        asked.extend(name for name in names if name != "seals")
        return real(store, commands, primary=primary)

    monkeypatch.setattr(Store, "pipeline", pipeline)

    assert statuses.all().report(**OVERVIEW) == first
    assert sorted(asked) == ["heartbeat_at", "st"]


def test_a_segment_that_is_written_between_two_commands_of_a_read_is_read_again(server_url, monkeypatch):
    """Before every single command of a read in turn a job ends, and so another state, moment and time come into three columns."""
    real, state = Store.pipeline, {"left": 0, "jobs": []}

    def pipeline(store, commands, *, primary=False):
        commands = list(commands)
        if primary or "GETRANGE" not in {command[0] for command in commands}:
            return real(store, commands, primary=primary)
        replies = []
        for command in commands:
            state["left"] -= 1
            if state["left"] == 0:
                state["jobs"].pop().succeeded()
            replies += real(store, [command])
        return replies

    statuses.configure(url=server_url, namespace=f"b{next(_numbers)}")
    state["jobs"] = [statuses.create(job_name="n").started() for _ in range(40)]
    monkeypatch.setattr(Store, "pipeline", pipeline)
    number, ended = 0, 0
    while state["left"] <= 0:
        number += 1
        state["jobs"][0].set_user(f"u{number}")
        state["left"] = number
        report = statuses.all().report(counts=True, durations=("run_time",), timeline={"on": "succeeded_at", "buckets": 2})
        now = 40 - len(state["jobs"])
        assert report.counts["succeeded"] == report.durations["run_time"].n == sum(sum(b.counts.values()) for b in report.timeline)
        assert report.counts["succeeded"] in (ended, now)
        ended = now
    assert number > 5


def test_rows_that_come_before_the_read_of_a_young_segment_are_counted(server_url, monkeypatch):
    statuses.configure(url=server_url, namespace=f"y{next(_numbers)}")
    statuses.create(job_name="n")
    monkeypatch.setattr(segments, "COMING_ROWS", 2)
    done = []

    def pipeline(store, commands, *, primary=False):
        replies = real(store, commands, primary=primary)
        if not primary and not done:
            done.extend(statuses.create(job_name="n") for _ in range(9))
        return replies

    real = Store.pipeline
    monkeypatch.setattr(Store, "pipeline", pipeline)

    assert statuses.where(job_name="n").count() == 10
    assert statuses.where(job_name="n").exclude(state="queued").count() == 10


def test_a_text_that_appears_between_two_reads_is_not_overlooked(server_url, monkeypatch):
    statuses.configure(url=server_url, namespace=f"t{next(_numbers)}")
    for _ in range(3):
        statuses.create(job_name="old")
    done = []

    def pipeline(here, commands, *, primary=False):
        replies = real(here, commands, primary=primary)
        if not primary and not done:
            done.append(statuses.create(job_name="new"))
        return replies

    real = Store.pipeline
    monkeypatch.setattr(Store, "pipeline", pipeline)

    assert statuses.all().exclude(job_name="new").count() == 3
    assert statuses.where(job_name="new").count() == 1


def test_a_segment_that_is_dropped_while_it_is_asked_about_counts_no_more(server_url, monkeypatch):
    statuses.configure(url=server_url, namespace=f"d{next(_numbers)}")
    made = statuses.create(job_name="x")
    here, real, done = current(), Store.pipeline, []

    def pipeline(store, commands, *, primary=False):
        replies = real(store, commands, primary=primary)
        if not primary and not done:
            done.append(statuses.clear_all)
            monkeypatch.setattr(Store, "pipeline", real)
            statuses.clear_all()
        return replies

    monkeypatch.setattr(Store, "pipeline", pipeline)

    assert statuses.all().counts_by("job_name") == []
    assert statuses.find(made.id) is None
    assert here is current()


def test_no_answer_is_given_of_what_never_rests_but_is_not_kept(server_url, monkeypatch):
    """Every read is followed by a change, nothing is kept at first: the fourth time all snapshots are."""
    statuses.configure(url=server_url, namespace=f"r{next(_numbers)}")
    jobs = [statuses.create(job_name=f"n{n % 3}").started() for n in range(9)]
    for job in jobs[:6]:
        job.succeeded()
    monkeypatch.setattr(evaluation, "KEPT_BYTES", 0)
    tried = []
    real_init = evaluation.Evaluation.__init__

    def counted(self, *args, **kwargs):
        tried.append(1)
        real_init(self, *args, **kwargs)

    monkeypatch.setattr(evaluation.Evaluation, "__init__", counted)
    real, busy = Store.pipeline, []

    def pipeline(store, commands, *, primary=False):
        replies = real(store, commands, primary=primary)
        if not primary and not busy:
            busy.append(1)
            jobs[0].set_user(f"u{len(tried)}")
            busy.clear()
        return replies

    monkeypatch.setattr(Store, "pipeline", pipeline)

    found = statuses.all().durations_by("job_name", "run_time")

    assert {name: d.n for name, d in found.items()} == {"n0": 2, "n1": 2, "n2": 2}
    assert len(tried) <= evaluation.RESTARTS + 1
