"""One verb on everything that matches: what changed, what was skipped, what was gone."""

from datetime import timedelta

import pytest

import statuses
from statuses import bulk, packing, segmentscripts, snapshot
from statuses.clock import to_us as clock_us
from statuses.engines import registry
from statuses.engines.base import Engine
from statuses.store import current
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")
STATES = list(statuses.State)


def one_of_each() -> dict[str, statuses.Status]:
    return {state.value: make_status(state) for state in STATES}


def states_of(made: dict[str, statuses.Status]) -> dict[str, str | None]:
    found = {name: statuses.find(status.id) for name, status in made.items()}
    return {name: status.state.value if status else None for name, status in found.items()}


def test_request_kill_all_asks_what_has_not_ended():
    made = one_of_each()

    changed = statuses.all().request_kill_all(by="ops", reason="r" * 100)

    assert (changed.changed, changed.skipped, changed.missing) == (4, 3, 0)
    assert changed.by_reason == {"requested": 4, "ended": 3}
    assert states_of(made) == {state.value: state.value for state in STATES}
    asked = statuses.find(made["started"].id)
    assert (asked.kill_requested_by, asked.kill_reason) == ("ops", "r" * 100)
    assert statuses.where(kill_requested=True).count() == 4


def test_a_long_reason_goes_to_keys_of_its_own(store):
    made = [make_status("started") for _ in range(3)]

    statuses.all().request_kill_all(reason="ä" * 33)

    assert len(store.keys("*l[0-9]*")) == 3
    assert {status.reload().kill_reason for status in made} == {"ä" * 33}


def test_request_kill_all_may_end_what_waits():
    made = one_of_each()

    changed = statuses.all().request_kill_all(by="ops", end_queued=True)

    assert changed.by_reason == {"killed": 2, "requested": 2, "ended": 3}
    assert states_of(made) | {"unqueued": "killed", "queued": "killed"} == states_of(made)
    assert statuses.find(made["queued"].id).killed_at is not None


def test_a_second_request_changes_nothing():
    one_of_each()
    statuses.all().request_kill_all()

    changed = statuses.all().request_kill_all()

    assert (changed.changed, changed.by_reason["already"]) == (0, 4)


def test_delete_all_removes_nothing_when_any_match_is_incomplete():
    made = one_of_each()

    with pytest.raises(statuses.NotCompleted):
        statuses.all().delete_all()

    assert states_of(made) == {state.value: state.value for state in STATES}


def test_delete_all_of_completed_ones_removes_them():
    made = one_of_each()

    changed = statuses.where(state="completed").delete_all()

    assert changed.changed == 2
    assert [name for name, state in states_of(made).items() if state is None] == ["succeeded", "failed"]


def test_force_may_stand_first_for_one_and_for_many():
    for _ in range(3):
        make_status("started")

    assert statuses.all()[:1].run().delete_all(True).changed == 1
    assert statuses.all()[:1].delete_all(True).changed == 1
    statuses.all()[0].delete(True)
    assert statuses.all().count() == 0


def test_delete_all_with_force_removes_everything():
    one_of_each()

    assert statuses.all().delete_all(force=True).changed == 7
    assert statuses.all().count() == 0


def test_only_ended_skips_what_has_not_ended():
    one_of_each()

    changed = statuses.all().delete_all(only_ended=True)

    assert (changed.changed, changed.skipped, changed.by_reason["incomplete"]) == (3, 4, 4)
    assert statuses.all().count() == 4


def test_a_removal_can_be_taken_back_while_it_can_be():
    with frozen_clock() as clock:
        made = one_of_each()
        before = statuses.all().counts()

        changed = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10))
        assert statuses.all().count() == 4
        assert statuses.find(made["failed"].id) is None
        with pytest.raises(statuses.StatusNotFound):
            made["failed"].started()

        clock.tick(timedelta(minutes=9))
        restored = statuses.restore(changed.undo)

    assert restored.changed == 3
    assert statuses.all().counts() == before
    assert statuses.find(made["failed"].id).state == "failed"
    assert statuses.restore(changed.undo).changed == 0


