"""Packed segments: few live jobs take little room, and nothing else tells them from others."""

import multiprocessing
import random
from datetime import timedelta

import pytest

import statuses
from statuses import keys, packing, segmentscripts, snapshot
from statuses import store as stores
from statuses.columns import COLUMNS, SEGMENT_ROWS
from statuses.testing import frozen_clock, make_status

DAY = timedelta(days=1)
ROWS = 400
#: Rows that stay: neither first nor last, some next to each other.
KEPT = (1, 2, 77, 300, 301, 399)


@pytest.fixture
def clock(store):
    with frozen_clock() as frozen:
        yield frozen


@pytest.fixture
def prefix(clock):
    return keys.segment(stores.current().families[0], 0)


def one(number: int) -> statuses.Status:
    state = ("succeeded", "failed", "killed", "started", "queued", "unqueued")[number % 6]
    return make_status(
        state,
        id=f"own {number}" if number % 2 else None,
        job_name=f"name {number % 3}",
        queue=f"queue {number % 2}",
        user="marta",
        job_args={"book": f"Book:{number}", "all": "Shelf:1"},
        provider_job_id=f"p{number}",
        parent="mother",
        data={"n": number},
        keep_for=None if number in KEPT else DAY,
    )


@pytest.fixture
def jobs(clock):
    """The jobs that stay, by row. Their segment is not the present one any more."""
    made = {}
    for number in range(ROWS):
        made[number] = one(number)
        clock.tick(1)
    made[77].started().started()
    segmentscripts.open_segment(stores.current(), 0, 1)
    return {number: made[number] for number in KEPT}


@pytest.fixture
def packed(jobs, clock):
    """The same, packed."""
    clock.tick(2 * DAY)
    cleaned = statuses.clean()
    assert (cleaned.removed, cleaned.packed) == (ROWS - len(KEPT), 1)
    return jobs


def answers() -> dict:
    """What can be asked of the whole store."""
    every = statuses.all()
    return {
        "counts": every.counts(),
        "names": every.counts_by("job_name"),
        "queues": every.where(state="failed").counts_by("queue"),
        "resources": every.counts_by("job_arg", limit=None),
        "run": every.durations("run_time"),
        "by": every.durations_by("job_name", "run_time"),
        "timeline": every.timeline(buckets=7),
        "histogram": every.histogram("wait_time"),
        "ids": every.ids(),
        "oldest": every.order_by("recorded_at").ids(),
        "sheets": [sheet.column(name) for sheet in every.sheets() for name in ("id", "job_name", "progress", "job_args")],
        "ended": every.order_by("-ended_at").ids(),
        "page": [page.ids() for page in pages(every.order_by("-started_at"))],
        "attempts": [[(a.state, a.data) for a in status.prior_attempts] for status in every],
        "records": [(s.id, s.state, s.job_name, s.queue, s.data, s.job_args, s.recorded_at, s.run_time, s.provider_job_id) for s in every],
    }


def pages(query):
    page = query.limit(2).run()
    while True:
        yield page
        if page.next is None:
            return
        page = query.after(page.next).limit(2).run()


def test_packing_changes_no_answer(jobs, clock):
    clock.tick(2 * DAY)
    for number in range(ROWS):
        if number not in KEPT:
            statuses.where(provider_job_id=f"p{number}").delete_all(force=True)
    before = answers()

    assert packing.pack(stores.current(), 0, 0, snapshot.now_us(stores.current()))

    assert answers() == before
    statuses.configure(url=stores.current().config.url, namespace=stores.current().config.namespace)
    assert answers() == before


def test_columns_and_tags_keep_the_live_rows_only(packed, store, prefix):
    assert store.strlen(prefix + "rows") == 2 * len(KEPT)
    for column in COLUMNS:
        assert store.strlen(prefix + column.key) in (len(KEPT) * column.width, 0 if not column.made_with_segment else -1), column.name
    assert sum(store.strlen(key) for key in store.keys(prefix + "[rpc][0-9]*")) == 8 * 4 * len(KEPT)
    assert store.get(prefix + "n") == str(ROWS).encode()


