"""Retention: what is due goes, what is kept stays, and nothing of the gone is left."""

from datetime import timedelta

import pytest

import statuses
from statuses import directory, health, keeping, keys, scripts, segmentscripts, snapshot
from statuses import store as stores
from statuses.testing import frozen_clock, make_status

DAY = timedelta(days=1)


@pytest.fixture
def clock(store):
    with frozen_clock() as frozen:
        yield frozen


@pytest.mark.parametrize("kept", [timedelta.max, timedelta(days=10_000_000), timedelta(days=60_000)])
def test_a_policy_of_more_years_than_anybody_counts_is_for_ever(server_url, store, kept):
    statuses.configure(url=server_url, namespace="policy", retention={"*": kept})
    status = make_status("failed")

    assert status.expires_at is None
    assert statuses.clean(dry_run=True).removed == 0
    assert health.examine().holdings.jobs == 1


def test_succeeded_jobs_go_after_thirty_days_and_others_after_half_a_year(clock):
    for state in statuses.State:
        make_status(state)

    clock.tick(30 * DAY)
    assert statuses.clean().by_state == {"succeeded": 1}
    clock.tick(149 * DAY)
    assert statuses.clean().removed == 0
    clock.tick(1 * DAY)

    assert statuses.clean().removed == 6
    assert statuses.all().count() == 0


def test_a_jobs_own_time_goes_before_the_policy(clock):
    make_status("succeeded", keep_for=DAY)
    make_status("succeeded", keep_for=365 * DAY)
    make_status("failed", keep_for=2 * DAY).keep_for(None)

    clock.tick(100 * DAY)
    statuses.clean()

    assert sorted(status.state for status in statuses.all()) == ["failed", "succeeded"]


def test_time_counts_from_the_end_and_from_recorded_for_a_job_that_never_ended(clock):
    slow = make_status("started", keep_for=10 * DAY)
    make_status("queued", keep_for=10 * DAY)
    clock.tick(9 * DAY)
    slow.succeeded()
    clock.tick(9 * DAY)

    statuses.clean()

    assert statuses.all().ids() == [slow.id]


def test_a_loaded_job_is_kept_from_its_loading_on_and_says_so(clock):
    statuses.load([{"state": "succeeded", "recorded_at": clock.now - 400 * DAY, "ended_at": clock.now - 399 * DAY}])
    (loaded,) = statuses.all()

    assert loaded.expires_at == clock.now + 30 * DAY
    clock.tick(29 * DAY)
    assert statuses.clean().removed == 0
    clock.tick(DAY)
    assert statuses.clean().removed == 1


def test_a_policy_by_name_goes_before_that_of_the_state(server_url, clock):
    statuses.configure(url=server_url, namespace="policy", retention={"name:short": DAY, "failed": None, "*": 10 * DAY})
    for name in ("short", "long"):
        for state in ("failed", "succeeded"):
            make_status(state, job_name=name)

    clock.tick(11 * DAY)
    statuses.clean()

    assert [(status.job_name, status.state) for status in statuses.all()] == [("long", "failed")]


def test_criteria_remove_what_they_name_and_nothing_else(clock):
    for name in ("a", "b"):
        for queue in ("q", "r"):
            for state in ("succeeded", "failed", "started"):
                make_status(state, job_name=name, queue=queue)
    clock.tick(2 * DAY)
    young = make_status("failed", job_name="a", queue="q")

    dry = statuses.clean(job_name="a", queue=["q"], state="failed", older_than=DAY, dry_run=True)
    assert (dry.removed, statuses.all().count()) == (1, 13)
    assert statuses.clean(job_name="a", queue=["q"], state="failed", older_than=DAY).removed == 1
    assert statuses.find(young.id) is not None
    assert statuses.clean(older_than=DAY).removed == 7

    assert statuses.where(state="started").count() == 4