def test_a_removal_that_can_be_taken_back_is_in_no_answer():
    kept, gone = make_status("failed", job_name="a"), make_status("failed", job_name="a")
    statuses.where(id=gone.id).delete_all(only_ended=True, undo_for=timedelta(minutes=10))

    named = statuses.where(job_name="a")

    assert (named.count(), named.ids(), [status.id for status in named]) == (1, [kept.id], [kept.id])
    assert (named.limit(2).count(), named.offset(1).exists(), statuses.where(id=gone.id).exists()) == (1, False, False)
    assert [found.total for found in named.counts_by("job_name")] == [1]
    assert (named.durations("run_time").n, sum(one.n for one in named.histogram("run_time"))) == (1, 1)
    assert [sum(bucket.counts.values()) for bucket in named.timeline(buckets=1)] == [1]
    assert named.request_kill_all().missing == 0


def test_two_removals_are_taken_back_one_by_one():
    with frozen_clock():
        make_status("failed", job_name="a")
        make_status("failed", job_name="b")
        first = statuses.where(job_name="a").delete_all(only_ended=True, undo_for=timedelta(minutes=10))
        second = statuses.where(job_name="b").delete_all(only_ended=True, undo_for=timedelta(minutes=10))

        statuses.restore(second.undo)

    assert first.undo != second.undo
    assert [status.job_name for status in statuses.all()] == ["b"]


def test_after_its_time_a_removal_is_final(store):
    with frozen_clock() as clock:
        make_status("failed", id="own", job_args={"b": "B:1"}, error="x", data=1)
        changed = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10))
        clock.tick(timedelta(minutes=11))

        cleaned = statuses.clean()

    assert cleaned.swept == 1
    assert statuses.restore(changed.undo).changed == 0
    assert not [key for key in store.keys("*") if b"}x:" in key or key.endswith(b":e0")]


@pytest.mark.parametrize("token", ["", "x", "-1", None, 7])
def test_a_broken_token_is_refused(token):
    with pytest.raises(ValueError, match="token"):
        statuses.restore(token)


def test_progress_is_told_and_can_stop():
    statuses.load({"state": "started"} for _ in range(1500))
    seen = []

    def progress(done, total):
        seen.append((done, total))
        return len(seen) < 2

    changed = statuses.all().request_kill_all(progress=progress)

    assert changed.stopped
    assert seen[-1][0] == changed.changed < 1500 == seen[-1][1]


def test_a_limited_query_changes_just_what_it_shows():
    made = [make_status("started") for _ in range(5)]

    statuses.all().order_by("recorded_at").limit(2).request_kill_all()

    assert [statuses.find(status.id).kill_requested for status in made] == [True, True, False, False, False]


def test_a_page_of_statuses_has_the_same_verbs():
    made = one_of_each()
    page = statuses.where(state="ended").run()

    assert page.delete_all(force=True).changed == 3
    assert page.request_kill_all().by_reason == {"gone": 3}
    assert states_of(made)["queued"] == "queued"


def test_what_vanished_meanwhile_is_missing():
    made = one_of_each()
    page = statuses.all().run()
    statuses.find(made["failed"].id).delete()

    changed = page.delete_all(only_ended=True)

    assert (changed.changed, changed.missing) == (2, 1)


class Recorder(Engine):
    name = "recorder"
    can_kill = True
    can_retry = True

    def __init__(self):
        self.killed, self.retried = [], []

    def kill(self, status):
        if status.job_name == "stubborn":
            raise statuses.EngineCannot(status.id, self.name, "kill", "its pool has no processes")
        self.killed.append(status.id)

    def retry(self, status, by=None):
        if status.job_name == "stubborn":
            raise RuntimeError("the broker is away")
        if status.job_name == "unkept":
            raise statuses.EngineCannot(status.id, self.name, "retry", "its arguments were not kept")
        self.retried.append(status.id)
        return status.requeued()


@pytest.fixture
def engine():
    before = dict(registry._engines)
    made = registry.register(Recorder())
    yield made
    registry._engines.clear()
    registry._engines.update(before)