def test_every_id_keeps_resolving(packed):
    for number, status in packed.items():
        assert statuses.find(status.id).provider_job_id == f"p{number}"
        assert statuses.where(id=status.id).ids() == [status.id]
        assert statuses.at(status.id).reload().data == (None if number == 77 else {"n": number})
    assert sorted(statuses.where(id=[status.id for status in packed.values()]).ids()) == sorted(s.id for s in packed.values())
    assert statuses.find("own 77:0").data == {"n": 77}


def test_what_was_deleted_stays_unfound(packed, clock):
    assert statuses.find("own 3") is None
    assert statuses.where(provider_job_id="p3").count() == 0
    assert statuses.where(job_arg="Book:3").count() == 0


@pytest.mark.parametrize("clause", [{"job_arg": "Book:300"}, {"provider_job_id": "p300"}, {"job_name": "name 0", "state": "succeeded"}])
def test_clauses_find_jobs_of_packed_segments(packed, clause):
    assert statuses.where(**clause).ids() == [packed[300].id]


def test_timestamps_and_parents_find_them_too(packed):
    job = packed[300]
    assert statuses.where(recorded_at=(job.recorded_at, job.recorded_at)).ids() == [job.id]
    assert statuses.where(parent="mother").count() == len(KEPT)
    assert statuses.where(job_arg="Shelf:1").exclude(job_arg=["Book:300", "Book:301"]).count() == len(KEPT) - 2


class TestWriting:
    """Every verb reaches its row."""

    @pytest.fixture(autouse=True)
    def others_stay_as_they_are(self, packed):
        before = {number: self.all_of(status) for number, status in packed.items() if number != 300}
        yield
        assert {number: self.all_of(status) for number, status in packed.items() if number != 300} == before
        assert statuses.check().problems == ()

    @staticmethod
    def all_of(status):
        status.reload()
        return status.state, status._record.numbers, status._record.fields, status._record.texts, status.errors, status.data

    @pytest.mark.parametrize("verb", ["unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown", "requeued"])
    def test_moves(self, packed, clock, verb):
        job = packed[300]
        clock.tick(1)
        getattr(job, verb)()
        state = "queued" if verb == "requeued" else verb

        assert job.reload().state == state
        assert statuses.where(id=job.id).counts()[state] == 1

    def test_a_restart_archives_the_attempt(self, packed, clock):
        job = packed[300].started(worker="w").add_error("x")
        job.started(worker="v")

        assert [attempt.state for attempt in job.prior_attempts] == ["succeeded", "started"]
        assert (job.worker, job.attempt, job.errors) == ("v", 2, [])

    def test_errors_progress_data_and_heartbeats(self, packed, clock):
        job = packed[300].started()
        job.add_error(ValueError("no")).set_progress(3, 4, message="m").save([1]).heartbeat()

        assert (job.progress, job.progress_message, job.data, job.errors[0]["message"]) == (0.75, "m", [1], "no")
        assert job.heartbeat_at == clock.now
        assert statuses.where(heartbeat_at=(clock.now, None)).ids() == [job.id]
        assert statuses.all().counts_by("error")[0].value == job.error_group

    def test_labels_and_tags(self, packed):
        job = packed[300]
        job.set_job_name("new").set_queue(None).set_user("u").set_worker("w").set_engine("e").keep_for(9 * DAY)
        job.set_job_args({"b": "Book:new"}).set_provider_job_id("new")

        for clause in (
            {"job_name": "new"},
            {"user": "u"},
            {"worker": "w"},
            {"engine": "e"},
            {"job_arg": "Book:new"},
            {"provider_job_id": "new"},
        ):
            assert statuses.where(**clause).ids() == [job.id]
        assert statuses.where(job_arg="Book:300").count() == 0
        assert job.expires_at == job.ended_at + 9 * DAY

    def test_kill_requests(self, packed):
        job = packed[300].started().request_kill(by="me", reason="r")

        with pytest.raises(statuses.KillRequested):
            job.check_kill()
        assert statuses.where(kill_requested=True).ids() == [job.id]

    def test_bulk_verbs(self, packed):
        job = packed[300]
        query = statuses.where(provider_job_id="p300")
        job.queued()

        assert query.request_kill_all(by="me").changed == 1
        assert query.kill_now_all().by_reason == {"killed": 1}
        assert job.reload().state == "killed"
        removed = query.delete_all(only_ended=True, undo_for=DAY)
        assert (removed.changed, query.count(), statuses.find(job.id)) == (1, 0, None)
        assert statuses.restore(removed.undo).changed == 1
        assert job.reload().state == "killed"

    def test_deletion(self, packed, store, prefix):
        job = packed[300]
        job.delete(force=True)

        assert statuses.find(job.id) is None
        assert statuses.all().count() == len(KEPT) - 1
        assert not store.keys(prefix + "*300*")