def test_an_age_breaks_no_promise_and_tells_how_many_it_left(clock):
    promised = make_status("failed", job_name="a", keep_for=30 * DAY)
    awaited = make_status("succeeded", job_name="a", job_args={"book": "Book:1"}, keep_until_deleted="Book:1")
    make_status("failed", job_name="a", keep_for=2 * DAY)
    make_status("failed", job_name="a")
    make_status("failed", job_name="b", keep_for=30 * DAY)
    make_status("started", job_name="a", keep_for=30 * DAY)
    clock.tick(3 * DAY)

    dry = statuses.clean(job_name="a", older_than=DAY, dry_run=True)
    cleaned = statuses.clean(job_name="a", older_than=DAY)

    assert (dry.removed, dry.promised) == (cleaned.removed, cleaned.promised) == (2, 2)
    assert set(statuses.where(job_name="a", state="ended").ids()) == {promised.id, awaited.id}


def test_promises_are_broken_when_that_is_said(clock):
    make_status("failed", keep_for=30 * DAY)
    make_status("succeeded", job_args={"book": "Book:1"}, keep_until_deleted="Book:1")
    clock.tick(3 * DAY)

    cleaned = statuses.clean(older_than=DAY, break_promises=True)

    assert (cleaned.removed, cleaned.promised, statuses.all().count()) == (2, 0, 0)


def test_a_promise_that_is_over_is_none(clock):
    make_status("failed", keep_for=DAY)
    clock.tick(DAY)

    assert statuses.clean(older_than=timedelta(hours=1)).removed == 1


def test_breaking_promises_without_an_age_is_refused(store):
    with pytest.raises(ValueError, match="break_promises"):
        statuses.clean(break_promises=True)


@pytest.mark.parametrize("bad", [{"older_than": 5}, {"older_than": -DAY}, {"state": "running"}, {"job_name": 7}])
def test_bad_criteria_are_refused(clock, bad):
    make_status("failed")

    with pytest.raises((TypeError, ValueError), match=next(iter(bad))):
        statuses.clean(**bad)

    assert statuses.all().count() == 1


def test_clear_all_takes_everything_and_leaves_no_key_of_a_job(store):
    for number in range(50):
        status = make_status("failed", id=f"own {number}" if number % 2 else None, job_args={"b": f"B:{number}"}, error="x")
        status.started()

    assert statuses.clear_all() == 50

    assert statuses.all().count() == 0
    assert statuses.find("own 1") is None
    assert statuses.create(id="own 1").state == "unqueued"
    assert statuses.all().count() == 1
    left = [key.decode().split("}", 1)[1] for key in store.keys("*")]
    assert not [key for key in left if key.startswith("0:")]
    assert [key for key in left if key.startswith("x:")] == ["x:own 1"]


def test_clear_all_takes_what_is_created_while_it_runs_or_leaves_it_whole(store, monkeypatch):
    make_status("failed")
    read = stores.Store.pipeline

    def pipeline(here, commands, **more):
        replies = read(here, commands, **more)
        if any(command[0] == "GET" for command in commands):  # how many rows there are is known
            here.current[0] = 0  # as a writer thinks that has heard nothing yet
            statuses.create(job_name="late", data=[1])
        return replies

    with monkeypatch.context() as patched:
        patched.setattr(stores.Store, "pipeline", pipeline)
        statuses.clear_all()

    assert statuses.check().problems == ()
    assert not [key for key in keys_left(store) if key.startswith("0:")]


def test_clear_all_of_an_empty_store_is_nothing(store):
    assert statuses.clear_all() == 0


def keys_left(store) -> list[str]:
    """The keys of the store without their family."""
    return sorted(key.decode().split("}", 1)[1] for key in store.keys("*"))


def everything() -> None:
    """Jobs with all that jobs can leave behind."""
    for number in range(60):
        status = make_status(
            "failed",
            id=f"own {number}" if number % 2 else None,
            job_name=f"name {number % 5}",
            queue="q",
            user=f"user {number}",
            engine="toy",
            job_args={"b": f"B:{number}", "long": "T:" + "x" * 100},
            provider_job_id=f"p{number}",
            parent="mother",
            call={"args": [number], "kwargs": {}},
            data=[number],
            error=ValueError(f"number {number}"),
        )
        status.started(worker=f"worker {number}").heartbeat()
        status.request_kill(by="me", reason="r" * 100)
        status.failed(error="again", attempt=1)