def test_kill_now_all_kills_what_waits_and_ends_what_runs(engine):
    waiting = make_status("queued", engine="recorder")
    running = make_status("started", engine="recorder")
    make_status("started", engine="recorder", job_name="stubborn")
    make_status("started")
    make_status("failed", engine="recorder")

    changed = statuses.all().kill_now_all(by="ops")

    assert changed.by_reason == {"killed": 1, "requested": 1, "cannot": 2, "ended": 1}
    assert changed.errors == ("its pool has no processes",)
    assert statuses.find(waiting.id).state == "killed"
    assert engine.killed == [running.id]
    assert statuses.find(running.id).state == "started"


def test_retry_all_sends_again_what_its_engine_can(engine):
    failed = make_status("failed", engine="recorder")
    killed = make_status("killed", engine="recorder")
    make_status("failed", engine="recorder", job_name="stubborn")
    make_status("failed", engine="recorder", job_name="unkept")
    make_status("failed")
    make_status("started", engine="recorder")

    changed = statuses.all().retry_all(by="ops")

    assert changed.by_reason == {"retried": 2, "cannot": 2, "failed": 1, "incomplete": 1}
    assert set(changed.errors) == {"RuntimeError: the broker is away", "its arguments were not kept"}
    assert set(engine.retried) == {failed.id, killed.id}
    assert statuses.find(failed.id).state == "queued"


#: Jobs (of every other row) a verb meets in one call: next to each other, with others between, in heaps, and far apart.
CHOSEN = {"all": range(1500), "every third": range(0, 1500, 3), "heaps": [*range(90), *range(700, 790)], "far apart": [0, 7, 640, 1499]}


@pytest.fixture(params=[False, True], ids=["whole", "packed"])
def loaded(request, store):
    """1500 jobs in a segment of 3000 rows, every other one queued, the others started; packed, all other rows are gone."""
    with frozen_clock() as clock:
        now = clock_us(clock.now)
        statuses.load(
            {"job_name": f"job {n % 7}", "state": "failed" if n % 2 else "queued" if n % 4 else "started", "recorded_at": now - 9 + n % 5}
            for n in range(3000)
        )
        if request.param:
            statuses.where(state="failed").delete_all()
            segmentscripts.open_segment(current(), 0, 1)
            assert packing.pack(current(), 0, 0, now + 1)
        clock.tick(3)
        yield clock


def columns() -> dict[str, list[int]]:
    found = snapshot.take(current(), 0, 0)
    assert found.exists
    return {name: found.column(name).tolist() for name in snapshot.ALL} | {"row": found.numbers.tolist()}


@pytest.mark.parametrize("which", CHOSEN)
def test_a_bulk_kill_writes_the_cells_of_its_rows_and_no_others(loaded, which):
    rows = {2 * row for row in CHOSEN[which]}
    before = columns()
    ids = [status.id for status in statuses.where(state=["queued", "started"]).run() if status._place().row in rows]
    now = clock_us(loaded.now)

    changed = statuses.where(id=ids).request_kill_all(by="ops", end_queued=True)

    after = columns()
    chosen = [row in rows for row in before["row"]]
    queued = [is_chosen and state == 2 for is_chosen, state in zip(chosen, before["state"], strict=True)]
    expected = before | {
        "kill_requested_at": [now if it else was for it, was in zip(chosen, before["kill_requested_at"], strict=True)],
        "killed_at": [now if it else was for it, was in zip(queued, before["killed_at"], strict=True)],
        "state": [6 if it else was for it, was in zip(queued, before["state"], strict=True)],
    }
    assert changed.changed == len(rows) > 0
    assert [name for name in expected if expected[name] != after[name]] == []
    assert {status.kill_requested_by for status in statuses.where(id=ids).run()} == {"ops"}


@pytest.mark.parametrize("which", CHOSEN)
def test_a_removal_and_its_undoing_leave_every_other_cell_alone(loaded, which):
    rows = {2 * row for row in CHOSEN[which]}
    before = columns()
    ids = [status.id for status in statuses.where(state=["queued", "started"]).run() if status._place().row in rows]

    statuses.where(id=ids).request_kill_all(end_queued=True)
    removed = statuses.where(id=ids, state="killed").delete_all(only_ended=True, undo_for=timedelta(minutes=1))
    gone = columns()
    restored = statuses.restore(removed.undo)
    after = columns()

    killed = [row in rows and state == 2 for row, state in zip(before["row"], before["state"], strict=True)]
    assert restored.changed == removed.changed == sum(killed) > 0
    assert [state > 8 for state in gone["state"]] == killed
    assert [state for state, it in zip(after["state"], killed, strict=True) if it] == [6] * sum(killed)
    same = ("random", "job_name", "recorded_at", "queued_at", "run_time", "wait_time", "gone_at", "row")
    assert [name for name in same if before[name] != after[name]] == []


