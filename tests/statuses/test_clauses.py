"""Clauses: what they take, what they refuse and how they say themselves."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

import statuses
from statuses import State, clauses
from statuses.testing import frozen_clock, make_status

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", [name for name in clauses.NAMES])
def test_none_is_refused_by_every_clause(name):
    with pytest.raises(ValueError, match=name):
        statuses.where(**{name: None})


@pytest.mark.parametrize("name", [*clauses.DICTIONARIES, *clauses.TAGS, "id"])
@pytest.mark.parametrize("value", [1, 1.5, True, b"x", [1], ["a", None], {"a": 1}, object()])
def test_texts_are_texts_or_lists_of_them(name, value):
    with pytest.raises(ValueError, match=name):
        statuses.where(**{name: value})


@pytest.mark.parametrize("name", [*clauses.MOMENTS])
@pytest.mark.parametrize(
    "value",
    [
        NOON,
        (NOON,),
        (NOON, NOON, NOON),
        (NOON.replace(tzinfo=None), None),
        (1.5, None),
        (True, None),
        ("2026", None),
        {"since": NOON},
        {1: NOON},
        "ab",
        5,
        [],
    ],
)
def test_timestamps_take_two_aware_datetimes_or_microseconds(name, value):
    with pytest.raises(ValueError, match=name):
        statuses.where(**{name: value})


@pytest.mark.parametrize("name", ["run_time", "wait_time"])
@pytest.mark.parametrize("value", [5, (1,), ("1", None), (float("nan"), None), (True, None), {"from": 1}, (NOON, None)])
def test_spans_take_two_numbers_of_seconds(name, value):
    with pytest.raises(ValueError, match=name):
        statuses.where(**{name: value})


@pytest.mark.parametrize("value", ["faild", 4, ["failed", "ende"], [State.failed, None]])
def test_states_are_known_words(value):
    with pytest.raises(ValueError, match="state"):
        statuses.where(state=value)


@pytest.mark.parametrize("name", ["kill_requested", "stale"])
@pytest.mark.parametrize("value", [0, 1, "yes", [], [True]])
def test_flags_are_booleans(name, value):
    with pytest.raises(ValueError, match=name):
        statuses.where(**{name: value})


def test_an_unknown_clause_names_the_nearest():
    with pytest.raises(ValueError, match=r"'job_nam'.*'job_name'"):
        statuses.where(job_nam="x")
    with pytest.raises(ValueError, match="colour"):
        statuses.all().exclude(colour="red")


def test_an_unknown_state_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'failed'"):
        statuses.where(state="faild")


@pytest.mark.usefixtures("store")
class TestMatching:
    def test_an_empty_list_matches_nothing_and_excludes_nothing(self):
        make_status("failed")

        for name in ("state", "job_name", "job_arg", "id", "parent"):
            assert statuses.where(**{name: []}).count() == 0
            assert statuses.all().exclude(**{name: []}).count() == 1

    def test_an_inverted_span_matches_nothing(self):
        make_status("failed")

        assert statuses.where(recorded_at=(NOON, NOON - timedelta(days=400))).count() == 0
        assert statuses.where(run_time=(2, 1)).count() == 0
        assert statuses.all().exclude(run_time=(2, 1)).count() == 1

    def test_both_bounds_are_inclusive_to_the_microsecond(self):
        with frozen_clock(NOON):
            make_status("unqueued")
        us = timedelta(microseconds=1)

        assert statuses.where(recorded_at=(NOON, NOON)).count() == 1
        assert statuses.where(recorded_at=(NOON + us, None)).count() == 0
        assert statuses.where(recorded_at=(None, NOON - us)).count() == 0
        assert statuses.where(recorded_at={"after": NOON}).count() == 1
        assert statuses.where(recorded_at={}).count() == 1

    def test_moments_of_other_zones_and_microseconds_mean_the_same(self):
        with frozen_clock(NOON):
            make_status("unqueued")
        there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))

        assert statuses.where(recorded_at=(there, there)).count() == 1
        at_us = statuses.clock.to_us(NOON)
        assert statuses.where(recorded_at=(at_us, at_us)).count() == 1
        assert statuses.where(recorded_at=(-(10**30), 10**30)).count() == 1
        assert statuses.where(recorded_at=(10**30, None)).count() == 0

    def test_an_open_span_asks_for_any_value(self):
        make_status("queued")
        make_status("failed")

        assert statuses.where(started_at=(None, None)).count() == 1
        assert statuses.all().exclude(started_at=(None, None)).count() == 1
        assert statuses.where(run_time=(None, None)).count() == 1
        assert statuses.where(ended_at=(None, None)).count() == 1

    def test_a_timestamp_clause_is_about_states_a_job_ever_entered(self):
        status = make_status("failed")
        status.queued()

        assert statuses.where(failed_at=(None, None)).count() == 1
        assert statuses.where(ended_at=(None, None)).count() == 0

    def test_spans_are_seconds(self):
        with frozen_clock(NOON) as clock:
            status = statuses.create(state="started")
            clock.tick(1.5)
            status.succeeded()

        assert statuses.where(run_time=(1.5, 1.5)).count() == 1
        assert statuses.where(run_time=(1.500001, None)).count() == 0
        assert statuses.where(run_time=(None, 1.499999)).count() == 0
        assert statuses.where(run_time=(float("-inf"), float("inf"))).count() == 1
        assert statuses.where(run_time=(timedelta(seconds=1), None)).count() == 1
        assert statuses.where(wait_time=(0, 0)).count() == 1
        assert statuses.where(wait_time=(None, -1)).count() == 0

    def test_exclude_drops_only_what_matches_every_one_of_its_clauses(self):
        make_status("failed", job_name="a")
        make_status("failed", job_name="b")
        make_status("queued", job_name="a")

        assert statuses.all().exclude(state="failed", job_name="a").count() == 2
        assert statuses.all().exclude(state="failed").exclude(job_name="a").count() == 0

    def test_groups_of_states(self):
        for state in State:
            make_status(state)

        assert statuses.where(state="completed").count() == 2
        assert statuses.where(state="incomplete").count() == 4
        assert statuses.where(state="ended").count() == 3
        assert statuses.where(state=["ended", State.unknown]).count() == 4
        assert statuses.where(state=[*State]).count() == 7

    def test_resources_are_found_under_any_name_and_as_model_instances(self):
        class Meta:
            label = "library.Book"

        class Book:
            _meta = Meta
            pk = 53

        statuses.create(job_args={"book": "library.Book:53", "shelf": ["Shelf:1", "Shelf:2"]})
        statuses.create(job_args={"other": "library.Book:54"})

        assert statuses.where(job_arg=Book()).count() == 1
        assert statuses.where(job_arg=[Book(), "library.Book:54"]).count() == 2
        assert statuses.where(job_arg="Shelf:2").count() == 1
        assert statuses.where(job_arg="Book:53").count() == 0

    def test_ids_own_and_generated_each_once_and_only_of_jobs_that_are_there(self):
        own, other = statuses.create(id="mine"), statuses.create()
        gone = statuses.create(id="gone")
        gone.delete(force=True)
        restarted = statuses.create().started().started()

        found = statuses.where(id=[own.id, other.id, other.id, "gone", "nobody", "mine:0", f"{restarted.id}:0", "", "x" * 300])
        assert set(found.ids()) == {own.id, other.id}
        forged = other.id[:-1] + ("0" if other.id[-1] != "0" else "1")
        assert statuses.where(id=forged).count() == 0
        assert statuses.all().exclude(id="mine").count() == 2

    def test_a_parent_may_be_given_as_the_status_itself(self):
        parent = statuses.create()
        child = parent.spawn("child")

        assert statuses.where(parent=parent).ids() == [child.id]
        assert statuses.where(parent=parent.id).ids() == [child.id]

    def test_texts_no_store_can_hold_match_nothing(self):
        make_status("failed", job_name="a")

        for name in ("job_name", "job_arg", "id", "parent"):
            assert statuses.where(**{name: "\ud800"}).count() == 0
            assert statuses.where(**{name: ""}).count() == 0

    def test_jobs_nobody_asked_to_die_are_all_others(self):
        asked, other = make_status("started").request_kill(), make_status("started")

        assert statuses.where(kill_requested=True).ids() == [asked.id]
        assert statuses.where(kill_requested=False).ids() == [other.id]
        assert statuses.all().exclude(kill_requested=False).ids() == [asked.id]

    def test_stale_jobs_are_started_ones_silent_for_longer_than_allowed(self):
        with frozen_clock(NOON) as clock:
            beating, silent = make_status("started"), make_status("started")
            make_status("started")
            ended = make_status("started")
            for status in (beating, silent, ended):
                status.heartbeat()
            ended.succeeded()
            clock.tick(60)
            assert statuses.where(stale=True).count() == 0
            clock.tick(timedelta(microseconds=1))
            beating.heartbeat()

            assert statuses.where(stale=True).ids() == [silent.id]
            assert statuses.where(stale=False).count() == 3
            silent.heartbeat()
            assert statuses.where(stale=True).count() == 0

    def test_heartbeats_are_seen_at_once_though_they_change_no_version(self):
        with frozen_clock(NOON) as clock:
            status = make_status("started")
            assert statuses.where(heartbeat_at=(None, None)).count() == 0
            status.heartbeat()
            assert statuses.where(heartbeat_at=(None, None)).count() == 1
            clock.tick(5)
            assert statuses.where(heartbeat_at=(clock.now, None)).count() == 0
            status.heartbeat()
            assert statuses.where(heartbeat_at=(clock.now, None)).count() == 1
            assert statuses.all().exclude(heartbeat_at=(clock.now, None)).count() == 0


WORDS = {
    "failed jobs": {"state": "failed"},
    "completed jobs": {"state": ["succeeded", "failed"]},
    "queued or started jobs": {"state": ["started", "queued"]},
    "jobs named a or b": {"job_name": ["b", "a"]},
    "jobs named a, b, c or 3 others": {"job_name": list("fedcba")},
    "jobs in queue q, of user u": {"queue": "q", "user": "u"},
    "jobs working on Book:53": {"job_arg": "Book:53"},
    "jobs asked to die": {"kill_requested": True},
    "jobs not gone silent": {"stale": False},
    "jobs recorded since 2026-03-01 12:00:00 UTC": {"recorded_at": (NOON, None)},
    "jobs failed from 2026-03-01 12:00:00 UTC to 2026-03-02 12:00:00 UTC": {"failed_at": (NOON, NOON + timedelta(days=1))},
    "jobs ever started": {"started_at": (None, None)},
    "jobs that ran at least 5 s": {"run_time": (5, None)},
    "jobs that waited 1 s to 2.5 s": {"wait_time": (1, 2.5)},
    "jobs with a known run_time": {"run_time": (None, None)},
    "jobs with id one": {"id": "one"},
    "jobs among 4 given ids": {"id": list("abcd")},
}


@pytest.mark.parametrize("words", WORDS)
def test_a_query_says_itself_in_words(words):
    assert statuses.where(**WORDS[words]).describe() == words


def test_exclusions_say_themselves_too():
    query = statuses.where(state="failed", job_name="a").exclude(queue="q", user="u")

    assert query.describe() == "failed jobs named a, but not in queue q and of user u"
    assert statuses.all().describe() == "all jobs"
    assert repr(query[5:15]) == "<Query failed jobs named a, but not in queue q and of user u by -recorded_at, 10 after 5>"