def test_after_all_jobs_are_removed_and_swept_only_dictionaries_and_counters_are_left(store, clock):
    everything()
    statuses.where(job_name="name 1").delete_all(force=True)
    statuses.all().delete_all(force=True, undo_for=timedelta(minutes=10))

    before = statuses.clean()
    clock.tick(timedelta(minutes=11))
    cleaned = statuses.clean()

    assert (before.swept, cleaned.swept, cleaned.dropped) == (0, 48, 1)
    lists = [f"{name}:list" for name in ("engines", "errors", "names", "queues", "users", "workers")]
    assert keys_left(store) == sorted(["meta", "upkeep", *lists, *(f"{name}:seals" for name in lists)])
    assert before.forgotten + cleaned.forgotten == sum(store.llen(key) for key in store.keys("*:list"))
    assert {text for key in store.keys("*:list") for text in store.lrange(key, 0, -1)} == {b""}
    assert statuses.check().problems == ()


def test_a_store_that_was_emptied_takes_new_jobs(store, clock):
    make_status("failed", job_name="a", keep_for=DAY)
    clock.tick(2 * DAY)
    assert statuses.clean().dropped == 1
    assert statuses.all().count() == 0

    status = make_status("failed", job_name="a", id="own")

    assert statuses.find("own") == status
    assert statuses.where(job_name="a").count() == 1
    assert statuses.load([{"job_name": "a"}]) == 1
    assert statuses.check().problems == ()


def test_dead_segments_are_dropped_and_the_first_one_moves_up(store, clock):
    here, made = stores.current(), []
    for number in range(4):
        made.append(make_status("failed", keep_for=DAY if number != 2 else 9 * DAY))
        segmentscripts.open_segment(here, 0, number + 1)
    make_status("failed", keep_for=DAY)
    clock.tick(2 * DAY)

    cleaned = statuses.clean()

    assert (cleaned.removed, cleaned.dropped) == (4, 3)
    assert store.hmget(keys.meta(here.families[0]), "first", "current") == [b"2", b"4"]
    assert statuses.all().ids() == [made[2].id]
    assert not [key for key in keys_left(store) if key.startswith(("0:", "1:", "3:"))]


def test_a_segment_in_which_something_can_be_restored_is_not_dropped(clock):
    make_status("failed")
    segmentscripts.open_segment(stores.current(), 0, 1)
    make_status("failed")
    changed = statuses.all().delete_all(undo_for=timedelta(minutes=10))

    assert statuses.clean().dropped == 0

    assert statuses.restore(changed.undo).changed == 2


def test_a_segment_that_load_is_filling_is_not_dropped(clock):
    here = stores.current()
    segmentscripts.open_segment(here, 0, 0)
    segmentscripts.reserve(here, 0, 10)
    segmentscripts.open_segment(here, 0, 1)
    make_status("failed")

    assert statuses.clean().dropped == 0
    clock.tick(timedelta(hours=2))

    assert statuses.clean().dropped == 1


def test_somebody_who_writes_keeps_a_segment_from_being_dropped(clock, monkeypatch):
    here = stores.current()
    make_status("failed", keep_for=DAY)
    clock.tick(2 * DAY)
    real, late = segmentscripts.drop, []

    def slow(*arguments):
        late.append(make_status("queued"))
        return real(*arguments)

    monkeypatch.setattr(segmentscripts, "drop", slow)

    assert statuses.clean().dropped == 0

    assert [status.reload().state for status in late] == ["queued"]
    assert here is stores.current()


