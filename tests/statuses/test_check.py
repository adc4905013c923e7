"""What is stored, broken on purpose: every break is found, named and mended, and a sound store is left as it is."""

import struct
from datetime import timedelta

import pytest

import statuses
from statuses import encoding, keys, segmentscripts
from statuses import store as stores
from statuses.check import KINDS
from statuses.columns import COLUMNS, SEGMENT_ROWS
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def prefix(store):
    """The keys of the first segment."""
    return keys.segment(stores.current().families[0], 0)


@pytest.fixture
def tag(store):
    return stores.current().families[0]


def kinds(checked) -> dict[str, int]:
    return {problem.kind: problem.count for problem in checked.problems}


def assert_mends(**expected: int):
    """The check finds exactly this, repairs it, and then nothing is left."""
    assert kinds(statuses.check()) == expected
    repaired = statuses.check(repair=True)
    assert repaired.repaired == repaired.found > 0
    assert statuses.check().problems == ()


def row_of(status) -> int:
    return status._place().row


def put(store, prefix, key, row, width, value):
    store.setrange(prefix + key, row * width, value.to_bytes(width, "little"))


def everything(number: int = 12):
    """Jobs with all that jobs can have."""
    made = []
    for n in range(number):
        status = make_status(
            ("succeeded", "failed", "killed", "started", "queued", "unqueued")[n % 6],
            id=f"own {n}" if n % 3 == 0 else None,
            job_name=f"name {n % 4}",
            queue="q",
            user=f"user {n % 2}",
            engine="celery",
            job_args={"book": f"Book:{n}", "many": ["Image:1", "Image:2"], "long": "Thing:" + "x" * 100},
            provider_job_id=f"provider {n}",
            parent="a parent",
            depends_on=[f"own {n - 1}", "x" * 100] if n % 2 else None,
            root="own 0" if n % 3 else None,
            call={"args": [n], "kwargs": {}},
            data={"n": n},
        )
        made.append(status)
    made[1].started()
    made[1].add_error("it broke")
    made[0].started()
    made[0].started()
    made[0].succeeded(data=1)
    made[2].request_kill(by="me", reason="r" * 80)
    return made


def test_a_sound_store_has_no_problems(store):
    everything()
    past = {"state": "failed", "errors": ["x"], "recorded_at": 10**15}
    statuses.load({"id": f"loaded {n}", "job_args": {"b": f"B:{n}"}, **past} for n in range(700))
    statuses.where(job_name="name 1").delete_all(force=True)
    statuses.where(job_name="name 2").delete_all(only_ended=True, undo_for=timedelta(minutes=1))
    before = {key: store.dump(key) for key in store.keys("*")}

    checked = statuses.check(repair=True)

    assert checked.problems == ()
    assert (checked.segments, checked.jobs) == (1, 709)
    own = keys.upkeep(stores.current().families[0]).encode()  # that it ran
    assert {key: store.dump(key) for key in store.keys("*") if key != own} == before


def test_an_empty_store_has_no_problems():
    assert statuses.check(repair=True).found == 0


def test_progress_is_told_segment_by_segment():
    make_status("failed")
    statuses.clear_all()
    make_status("failed")
    seen = []

    statuses.check(progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 1)]


def test_every_kind_that_can_be_found_is_described():
    for kind, text in KINDS.items():
        assert text and ";" in text, kind


# Columns


@pytest.mark.parametrize("byte", [8, 77, 255])
def test_a_byte_that_is_no_state_becomes_what_the_moments_say(store, prefix, byte):
    failed = make_status("failed")
    make_status("queued")
    put(store, prefix, "st", row_of(failed), 1, byte)

    assert_mends(state=1)

    assert failed.reload().state == "failed"
    assert statuses.all().counts()["failed"] == 1


def test_a_state_that_was_never_entered_becomes_what_the_moments_say(store, prefix):
    status = make_status("started")
    put(store, prefix, "st", row_of(status), 1, statuses.State.succeeded.code)

    assert_mends(state=1)

    assert status.reload().state == "started"


def test_a_wrong_span_is_computed_again(store, prefix):
    status = make_status("succeeded")
    right = status.run_time, status.wait_time
    put(store, prefix, "run", row_of(status), 8, 5_000_001)
    put(store, prefix, "wait", row_of(status), 8, 0)

    assert_mends(span=2)

    assert (status.reload().run_time, status.wait_time) == right


def test_a_job_that_was_never_recorded_counts_from_its_first_moment(store, prefix):
    status = make_status("succeeded", id="own")
    put(store, prefix, "recorded_at", row_of(status), 8, 0)

    assert_mends(recorded=1)

    assert status.reload().recorded_at == status.queued_at


