"""Queries as such: immutable, lazy, limited, sliced; what they refuse."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

import statuses
from statuses import LimitedQuery, NotCompleted, State, directory
from statuses.columns import SPANS
from statuses.query import FIELDS, Query
from statuses.testing import make_status


def test_making_a_query_reads_nothing_and_loads_no_numpy():
    code = (
        "import statuses, sys\n"
        "q = statuses.where(state='failed', recorded_at=(1, 2)).exclude(job_name='x', run_time=(1, 2)).order_by('run_time')[:5]\n"
        "repr(q), q.describe(), hash(q)\n"
        "assert 'numpy' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env={"REDIS_URL": "redis://127.0.0.1:1", "PYTHONPATH": ":".join(sys.path)})


def test_every_narrowing_gives_a_new_query():
    query = statuses.all()

    narrowed = [query.where(state="failed"), query.exclude(state="failed"), query.order_by("run_time"), query.limit(1), query.offset(1)]
    for made in (*narrowed, query[1:]):
        assert made != query
    assert query == Query() == query.where()


@pytest.mark.parametrize("number", [-1, 1.0, "1", True, None])
def test_limit_and_offset_are_whole_numbers_from_0(number):
    for method in (statuses.all().limit, statuses.all().offset):
        with pytest.raises(ValueError, match="whole number"):
            method(number)


@pytest.mark.parametrize("order", ["", "-", "job_name", "+recorded_at", "--recorded_at", "recorded", None, 5, "expires_at"])
def test_an_order_is_a_timestamp_or_a_span(order):
    with pytest.raises(ValueError, match="order_by"):
        statuses.all().order_by(order)


@pytest.mark.usefixtures("store")
class TestLimits:
    def test_slices_of_slices(self):
        ids = [make_status().id for _ in range(9)][::-1]
        query = statuses.all()

        assert query[2:7].ids() == ids[2:7]
        assert query[2:7][1:3].ids() == ids[3:5]
        assert query[2:7][3:].ids() == ids[5:7]
        assert query[5:2].ids() == []
        assert query[4].id == ids[4]
        assert query[:4].limit(2).ids() == ids[:2]
        assert query.offset(7).limit(50).count() == 2
        for wrong in (-1, slice(-2, None), slice(0, 5, 2)):
            with pytest.raises(ValueError):
                query[wrong]
        with pytest.raises(IndexError):
            query[9]
        with pytest.raises(IndexError):
            query[:3][3]

    def test_limit_0_is_empty_everywhere(self):
        make_status("failed")
        query = statuses.all().limit(0)

        assert (query.count(), query.exists(), query.ids(), query.first(), list(query), list(query.run())) == (0, False, [], None, [], [])
        assert query.delete_all(force=True).changed == 0
        assert statuses.all().count() == 1

    def test_answers_about_all_that_match_refuse_a_limited_query(self):
        for query in (statuses.all().limit(5), statuses.all().offset(1), statuses.all()[:3]):
            for ask in (
                query.counts,
                lambda query=query: query.counts_by("job_name"),
                lambda query=query: query.durations("run_time"),
                lambda query=query: query.durations_by("job_name", "run_time"),
                lambda query=query: query.histogram("run_time"),
                query.timeline,
                lambda query=query: query.report(counts=True),
            ):
                with pytest.raises(LimitedQuery):
                    ask()

    def test_bulk_verbs_honour_limit_offset_and_order(self):
        ids = [make_status("failed").id for _ in range(6)]

        assert statuses.all().order_by("recorded_at").offset(1).limit(2).delete_all().changed == 2

        assert statuses.all().order_by("recorded_at").ids() == [ids[0], *ids[3:]]

    def test_bulk_removal_refuses_when_any_is_incomplete(self):
        make_status("failed")
        make_status("started")

        with pytest.raises(NotCompleted):
            statuses.all().delete_all()
        assert statuses.all().count() == 2
        assert statuses.where(state="completed").delete_all().changed == 1

    def test_a_bulk_verb_on_a_cursor_takes_what_follows(self):
        for _ in range(5):
            make_status("queued")
        page = statuses.all().limit(2).run()

        assert statuses.all().after(page.next).request_kill_all().changed == 3
        assert [status.kill_requested for status in statuses.all()] == [False, False, True, True, True]


@pytest.mark.usefixtures("store")
class TestWrongQuestions:
    @pytest.mark.parametrize("field", ["state", "id", "parent", "recorded_at", "", None, 5])
    def test_fields_are_named(self, field):
        for ask in (statuses.all().counts_by, lambda field: statuses.all().report(counts_by={field: 5})):
            with pytest.raises(ValueError, match="counts_by knows"):
                ask(field)
        with pytest.raises(ValueError, match="durations_by knows"):
            statuses.all().durations_by(field, "run_time")

    @pytest.mark.parametrize("span", ["recorded_at", "", None])
    def test_spans_are_named(self, span):
        for ask in (statuses.all().durations, statuses.all().histogram, lambda span: statuses.all().durations_by("job_name", span)):
            with pytest.raises(ValueError, match="knows run_time, wait_time"):
                ask(span)

    @pytest.mark.parametrize("number", [0, -1, 1.5, True, "5", 10**9])
    def test_steps_are_whole_numbers(self, number):
        with pytest.raises(ValueError, match="bins"):
            statuses.all().histogram("run_time", number)
        with pytest.raises(ValueError, match="buckets"):
            statuses.all().timeline(buckets=number)

    def test_bounds_of_a_timeline_are_moments(self):
        for wrong in (datetime(2026, 1, 1), "2026", 1.5, True):
            with pytest.raises(ValueError, match="after"):
                statuses.all().timeline(after=wrong)
        with pytest.raises(ValueError, match="timeline knows"):
            statuses.all().timeline("run_time")
        with pytest.raises(ValueError, match="timeline knows"):
            statuses.all().report(timeline={"until": 5})

    def test_a_negative_limit_of_values(self):
        with pytest.raises(ValueError, match="limit"):
            statuses.all().counts_by("job_name", -1)


@pytest.mark.usefixtures("store")
class TestValues:
    def test_values_are_sorted_and_found_by_prefix(self):
        for name in ("planning.b", "planning.a", "other"):
            statuses.create(job_name=name)

        query = statuses.where(job_name="nobody")
        assert query.values("job_name") == ["other", "planning.a", "planning.b"]
        assert query.values("job_name", "planning.") == ["planning.a", "planning.b"]
        assert query.values("job_name", "planning.", limit=1) == ["planning.a"]
        statuses.create(job_name="planning.0")
        assert query.values("job_name", "planning.", limit=1) == ["planning.0"]

    def test_what_begins_alike_is_found_among_many_whatever_follows(self, server_url):
        names = sorted(
            {f"{begin}{rest}" for begin in ("", "a", "ab", "aB", "b", "ä", "a\U0001f600") for rest in ("", "\uffff", "a", "b", "\n")} - {""}
        )
        statuses.configure(url=server_url, namespace="begin", families=3)
        for name in names * 2:
            statuses.create(job_name=name)

        for prefix in ("a", "ab", "aB", "ä", "a\U0001f600", "c", "\uffff", "ab\n"):
            assert statuses.all().values("job_name", prefix) == sorted(name for name in names if name.startswith(prefix))
        statuses.create(job_name="abc")
        assert "abc" in statuses.all().values("job_name", "ab")

    def test_values_follow_a_dictionary_that_was_taken_back(self, store):
        statuses.create(job_name="a")
        statuses.create(job_name="b")
        assert statuses.all().values("job_name") == ["a", "b"]

        # As after a failover to a replica that had not heard of "b" yet, where "c" took its place.
        tag = statuses.store.current().families[0]
        store.lset(f"{tag}names:list", 1, "c")

        assert statuses.all().values("job_name") == ["a", "c"]
        assert statuses.all().values("job_name", "c") == ["c"]

    def test_of_thousands_of_values_none_is_asked_for_again(self, monkeypatch):
        names = [f"n{number}" for number in range(directory.CODES + 1)]
        statuses.load({"job_name": name, "state": "queued"} for name in (*names, "other"))
        here, sent = statuses.store.current(), []
        pipeline = here.pipeline
        monkeypatch.setattr(here, "pipeline", lambda commands, **more: sent.extend(commands := [*commands]) or pipeline(commands, **more))

        query = statuses.where(job_name=[*names, "nobody"])
        assert (query.count(), statuses.all().exclude(job_name=names).count()) == (len(names), 1)
        del sent[:]
        statuses.create(job_name="other")
        assert statuses.where(job_name=[*names, "other"]).count() == len(names) + 2
        assert max(map(len, sent)) < 100


@pytest.mark.usefixtures("store")
def test_the_states_of_counts_compare_equal_to_their_names():
    make_status("failed")

    counts = statuses.all().counts()
    assert counts["failed"] == 1
    assert list(counts) == list(State)


def test_the_words_of_questions_are_those_of_the_contract():
    assert FIELDS == ("job_name", "user", "queue", "worker", "engine", "error", "job_arg")
    assert SPANS == ("run_time", "wait_time")


@pytest.mark.usefixtures("store")
def test_a_store_that_nobody_wrote_to_has_nothing():
    assert statuses.where(job_name="x").exists() is False
    assert statuses.all().timeline() == []
    assert statuses.all().report(counts=True, bounds=True, flags=True).bounds is None
    whole = statuses.all().timeline(after=datetime(2026, 1, 1, tzinfo=UTC), before=datetime(2026, 1, 2, tzinfo=UTC), buckets=2)
    assert [sum(bucket.counts.values()) for bucket in whole] == [0, 0]