def test_a_job_that_goes_on_while_it_is_cleaned_away_stays(clock, monkeypatch):
    due, goes_on = make_status("failed"), make_status("failed")
    clock.tick(181 * DAY)
    real = segmentscripts.bulk

    def slow(*arguments):
        goes_on.requeued()
        monkeypatch.setattr(segmentscripts, "bulk", real)
        return real(*arguments)

    monkeypatch.setattr(segmentscripts, "bulk", slow)
    cleaned = statuses.clean()

    assert cleaned.removed == 1
    assert (statuses.find(due.id), statuses.find(goes_on.id).state) == (None, "queued")


def test_texts_that_no_job_has_any_more_are_forgotten(store, clock):
    tag = stores.current().families[0]
    for name in ("old", "kept", "older"):
        make_status("failed", job_name=name, keep_for=DAY if name.startswith("old") else 9 * DAY)
    clock.tick(2 * DAY)

    assert statuses.clean().forgotten == 2

    assert store.lrange(keys.texts(tag, "names"), 0, -1) == [b"", b"kept", b""]
    assert store.hgetall(keys.codes(tag, "names")) == {b"kept": b"2"}
    assert statuses.all().values("job_name") == ["kept"]
    assert [count.value for count in statuses.all().counts_by("job_name")] == ["kept"]


@pytest.mark.parametrize("few", [directory.CODES, 0], ids=["codes are asked for", "codes are known"])
def test_a_forgotten_text_that_comes_back_gets_another_code(few, store, clock, monkeypatch):
    monkeypatch.setattr(directory, "CODES", few)
    tag = stores.current().families[0]
    make_status("failed", job_name="a", keep_for=DAY)
    make_status("failed", job_name="b")
    assert statuses.where(job_name="a").count() == 1
    clock.tick(2 * DAY)
    statuses.clean()

    again = make_status("failed", job_name="a")

    assert store.lrange(keys.texts(tag, "names"), 0, -1) == [b"", b"b", b"a"]
    assert again.reload().job_name == "a"
    assert statuses.where(job_name="a").ids() == [again.id]
    assert statuses.where(job_name=["a", "b"]).count() == 2
    assert statuses.all().values("job_name") == ["a", "b"]
    assert statuses.all().values("job_name", "a") == ["a"]
    assert statuses.check().problems == ()


def test_texts_that_only_an_archived_attempt_has_are_kept(clock):
    status = statuses.create(job_name="n").started(worker="first")
    status.started(worker="second")
    status.set_job_name("m")

    assert statuses.clean().forgotten == 0

    (attempt,) = status.reload().prior_attempts
    assert (attempt.worker, attempt.job_name) == ("first", "n")


def test_a_text_taken_for_a_new_job_while_it_is_being_forgotten_is_kept(clock, monkeypatch):
    make_status("failed", job_name="a", keep_for=DAY)
    make_status("failed", job_name="b")
    clock.tick(2 * DAY)
    real, late = segmentscripts.mend, []

    def slow(store, family, column, writes, **options):
        if column == "job_name" and writes and writes[0][0] == "drop" and not late:
            late.append(make_status("queued", job_name="a"))
        return real(store, family, column, writes, **options)

    monkeypatch.setattr(segmentscripts, "mend", slow)
    statuses.clean()

    assert late
    assert late[0].reload().job_name == "a"
    assert statuses.where(job_name="a").count() == 1
    assert statuses.check().problems == ()


def test_a_text_taken_between_two_cleaners_is_kept(clock, monkeypatch):
    make_status("failed", job_name="a", keep_for=DAY)
    make_status("failed", job_name="b")
    clock.tick(2 * DAY)
    real, late = segmentscripts.mend, []

    def slow(store, family, column, writes, **options):
        if column == "job_name" and writes and writes[0][0] == "drop" and not late:
            late.append(make_status("queued", job_name="a"))
            # Another cleaner, whose first look was before that: it marks the text again.
            claimed = real(store, family, column, [("claim", "", 0)], cleaner="another")
            assert claimed == real(store, family, column, [("mark", "a", 1)], cleaner="another") == 0
        return real(store, family, column, writes, **options)

    monkeypatch.setattr(segmentscripts, "mend", slow)
    assert statuses.clean().forgotten == 0

    assert late[0].reload().job_name == "a"
    assert statuses.where(job_name="a").count() == 1
    assert statuses.check().problems == ()