def test_a_code_that_stands_for_nothing_is_taken_out(store, prefix):
    status = make_status("failed", job_name="a", queue="q")
    put(store, prefix, "nm", row_of(status), 4, 99)

    assert_mends(code=1)

    assert (status.reload().job_name, status.queue) == (None, "q")


def test_a_job_beyond_the_rows_handed_out_is_kept(store, prefix):
    jobs = [make_status("failed") for _ in range(5)]
    store.set(prefix + "n", 3)

    assert_mends(count=1)

    assert statuses.all().count() == 5
    assert jobs[4].reload().state == "failed"


def test_a_state_in_a_row_never_filled_is_no_job(store, prefix):
    make_status("failed")
    put(store, prefix, "st", 9, 1, 3)

    assert_mends(count=1)

    assert statuses.all().count() == 1


def test_rows_handed_out_that_are_forgotten_are_counted_again(store, prefix):
    for _ in range(3):
        make_status("failed")
    store.delete(prefix + "n")
    assert statuses.all().count() == 0

    assert_mends(count=1)

    assert statuses.all().count() == 3
    assert statuses.create().reload().state == "unqueued"


def test_a_moment_outside_the_bounds_widens_them(store, prefix):
    status = make_status("succeeded")
    early = struct.unpack("<Q", store.getrange(prefix + "z", 0, 7))[0] - 10**9
    put(store, prefix, "queued_at", row_of(status), 8, early)
    put(store, prefix, "wait", row_of(status), 8, status._record.numbers["started_at"] - early + 1)
    assert statuses.where(queued_at=(None, early)).count() == 0

    assert_mends(zone=1)

    assert statuses.where(queued_at=(None, early)).count() == 1


def test_lost_bounds_are_found_again(store, prefix):
    make_status("succeeded")
    store.delete(prefix + "z")

    assert_mends(zone=1)

    assert statuses.where(recorded_at=(0, 10)).count() == 0
    assert statuses.all().count() == 1


def test_a_lost_version_is_made_again_and_is_newer_than_every_moment(store, prefix):
    status = make_status("succeeded")
    store.delete(prefix + "v")

    assert_mends(version=1)

    assert statuses.all().counts()["succeeded"] == 1
    assert status.failed().state == "failed"