def test_a_packed_segment_is_cleaned_as_any_other(packed, clock, store, prefix):
    clock.tick(31 * DAY)
    assert statuses.clean().by_state == {"succeeded": 1}
    clock.tick(200 * DAY)

    cleaned = statuses.clean()

    assert (cleaned.removed, cleaned.dropped) == (len(KEPT) - 1, 1)
    assert not store.keys(prefix + "*")


def test_a_packed_segment_that_becomes_sparse_is_packed_again(clock, prefix, store, monkeypatch):
    monkeypatch.setattr(packing, "SMALL", 4)
    made = [make_status("failed", keep_for=DAY if n % 2 else 5 * DAY if n % 3 else None) for n in range(60)]
    segmentscripts.open_segment(stores.current(), 0, 1)
    clock.tick(2 * DAY)
    assert statuses.clean().packed == 1
    assert store.strlen(prefix + "rows") == 60

    clock.tick(4 * DAY)
    assert statuses.clean().packed == 1

    assert store.strlen(prefix + "rows") == 20
    assert statuses.all().ids() == [status.id for n, status in reversed(list(enumerate(made))) if n % 6 == 0]
    assert statuses.check().problems == ()


def test_a_removal_that_can_be_taken_back_keeps_a_segment_from_being_packed(jobs, clock):
    removed = statuses.where(provider_job_id="p300").delete_all(force=True, undo_for=3 * DAY)
    clock.tick(2 * DAY)

    assert statuses.clean().packed == 0
    assert statuses.restore(removed.undo).changed == 1
    assert statuses.clean().packed == 1

    assert statuses.all().count() == len(KEPT)


def test_the_present_segment_is_never_packed(clock):
    for number in range(50):
        make_status("failed", keep_for=DAY if number else None)
    clock.tick(2 * DAY)

    assert statuses.clean().packed == 0


def test_somebody_who_writes_keeps_a_segment_from_being_packed(jobs, clock, monkeypatch, store, prefix):
    clock.tick(2 * DAY)
    real = segmentscripts.pack

    def slow(*arguments):
        jobs[300].failed()
        return real(*arguments)

    monkeypatch.setattr(segmentscripts, "pack", slow)
    assert statuses.clean().packed == 0

    assert store.strlen(prefix + "st") == SEGMENT_ROWS
    assert jobs[300].reload().state == "failed"


def test_a_heartbeat_that_comes_while_it_is_packed_is_kept(jobs, clock, monkeypatch):
    jobs[399].started().heartbeat()
    clock.tick(2 * DAY)
    real, beats = segmentscripts.pack, []

    def slow(*arguments):
        if not beats:
            clock.tick(1)
            beats.append(jobs[399].heartbeat())
        return real(*arguments)

    monkeypatch.setattr(segmentscripts, "pack", slow)

    assert statuses.clean().packed == 0
    assert statuses.clean().packed == 1
    assert jobs[399].reload().heartbeat_at == clock.now


def test_a_question_that_meets_the_packing_gives_one_moment(jobs, clock, monkeypatch):
    from statuses import segments

    clock.tick(2 * DAY)
    expected = statuses.all().where(state="failed").counts_by("job_arg", limit=None)
    wanted = [count for count in expected if count.value in ("Shelf:1", "Book:1", "Book:301")]
    assert wanted
    real, cleaned = segments.read, []

    def slow(store, wants):
        for number, found in enumerate(real(store, wants)):
            yield found
            if not number and not cleaned:
                cleaned.append(statuses.clean())

    monkeypatch.setattr("statuses.evaluation.read", slow)
    segments.partials.clear()
    found = statuses.all().where(state="failed").counts_by("job_arg", limit=None)

    assert cleaned and cleaned[0].packed == 1
    assert found in (expected, statuses.all().where(state="failed").counts_by("job_arg", limit=None))