def test_a_text_that_is_marked_is_found_and_taken(store, clock):
    tag = stores.current().families[0]
    make_status("failed", job_name="a")
    segmentscripts.mend(stores.current(), 0, "job_name", [("mark", "a", 1)])
    assert statuses.where(job_name="a").count() == 1
    assert statuses.check().problems == ()

    make_status("failed", job_name="a")

    assert store.hgetall(keys.codes(tag, "names")) == {b"a": b"1"}
    assert segmentscripts.mend(stores.current(), 0, "job_name", [("drop", "a", 1)]) == 0
    assert statuses.where(job_name="a").count() == 2


def test_a_dictionary_full_of_what_was_takes_new_texts(store, clock, monkeypatch):
    monkeypatch.setattr(scripts, "LIMIT", 3)
    for name in "abc":
        make_status("failed", job_name=name, keep_for=DAY)
    clock.tick(2 * DAY)
    statuses.clean()

    for name in "defg":
        make_status("failed", job_name=name)

    assert sorted(count.value for count in statuses.all().counts_by("job_name")) == ["(other)", "d", "e", "f"]


def test_cleaning_reads_nothing_of_a_segment_in_which_nothing_is_due(clock, monkeypatch):
    make_status("failed", keep_for=9 * DAY)
    make_status("failed")
    statuses.clean()
    read = []
    monkeypatch.setattr(snapshot, "take", lambda *arguments, **more: read.append(arguments))

    clock.tick(8 * DAY)
    assert statuses.clean().removed == 0

    assert read == []


def test_progress_that_says_no_stops_after_the_batch(clock):
    batch = segmentscripts.BULK_ROWS["delete"]
    statuses.load({"state": "failed", "keep_for": DAY} for _ in range(2 * batch + 50))
    clock.tick(2 * DAY)
    seen = []

    cleaned = statuses.clean(progress=lambda removed: seen.append(removed) or removed < 2 * batch)

    assert (cleaned.removed, cleaned.stopped, seen) == (2 * batch, True, [batch, 2 * batch])
    assert statuses.all().count() == 50
    assert statuses.clean(progress=lambda removed: None).removed == 50


def test_a_time_longer_than_any_store_is_for_ever(clock):
    status = make_status("succeeded", keep_for=timedelta.max)

    clock.tick(50_000 * DAY)
    statuses.clean()

    assert status.reload().expires_at is None
    assert status.keep_for(DAY).expires_at is not None