# Half copies


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.name != "state"], ids=lambda column: column.name)
def test_a_column_that_was_copied_half_gets_its_length_back(store, prefix, column):
    jobs = everything()
    statuses.create(job_name="x").heartbeat()
    jobs[4].keep_for(timedelta(days=1))
    statuses.load([{"state": "queued"}])
    if not store.exists(prefix + column.key):
        store.setrange(prefix + column.key, SEGMENT_ROWS * column.width - 1, b"\0")
    whole = store.get(prefix + column.key)
    store.set(prefix + column.key, whole[: 5 * column.width + column.width // 2])

    assert "length" in kinds(statuses.check())
    repaired = statuses.check(repair=True)

    assert repaired.repaired == repaired.found
    assert statuses.check().problems == ()
    assert store.strlen(prefix + column.key) == SEGMENT_ROWS * column.width
    assert statuses.all().count() == 14


def test_a_column_that_is_too_long_is_cut(store, prefix):
    make_status("failed")
    store.append(prefix + "nm", b"tail")

    assert_mends(length=1)


def test_states_that_were_not_copied_become_what_the_moments_say(store, prefix):
    jobs = everything()
    expected = [status.reload().state for status in jobs]
    store.set(prefix + "st", store.get(prefix + "st")[:3])

    found = kinds(statuses.check())
    assert (found["length"], found["state"]) == (1, 9)
    assert statuses.check(repair=True).found == 10

    assert [status.reload().state for status in jobs] == expected
    assert statuses.check().problems == ()


# Hashes


def test_a_missing_tag_is_written_again(store, prefix):
    status = make_status("failed", job_args={"b": "Book:1"}, provider_job_id="p1", parent="mother", depends_on=["d1", "d2"], root="r1")
    for kind, text in (("r", "Book:1"), ("p", "p1"), ("c", "mother"), ("f", "d1"), ("f", "d2"), ("o", "r1")):
        store.delete(prefix + f"{kind}{encoding.tag_hash(text)[0]}")
    assert statuses.where(job_arg="Book:1").count() == 0

    assert_mends(tag=6)

    for clause in ({"job_arg": "Book:1"}, {"provider_job_id": "p1"}, {"parent": "mother"}, {"depends_on": "d2"}, {"root": "r1"}):
        assert statuses.where(**clause).ids() == [status.id]


def test_a_tag_that_a_job_does_not_have_is_buried(store, prefix):
    status = make_status("failed", job_args={"b": "Book:1"})
    bucket, entry = encoding.tag_hash("Book:2")
    for _ in range(2):
        store.append(prefix + f"r{bucket}", struct.pack("<H", row_of(status)) + entry)
    assert statuses.where(job_arg="Book:2").count() == 1

    assert_mends(tag=1)

    assert statuses.where(job_arg="Book:2").count() == 0
    assert statuses.where(job_arg="Book:1").count() == 1


def test_a_deleted_hash_takes_its_tags_along_and_the_job_stays(store, prefix):
    status = make_status("failed", job_args={"b": "Book:1"}, provider_job_id="p1")
    store.delete(keys.job(prefix, row_of(status)))

    assert_mends(tag=2)

    assert statuses.where(state="failed").ids() == [status.id]
    assert statuses.where(job_arg="Book:1").count() == 0


def test_a_deleted_hash_of_a_job_with_its_own_id_is_found_by_the_alias(store, prefix):
    status = make_status("failed", id="mine")
    store.delete(keys.job(prefix, row_of(status)))

    assert_mends(id=1)

    assert statuses.find("mine").state == "failed"


def test_a_job_without_any_id_gets_a_new_one(store, prefix, tag):
    status = make_status("failed", id="mine")
    store.delete(keys.job(prefix, row_of(status)), keys.alias(tag, "mine"))

    assert_mends(id=1)

    (id,) = statuses.all().ids()
    assert statuses.find(id).state == "failed"


def test_a_job_with_two_ids_keeps_its_own(store, prefix):
    status = make_status("failed", id="mine")
    put(store, prefix, "rn", row_of(status), 4, 7)

    assert_mends(id=1)

    assert statuses.find("mine").failed().state == "failed"


def test_arguments_that_are_no_json_are_taken_out(store, prefix):
    status = make_status("failed", job_args={"b": "Book:1"})
    store.hset(keys.job(prefix, row_of(status)), "a", '{"b": ')

    assert_mends(field=1, tag=1)

    assert status.reload().job_args == {}


@pytest.mark.parametrize("says", [None, "0 1", "7 7", "rubbish"])
def test_an_own_id_leads_to_its_job_again(store, tag, says):
    status = make_status("failed", id="mine")
    other = make_status("failed", id="other")
    alias = keys.alias(tag, "mine")
    store.delete(alias) if says is None else store.set(alias, says)

    assert "alias" in kinds(statuses.check())
    statuses.check(repair=True)

    assert statuses.check().problems == ()
    assert statuses.find("mine") == status
    assert statuses.find("other") == other


def test_of_two_jobs_with_one_id_none_is_touched(store, prefix):
    make_status("failed", id="mine")
    second = make_status("failed", id="second")
    store.hset(keys.job(prefix, row_of(second)), "i", "mine")

    checked = statuses.check(repair=True)

    assert kinds(checked) == {"alias": 2}
    assert statuses.all().count() == 2
    assert statuses.find("mine").state == "failed"


def test_an_id_that_another_took_after_a_removal_is_no_problem():
    first = make_status("failed", id="mine")
    make_status("failed", id="other")
    statuses.all().delete_all(undo_for=timedelta(minutes=1))
    second = statuses.create(id="mine")

    assert statuses.check(repair=True).problems == ()
    assert statuses.find("mine")._place().row == second._place().row != first._place().row


def test_an_alias_of_no_job_is_removed(store, tag):
    make_status("failed")
    store.set(keys.alias(tag, "gone"), "0 500")

    assert_mends(alias=1)

    assert statuses.create(id="gone").id == "gone"


def test_an_attempt_that_is_not_there_gets_a_stand_in(store, prefix):
    status = make_status("started", job_name="n")
    status.started()
    status.started()
    store.delete(keys.attempt(prefix, row_of(status), 0))

    assert_mends(attempt=1)

    first, second = status.reload().prior_attempts
    assert (first.state, first.job_name, second.state) == ("unknown", "n", "started")


def test_the_number_of_attempts_in_the_column_follows_the_hash(store, prefix):
    status = make_status("started")
    status.started()
    put(store, prefix, "at", row_of(status), 1, 0)

    assert_mends(attempt=1)


# Dictionaries


def test_a_text_that_the_hash_forgot_is_found_again(store, tag):
    make_status("failed", job_name="a")
    store.hdel(keys.codes(tag, "names"), "a")
    assert statuses.where(job_name="a").count() == 0

    assert_mends(dictionary=1)

    assert statuses.where(job_name="a").count() == 1


def test_a_text_that_the_list_forgot_is_shown_again(store, tag):
    status = make_status("failed", job_name="a")
    make_status("failed", job_name="b")
    store.lset(keys.texts(tag, "names"), 0, "")

    assert_mends(dictionary=1)

    assert status.reload().job_name == "a"


def test_a_list_that_lost_its_end_is_filled_from_the_hash(store, tag):
    made = {name: make_status("failed", job_name=name) for name in "abc"}
    store.ltrim(keys.texts(tag, "names"), 0, 0)

    assert_mends(dictionary=2)

    assert {name: status.reload().job_name for name, status in made.items()} == {name: name for name in "abc"}


def test_jobs_under_the_second_code_of_a_text_move_to_the_first(store, prefix, tag):
    make_status("failed", job_name="a")
    second = make_status("failed", job_name="b")
    store.lset(keys.texts(tag, "names"), 1, "a")
    store.hdel(keys.codes(tag, "names"), "b")

    assert_mends(code=1)

    assert second.reload().job_name == "a"
    assert statuses.where(job_name="a").count() == 2


def test_an_ambiguous_code_belongs_to_the_text_in_the_list(store, tag):
    make_status("failed", job_name="a")
    make_status("failed", job_name="b")
    store.hset(keys.codes(tag, "names"), "b", 1)

    statuses.check(repair=True)

    assert statuses.check().problems == ()
    assert statuses.where(job_name="b").count() == 1


# Keys


def test_keys_of_dead_rows_are_removed(store, prefix):
    status = make_status("failed", error="x")
    make_status("failed", job_args={"b": "B:1"})
    status.delete()
    row = row_of(status)
    store.hset(keys.job(prefix, row), "m", "left")
    store.hset(keys.long(prefix, row), "m", "left")
    for make in (keys.data, keys.call, keys.errors):
        store.set(make(prefix, row), "left")
    store.hset(keys.attempt(prefix, row, 3), "c", "left")
    store.set(keys.attempt(prefix, row, 3) + "d", "left")
    store.set(keys.data(prefix, 4000), "left")

    assert_mends(leftover=8)

    assert statuses.all().count() == 1


def test_attempts_beyond_those_that_were_counted_are_removed(store, prefix):
    status = make_status("started")
    status.started()
    store.hset(keys.attempt(prefix, row_of(status), 1), "c", "left")

    assert_mends(leftover=1)

    assert len(status.reload().prior_attempts) == 1


def test_what_a_dropped_segment_left_is_removed(store, prefix):
    make_status("failed")
    statuses.clear_all()
    make_status("failed")
    store.set(prefix + "v", b"x" * 16)
    store.append(prefix + "r7", b"12345678")
    store.hset(prefix + "j5", "m", "left")

    assert_mends(leftover=3)

    assert statuses.all().count() == 1


def test_keys_of_unknown_names_are_told_and_left(store, prefix, tag):
    make_status("failed")
    store.set(prefix + "future", 1)
    store.set(tag + "future", 1)

    checked = statuses.check(repair=True)

    assert kinds(checked) == {"unknown": 2}
    assert store.get(tag + "future") == b"1"


def test_a_segment_that_the_family_forgot_is_remembered(store, tag):
    make_status("failed")
    segmentscripts.open_segment(stores.current(), 0, 1)
    make_status("killed")
    store.hset(keys.meta(tag), "current", 0)
    assert statuses.all().count() == 1

    assert_mends(meta=1)

    assert statuses.all().count() == 2


def test_other_namespaces_are_not_looked_at(store, server_url):
    make_status("failed")
    store.set("{other:0}0:j1", "not ours")
    store.set("cache", "not ours")

    assert statuses.check(repair=True).problems == ()
    assert store.exists("{other:0}0:j1", "cache") == 2


def test_a_repair_waits_for_a_segment_that_changes_meanwhile(store, prefix, monkeypatch):
    status = make_status("failed", job_args={"b": "Book:1"})
    store.delete(prefix + f"r{encoding.tag_hash('Book:1')[0]}")

    real, moved = segmentscripts.repair, []

    def slow(*arguments, **more):
        if not moved:
            moved.append(status.set_job_args({"b": "Book:2"}))
        return real(*arguments, **more)

    monkeypatch.setattr(segmentscripts, "repair", slow)
    statuses.check(repair=True)

    assert moved
    assert statuses.check().problems == ()
    assert statuses.where(job_arg="Book:1").count() == 0
    assert statuses.where(job_arg="Book:2").count() == 1


def test_families_are_checked_each(store, server_url):
    statuses.configure(url=server_url, namespace="spread", families=3)
    for n in range(30):
        make_status("failed", id=f"own {n}", job_args={"b": f"B:{n}"})
    for number in range(3):
        store.set(stores.current().families[number] + "0:d999", "left")

    assert_mends(leftover=3)