def test_check_looks_into_packed_segments_and_mends_them(packed, store, prefix):
    index = KEPT.index(300)
    store.setrange(prefix + "run", index * 8, (12345).to_bytes(8, "little"))
    store.setrange(prefix + "nm", index * 4, (999).to_bytes(4, "little"))
    store.set(prefix + "succeeded_at", store.get(prefix + "succeeded_at") + b"tail")
    store.delete(*store.keys(prefix + "p[0-9]*"))
    store.set(prefix + "d44", "left")

    assert [problem.kind for problem in statuses.check().problems] == ["length"]
    repaired = statuses.check(repair=True)

    assert {problem.kind: problem.count for problem in repaired.problems} == {"length": 1, "span": 1, "code": 1, "tag": 6, "leftover": 1}
    assert repaired.repaired == repaired.found
    assert statuses.check().problems == ()
    assert statuses.where(provider_job_id="p300").ids() == [packed[300].id]


def test_a_packed_segment_that_lost_its_row_numbers_is_told_and_left_alone(packed, store, prefix):
    store.delete(prefix + "rows")
    before = {key: store.dump(key) for key in store.keys(prefix + "*")}

    checked = statuses.check(repair=True)

    assert [(problem.kind, problem.count, problem.repaired) for problem in checked.problems] == [("rows", 1, 0)]
    assert {key: store.dump(key) for key in store.keys(prefix + "*")} == before


def test_load_is_refused_by_a_packed_segment(packed, clock):
    with pytest.raises(statuses.StoreCleared):
        segmentscripts.load(stores.current(), load_of(3), {})


def load_of(row: int) -> segmentscripts.NewRows:
    packed = [0, *[0] * 6, 0, 0]
    return segmentscripts.NewRows(family=0, segment=0, first=row, own_ids={}, states=b"\x05", bounds=bytes(128), packed=packed)


def write(url: str, namespace: str, ids: list[str], seed: int) -> None:
    """What a process does meanwhile: random verbs on jobs of all segments."""
    statuses.configure(url=url, namespace=namespace)
    chance = random.Random(seed)
    verbs = ["queued", "started", "succeeded", "failed", "heartbeat", "requeued", "request_kill", "killed"]
    for turn in range(300):
        status, verb = statuses.at(chance.choice(ids)), chance.choice(verbs)
        try:
            if verb == "heartbeat":
                status.set_job_args({"b": f"Book:{chance.randrange(9)}"}).set_job_name(f"name {seed} {turn % 7}").heartbeat()
            else:
                getattr(status, verb)()
        except statuses.StatusNotFound:
            continue


def test_writers_readers_and_cleaners_do_not_meet(store, server_url):
    here = stores.current()
    for segment in range(1, 6):
        for number in range(30):
            statuses.create(job_name="a", job_args={"b": f"Book:{number}"}, id=f"own {segment} {number}" if number % 3 else None)
        segmentscripts.open_segment(here, 0, segment)
    ids = statuses.all().ids()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write, args=(server_url, here.config.namespace, ids[::2], seed)) for seed in range(3)]
    for process in processes:
        process.start()

    packed, doomed = 0, [id for number, id in enumerate(ids) if number % 4 == 1]
    deleted = len(doomed)
    while any(process.is_alive() for process in processes):
        for id in doomed[:3]:
            statuses.at(id).delete(force=True)
        del doomed[:3]
        packed += statuses.clean().packed
        assert statuses.all().count() == sum(statuses.all().counts().values()) == len(ids) - deleted + len(doomed)
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    statuses.clean()
    assert packed and statuses.check().problems == ()
    for status in statuses.all():
        assert statuses.where(id=status.id, state=status.state, job_name=status.job_name).count() == 1
        assert len(status.prior_attempts) == status.attempt