@pytest.mark.parametrize("verb", ["kill", "remove", "delete"])
def test_a_row_that_another_job_has_by_now_is_left_alone(verb):
    """As after a failover that lost the job which was selected."""
    status = make_status("failed" if verb != "kill" else "started")
    place = status._place()
    rows = segmentscripts.bulk_rows([(place.row, place.random ^ 1)])

    assert segmentscripts.bulk(current(), 0, 0, verb, rows, "1234567", *(("ops", "", "0") if verb == "kill" else (1 << 50,))) == b"."

    assert status.reload().state in ("failed", "started") and not status.kill_requested


def test_a_removal_is_taken_back_by_its_own_token_alone_though_the_job_was_removed_again_meanwhile():
    status = make_status("failed")
    place = status._place()
    done = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=5))
    rows = segmentscripts.bulk_rows([(place.row, place.random)])

    assert segmentscripts.bulk(current(), 0, 0, "restore", rows, "", int(done.undo) - 1) == b"."
    assert statuses.find(status.id) is None
    assert statuses.restore(done.undo).changed == 1


def test_rows_of_a_bulk_call_that_do_not_ascend_are_refused():
    first, second = (make_status("failed")._place() for _ in range(2))
    rows = segmentscripts.bulk_rows([(second.row, second.random), (first.row, first.random)])

    with pytest.raises(statuses.ScriptFailed, match="ascend"):
        segmentscripts.bulk(current(), 0, 0, "delete", rows, "5")

    assert statuses.all().count() == 2


@pytest.mark.parametrize("again", [lambda id: statuses.create(id=id), statuses.find_or_create, lambda id: statuses.load([{"id": id}])])
def test_a_removed_job_whose_id_was_given_to_another_stays_away(again):
    job = statuses.create(state="failed", job_name="old")
    removed = statuses.where(job_name="old").delete_all(only_ended=True, undo_for=timedelta(minutes=10))

    again(job.id)
    statuses.at(job.id).set_job_name("new")

    assert statuses.restore(removed.undo).changed == 0
    assert [(one.id, one.job_name) for one in statuses.all()] == [(job.id, "new")]


@pytest.mark.parametrize(
    ("verb", "skipped"),
    [
        (lambda query: query.request_kill_all(), {"succeeded": "ended", "failed": "ended", "killed": "ended"}),
        (
            lambda query: query.kill_now_all(),
            {"succeeded": "ended", "failed": "ended", "killed": "ended", "started": "cannot", "unknown": "cannot"},
        ),
        (
            lambda query: query.retry_all(),
            {"unqueued": "incomplete", "queued": "incomplete", "started": "incomplete"}
            | dict.fromkeys(("succeeded", "failed", "killed", "unknown"), "cannot"),
        ),
        (
            lambda query: query.delete_all(only_ended=True),
            dict.fromkeys(("unqueued", "queued", "started", "unknown"), "incomplete"),
        ),
    ],
    ids=["request_kill_all", "kill_now_all", "retry_all", "delete_all"],
)
def test_the_jobs_that_a_verb_skipped_are_named(verb, skipped):
    made = one_of_each() | {"own": make_status("queued", id="my own")}
    expected = {made[state].id: why for state, why in skipped.items()}
    if "queued" in skipped:
        expected["my own"] = skipped["queued"]

    changed = verb(statuses.all())

    assert changed.skipped_ids == expected and changed.skipped == len(expected)


def test_of_more_than_one_picks_by_hand_nobody_is_named():
    statuses.load([{"state": "failed"}] * (bulk.MOST_NAMED + 1))

    many, few = statuses.all().request_kill_all(), statuses.all().limit(bulk.MOST_NAMED).request_kill_all()

    assert (many.skipped, many.skipped_ids) == (bulk.MOST_NAMED + 1, {})
    assert len(few.skipped_ids) == bulk.MOST_NAMED