class TestKeptUntilDeleted:
    """A job may be kept until the model instance it works on is deleted."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def book(self, clock):
        from django.contrib.auth.models import Group

        return Group.objects.create(name="a book")

    def test_it_is_kept_for_ever_and_goes_as_the_policy_says_once_that_is_deleted(self, clock, book):
        kept = make_status("succeeded", job_args={"book": book}, keep_until_deleted=book)
        other = make_status("succeeded", job_args={"book": book})
        clock.tick(400 * DAY)
        statuses.clean()
        assert statuses.all().ids() == [kept.id]
        assert (kept.expires_at, kept.kept_until_deleted) == (None, f"auth.Group:{book.pk}")

        book.delete()

        assert kept.reload().kept_until_deleted is None
        assert statuses.clean().removed == 1
        assert statuses.find(other.id) is None

    def test_it_can_be_said_later_and_taken_back(self, clock, book):
        status = make_status("succeeded", job_args={"books": [book, "Book:2"]}).keep_until_deleted(book)
        assert status.expires_at is None

        assert status.keep_for(DAY).kept_until_deleted is None
        book.delete()
        assert status.reload().expires_at == status.ended_at + DAY

        status.keep_until_deleted("Book:2")
        assert statuses.release("Book:2") == 1
        assert status.reload().expires_at == status.ended_at + 30 * DAY

    def test_the_deletion_of_another_thing_it_works_on_changes_nothing(self, clock, book):
        from django.contrib.auth.models import Group

        other = Group.objects.create(name="another")
        status = make_status("succeeded", job_args={"a": book, "b": other}, keep_until_deleted=book)

        other.delete()

        assert status.reload().kept_until_deleted == f"auth.Group:{book.pk}"

    def test_a_job_that_waits_for_another_thing_by_now_is_not_released(self, clock, monkeypatch):
        status = statuses.create(job_args={"books": ["Book:1", "Book:2"]}, keep_until_deleted="Book:1")
        real = scripts.label

        def slow(*arguments):
            monkeypatch.setattr(scripts, "label", real)
            statuses.at(status.id).keep_until_deleted("Book:2")
            return real(*arguments)

        monkeypatch.setattr(scripts, "label", slow)

        assert statuses.release("Book:1") == 0
        assert status.reload().kept_until_deleted == "Book:2"
        assert statuses.release("Book:2") == 1

    def test_what_another_process_waits_for_is_known_some_seconds_later(self, clock, store, monkeypatch):
        assert not keeping.is_awaited("Shelf:1")
        store.hset(keys.meta(stores.current().families[0]), "until:Shelf", 1)

        monkeypatch.setattr(keeping, "BELIEVED", -1.0)

        assert keeping.is_awaited("Shelf:1")

    def test_only_one_deletion_in_five_seconds_waits_for_a_store_that_is_away(self, clock, store, monkeypatch):
        now, asked = [100.0], []

        def away(*_, **__):
            asked.append(now[0])
            now[0] += 8.0  # longer than what is read is believed
            raise statuses.StoreUnavailable("a read", "away")

        monkeypatch.setattr(keeping.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(stores.Store, "pipeline", away)

        with pytest.raises(statuses.StoreUnavailable):
            keeping.is_awaited("Shelf:1")
        assert not keeping.is_awaited("Shelf:1")
        now[0] += 5.5
        with pytest.raises(statuses.StoreUnavailable):
            keeping.is_awaited("Shelf:1")

        assert asked == [100.0, 113.5]

    def test_a_deletion_that_is_rolled_back_changes_nothing(self, clock, book):
        from django.db import transaction

        status = make_status("succeeded", job_args={"a": book}, keep_until_deleted=book)
        key = book.pk
        with pytest.raises(RuntimeError), transaction.atomic():
            book.delete()
            raise RuntimeError

        assert status.reload().kept_until_deleted == f"auth.Group:{key}"

    def test_many_deletions_are_told_in_one_question(self, clock, monkeypatch):
        from django.contrib.auth.models import Group

        from statuses import keeping

        books = [Group.objects.create(name=f"book {number}") for number in range(20)]
        for book in books:
            make_status("succeeded", job_args={"a": book}, keep_until_deleted=book)
        told = []
        real = keeping.release
        monkeypatch.setattr(keeping, "release", lambda *texts: told.append(len(texts)) or real(*texts))

        Group.objects.filter(name__startswith="book").delete()

        assert told == [20]
        assert not [status for status in statuses.all() if status.kept_until_deleted]

    def test_what_it_does_not_work_on_is_refused(self, clock, book):
        with pytest.raises(ValueError, match="keep_until_deleted"):
            statuses.create(keep_until_deleted=book)
        with pytest.raises(ValueError, match="keep_until_deleted"):
            make_status("failed").keep_until_deleted(book)
        with pytest.raises(ValueError, match="keep_for"):
            statuses.create(job_args={"b": book}, keep_until_deleted=book, keep_for=DAY)

        assert statuses.all().count() == 1

    def test_deletions_go_on_when_the_store_is_away(self, clock, book, caplog):
        from django.contrib.auth.models import Group

        statuses.configure(url="unix:///nowhere.sock")

        book.delete()

        assert not Group.objects.exists()
        assert "nowhere" in caplog.text

    def test_it_survives_a_restart(self, clock, book):
        status = make_status("succeeded", job_args={"b": book}, keep_until_deleted=book)

        status.started()

        assert status.kept_until_deleted == f"auth.Group:{book.pk}"
