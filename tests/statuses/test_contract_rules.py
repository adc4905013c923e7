"""Rules of the contract that no other file tells, each a sentence of it."""

import inspect
import json
import re
import struct
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest

import statuses
from statuses import keys, scripts, segmentscripts
from statuses.clock import to_us
from statuses.states import COMPLETED, State
from statuses.store import Store, current
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")

FUNCTIONS = "configure create find find_or_create find_by all where track current load restore clean clear_all".split()
EXCEPTIONS = "StatusNotFound StatusExists NotCompleted KillRequested EngineCannot StoreUnavailable".split()
READ = """id state progress progress_message errors data job_name job_args queue user worker engine provider_job_id call attempt
    prior_attempts parent children depends_on recorded_at queued_at started_at succeeded_at failed_at killed_at ended_at
    kill_requested_at kill_requested_by kill_reason heartbeat_at expires_at run_time wait_time kill_requested
    is_completed is_incomplete is_ended is_unqueued is_queued is_started is_succeeded is_failed is_killed is_unknown""".split()
WRITE = {
    "unqueued": (), "queued": (), "started": (), "succeeded": (), "failed": (), "killed": (), "unknown": (), "requeued": (), "heartbeat": (),
    "set_progress": (0.7,), "add_error": ("e",), "save": ({},), "set_job_name": ("n",), "set_job_args": ({"a": "Book:1"},),
    "set_provider_job_id": ("p",), "set_queue": ("q",), "set_user": ("u",), "set_worker": ("w",), "request_kill": (), "keep_for": (None,),
}  # fmt: skip
QUERY = """where exclude order_by limit offset run first ids count exists counts counts_by durations durations_by histogram timeline report
    request_kill_all kill_now_all delete_all retry_all""".split()


class TestNames:
    @pytest.mark.parametrize("name", [*FUNCTIONS, *EXCEPTIONS, "Status", "State", "Query", "Statuses", "Changed", "Cleaned", "outputs"])
    def test_everything_the_contract_names_can_be_imported_from_statuses(self, name):
        assert name in statuses.__all__
        assert hasattr(statuses, name)

    @pytest.mark.parametrize("name", READ)
    def test_every_attribute_of_a_status_can_be_read_whatever_its_state(self, name):
        for state in State:
            getattr(make_status(state.value), name)

    @pytest.mark.parametrize("name", WRITE)
    def test_every_write_returns_the_status_itself(self, name):
        status = make_status("queued")

        assert getattr(status, name)(*WRITE[name]) is status

    @pytest.mark.parametrize("name", QUERY)
    def test_every_question_exists(self, name):
        assert callable(getattr(statuses.all(), name))

    def test_create_takes_names_only_and_just_those_of_the_contract(self):
        wanted = "job_name job_args queue user engine provider_job_id parent depends_on call data keep_for id state".split()
        found = inspect.signature(statuses.create).parameters

        assert set(wanted) <= set(found)
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in found.values())

    def test_an_unknown_argument_is_one_of_create(self):
        with pytest.raises(TypeError, match=r"^create\(\) got an unexpected keyword argument 'name'"):
            statuses.create(name="import")

    def test_every_exception_has_one_root(self):
        assert all(issubclass(getattr(statuses, name), statuses.StatusesError) for name in EXCEPTIONS)


class TestRoundTrips:
    @pytest.mark.parametrize("name", [name for name in WRITE if name != "kill_now"])
    def test_a_write_is_one_round_trip(self, name, round_trips):
        getattr(make_status("queued"), name)(*WRITE[name])
        status = make_status("queued")
        handle = statuses.at(status.id)
        round_trips.clear()

        getattr(handle, name)(*WRITE[name])

        assert len(round_trips) == 1

    def test_creating_and_finding_are_one_round_trip_each(self, round_trips):
        statuses.find(statuses.create(job_name="a", user="u").id)
        round_trips.clear()

        id = statuses.create(job_name="a", job_args={"a": "Book:1"}, data=[1], call={"args": []}, user="u", parent="p").id
        assert len(round_trips) == 1
        statuses.find(id)
        assert len(round_trips) == 2

    def test_of_many_attempts_so_many_are_read_as_are_looked_at_and_all_of_them_in_a_few_round_trips(self, round_trips):
        status = make_status("queued")
        for number in range(150):
            status.started(f"w{number}").requeued(attempt=number)
        round_trips.clear()

        newest = next(status.newest_attempts())
        read_for_one = b"".join(part for sent in round_trips for part in sent).count(b"HGETALL")
        every = status.prior_attempts

        assert (newest.id, newest.worker) == (f"{status.id}:149", "w149")
        assert [attempt.worker for attempt in every] == [f"w{number}" for number in range(150)]
        assert [attempt.attempt for attempt in status.newest_attempts()] == [*reversed(range(150))]
        assert (newest.prior_attempts, read_for_one, len(round_trips) <= 24) == ([], 1, True)

    def test_attempts_that_are_asked_for_by_their_numbers_are_two_round_trips_with_their_errors(self, round_trips):
        status = make_status("queued")
        for number in range(5):
            status.started(f"w{number}").failed(error=f"wrong {number}").requeued()
        status = statuses.find(status.id)
        round_trips.clear()

        last, _, first, never, present = status.attempts_at([4, 2, 0, 7, 5])

        assert [(one.id, one.worker, one.errors) for one in (last, first)] == [
            (f"{status.id}:4", "w4", ["wrong 4"]), (f"{status.id}:0", "w0", ["wrong 0"])
        ]  # fmt: skip
        assert (never, present, first.attempts_at([0]), status.attempts_at([]), len(round_trips)) == (None, None, [None], [], 2)

    def test_a_question_is_two_round_trips_and_one_when_nothing_changed(self, round_trips):
        make_status("failed")
        statuses.where(state="failed").counts()
        make_status("failed")
        round_trips.clear()

        statuses.where(state="failed").counts()
        assert len(round_trips) == 2
        statuses.where(state="failed").counts()
        assert len(round_trips) == 3

    def test_a_bulk_verb_touches_at_most_750_keys_of_jobs_in_a_call(self, monkeypatch):
        monkeypatch.setattr(Store, "is_cluster", True)
        for verb, arguments in [*((verb, ()) for verb in segmentscripts.BULK_ROWS), ("kill", ("ops", "r" * 65))]:
            packed = segmentscripts.bulk_rows((row, 1) for row in range(segmentscripts.bulk_size(verb, arguments)))
            names, _ = segmentscripts.bulk_call(current(), 0, 0, verb, packed, "1", arguments)
            assert len(names) == len(set(names)) <= 780, verb


class TestChildren:
    @pytest.mark.parametrize("of", [lambda: nullcontext(make_status("started")), lambda: statuses.track("a")], ids=["a status", "a block"])
    def test_a_child_has_the_parent_that_spawned_it_and_no_other(self, of):
        with of() as parent, pytest.raises(TypeError, match="'parent'"):
            parent.spawn("part", parent="other")

        assert statuses.where(parent=parent.id).count() == statuses.where(parent="other").count() == 0


class TestStates:
    def test_is_incomplete_holds_unknown_and_the_clause_does_not(self):
        unknown, killed = make_status("unknown"), make_status("killed")

        assert unknown.is_incomplete and killed.is_incomplete
        assert statuses.where(state="incomplete").ids() == [killed.id]

    def test_an_end_before_the_start_gives_no_run_time(self):
        with frozen_clock() as clock:
            status = statuses.create().failed()
            clock.tick()
            status.started().failed()

        assert (status.ended_at < status.started_at, status.run_time) == (True, None)
        assert statuses.all().durations("run_time").n == 0

    def test_a_restart_keeps_what_belongs_to_the_job_and_nothing_else(self):
        with frozen_clock() as clock:
            status = statuses.create(
                job_name="n", job_args={"a": "Book:1"}, provider_job_id="p", queue="q", user="u", engine="e", parent="top",
                call={"args": [1], "kwargs": {}}, depends_on=["d"], keep_for=timedelta(days=3), data={"n": 1},
            )  # fmt: skip
            child = status.spawn("child")
            clock.tick()
            status.queued()
            clock.tick()
            status.started(worker="w").heartbeat().set_progress(1, 2, message="m").add_error("e").failed()
            clock.tick()
            before = status.reload()
            kept = {n: getattr(before, n) for n in "job_name job_args provider_job_id queue user engine parent call depends_on".split()}
            kept |= {
                "recorded_at": before.recorded_at,
                "queued_at": before.queued_at,
                "expires_at": clock.now - timedelta(seconds=3) + timedelta(3),
            }

            status.started()

        assert {name: getattr(status, name) for name in kept} == kept
        assert status.children.ids() == [child.id]
        assert (status.attempt, status.state, status.started_at) == (1, "started", clock.now)
        gone = "worker progress progress_message data failed_at ended_at run_time heartbeat_at error_summary error_group".split()
        assert [name for name in gone if getattr(status, name) is not None] == []
        assert status.errors == []

    def test_an_archived_attempt_is_what_it_was(self):
        with frozen_clock() as clock:
            status = make_status("started", data={"n": 1}, provider_job_id="first")
            status.set_progress(1, 2, message="half").add_error("e").heartbeat()
            clock.tick(7)
            status.request_kill(by="ops", reason="r" * 99).failed()
            names = "kill_requested_at kill_requested_by kill_reason state progress progress_message errors data worker provider_job_id started_at failed_at run_time wait_time heartbeat_at".split()
            was = {name: getattr(status, name) for name in names}
            clock.tick(5)
            status.started(worker="other").set_provider_job_id("second").save({"n": 2}).add_error("f").succeeded()

        (prior,) = status.prior_attempts
        assert {name: getattr(prior, name) for name in names} == was
        assert (prior.id, prior.attempt) == (f"{status.id}:0", 0)

    def test_a_killed_job_that_never_started_and_goes_on_is_not_asked_to_die_again(self):
        status = make_status("queued").request_kill(by="ops", reason="r", end_queued=True)
        assert status.kill_requested_by == "ops"

        status.started()

        assert not status.kill_requested
        assert (status.kill_requested_by, status.kill_reason) == (None, None)
        status.check_kill()

    @pytest.mark.parametrize("verb", ["queued", "unqueued", "unknown", "requeued", "started"])
    def test_a_killed_job_that_goes_on_can_be_asked_again(self, verb):
        with frozen_clock() as clock:
            status = make_status("queued").request_kill(by="ops", end_queued=True)
            clock.tick()
            getattr(status, verb)()
            assert not status.kill_requested

            status.request_kill(by="again")

        assert status.changed and status.kill_requested_by == "again"
        with pytest.raises(statuses.KillRequested):
            status.check_kill()

    def test_it_can_be_asked_again_in_the_very_moment_it_goes_on(self):
        with frozen_clock():
            status = make_status("queued").request_kill(end_queued=True).queued().request_kill(by="again")

            with pytest.raises(statuses.KillRequested):
                status.started(refuse_killed=True)

        assert status.reload().state == "killed"

    def test_a_kill_request_of_a_job_that_was_killed_before_survives_its_restart(self):
        status = make_status("queued").request_kill(end_queued=True).queued().started()

        status.request_kill(by="ops").started()

        assert (status.attempt, status.kill_requested_by) == (1, "ops")

    def test_a_job_that_was_killed_while_it_runs_hears_it(self):
        status = make_status("started").request_kill(by="ops").killed()

        with pytest.raises(statuses.KillRequested, match="ops"):
            status.check_kill()

    def test_a_request_that_led_to_its_end_refuses_no_later_start(self):
        status = make_status("started").request_kill().killed().failed().started(refuse_killed=True)

        assert (status.state, status.attempt, status.kill_requested) == ("started", 1, False)

    def test_moments_go_on_where_the_servers_clock_goes_back(self, store):
        status = make_status("queued")
        key = keys.version(keys.segment(current().families[0], 0))
        ahead = struct.unpack("<Q", store.getrange(key, 0, 7))[0] + 3_600_000_000
        store.setrange(key, 0, struct.pack("<Q", ahead))

        status.started().succeeded()
        later = statuses.create()

        moments = [to_us(at) for at in (status.started_at, status.succeeded_at, later.recorded_at)]
        assert moments == [ahead + 1, ahead + 2, ahead + 3]
        assert status.run_time == 1e-6
        assert statuses.all().ids()[0] == later.id

    def test_a_late_end_of_a_killed_job_keeps_who_asked(self):
        status = make_status("started").request_kill(by="ops").killed().succeeded()

        assert (status.state, status.kill_requested_by) == ("succeeded", "ops")

    @pytest.mark.parametrize("state", [state for state in State if state not in COMPLETED])
    def test_a_job_that_restarted_since_it_was_chosen_is_skipped_by_a_removal(self, state):
        chosen = [make_status("failed") for _ in range(3)]
        page = statuses.where(state="failed").run()
        getattr(chosen[0], state.value)()

        done = page.delete_all()

        assert (done.changed, done.skipped) == (2, 1)
        assert statuses.all().ids() == [chosen[0].id]


class TestRemoval:
    def test_prior_attempts_go_with_it(self, store):
        status = make_status("failed", data=[1], error="e").started().failed()
        status.delete()

        assert statuses.find(f"{status.id}:0") is None
        assert not [key for key in store.keys("*") if re.search(rb"}0:a\d", key)]

    @pytest.mark.parametrize("id", ["own", None])
    def test_a_removed_job_that_can_be_restored_is_gone_for_everybody(self, id):
        status = make_status("failed", id=id)
        statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))

        assert statuses.find(status.id) is None and statuses.where(id=status.id).count() == 0
        for verb in (status.started, status.delete, status.reload, lambda: status.delete(force=True)):
            with pytest.raises(statuses.StatusNotFound):
                verb()

    def test_a_removed_job_that_can_be_restored_is_in_no_answer(self):
        given = {"job_args": {"book": "Book:1"}, "queue": "q"}
        make_status("succeeded", job_name="gone", **given)
        kept = make_status("succeeded", job_name="kept", **given)
        statuses.where(job_name="gone").delete_all(only_ended=True, undo_for=timedelta(minutes=1))

        for query in (statuses.all(), statuses.where(queue="q"), statuses.where(job_arg="Book:1"), statuses.where(started_at=(None, None))):
            assert query.ids() == [kept.id] and query.count() == 1
            assert [facet.value for facet in query.counts_by("job_name")] == ["kept"]
            assert [facet.total for facet in query.counts_by("job_arg")] == [1]
            assert query.durations("run_time").n == sum(one.n for one in query.histogram("run_time")) == 1
            assert list(query.durations_by("job_name", "run_time")) == ["kept"]
            assert sum(sum(bucket.counts.values()) for bucket in query.timeline(buckets=1)) == 1
            assert query.report(count=True).total == 1
        assert not statuses.where(job_name="gone").exists()

    @pytest.mark.parametrize(("seconds", "restored"), [(599, 1), (600, 0), (86_400, 0)])
    def test_a_removal_is_taken_back_within_its_time_though_nobody_cleaned_since(self, seconds, restored):
        with frozen_clock() as clock:
            make_status("failed")
            token = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10)).undo
            clock.tick(seconds)

            done = statuses.restore(token)

        assert (done.changed, done.missing, statuses.all().count()) == (restored, 1 - restored, restored)

    def test_nothing_is_restored_over_a_job_that_has_the_id_by_now(self):
        make_status("failed", id="own", job_name="old")
        removal = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))
        statuses.create(id="own", job_name="new")

        done = statuses.restore(removal.undo)

        assert (done.changed, done.missing) == (0, 1)
        assert [status.job_name for status in statuses.where(id="own")] == ["new"] == [status.job_name for status in statuses.all()]

    def test_a_removal_that_becomes_final_leaves_the_job_that_has_the_id_by_now(self):
        with frozen_clock() as clock:
            make_status("failed", id="own", job_name="old")
            statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))
            statuses.create(id="own", job_name="new")
            clock.tick(61)

            assert statuses.clean().swept == 1

        assert statuses.find("own").job_name == "new"
        with pytest.raises(statuses.StatusExists):
            statuses.create(id="own")

    def test_a_job_whose_id_is_free_again_is_restored(self):
        make_status("failed", id="own", job_name="old")
        removal = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))
        statuses.create(id="own", job_name="new", state="failed").delete()

        assert statuses.restore(removal.undo).changed == 1
        assert statuses.find("own").job_name == "old"
        with pytest.raises(statuses.StatusExists):
            statuses.create(id="own")

    def test_the_sweeper_leaves_what_was_restored_in_the_last_moment(self):
        with frozen_clock() as clock:
            status = make_status("failed")
            removal = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))
            place = status._place()
            clock.tick(59)
            statuses.restore(removal.undo)
            clock.tick(1)

            answer = segmentscripts.bulk(current(), 0, 0, "sweep", segmentscripts.bulk_rows([(place.row, place.random)]), "1234567")

        assert answer == b"."
        assert statuses.find(status.id) is not None

    def test_clear_all_says_how_many_there_were_and_ids_are_free(self):
        statuses.create(id="own")
        statuses.create()

        assert statuses.clear_all() == 2
        assert statuses.create(id="own").state == "unqueued"
        assert statuses.all().count() == 1


class TestArguments:
    def test_an_id_has_1_to_200_characters(self):
        assert statuses.find(statuses.create(id="ü" * 200).id) is not None
        assert statuses.find(statuses.find_or_create("x").id) is not None
        for id in ("", "x" * 201, "x:0", ":7"):
            with pytest.raises(ValueError, match="id"):
                statuses.create(id=id)
            with pytest.raises(ValueError, match="id"):
                statuses.find_or_create(id)

    def test_a_loaded_job_never_takes_an_id_that_exists(self):
        generated, own = statuses.create().id, statuses.create(id="own").id

        for id in (generated, own):
            with pytest.raises(statuses.StatusExists):
                statuses.load([{"job_name": "a"}, {"id": id}])
        assert statuses.all().count() == 2

    def test_a_job_of_another_store_keeps_its_id_and_can_be_written_to(self):
        id = statuses.create(job_name="exported").id
        statuses.clear_all()
        statuses.create()
        statuses.load([{"id": id, "job_name": "imported"}])

        statuses.at(id).started().save([1]).failed()
        handle = statuses.at(id)

        assert (handle.job_name, handle.state, handle.data) == ("imported", "failed", [1])
        statuses.at(id).delete()
        assert statuses.find(id) is None

    def test_a_call_is_kept_and_not_searched(self):
        status = statuses.create(call={"args": ["Book:1"], "kwargs": {"b": {"c": [1.0]}}})

        assert statuses.find(status.id).call == {"args": ["Book:1"], "kwargs": {"b": {"c": [1.0]}}}
        assert statuses.where(job_arg="Book:1").count() == 0

    def test_saving_none_keeps_nothing(self):
        status = make_status("started", data=[1]).save(None)

        assert status.data is None
        assert status.succeeded(data=[2]).data == [2]

    @pytest.mark.parametrize("bad", [float("nan"), {1, 2}, object(), b"x"])
    def test_what_is_no_json_is_refused_and_nothing_changes(self, bad):
        status = make_status("started", data=[1], error="e")

        for verb in (status.save, status.add_error, lambda value: status.succeeded(data=value)):
            with pytest.raises((TypeError, ValueError)):
                verb(bad)
        assert (status.reload().data, status.errors, status.state) == ([1], ["e"], "started")

    def test_keep_for_none_is_the_policy_again(self):
        with frozen_clock() as clock:
            status = make_status("succeeded").keep_for(timedelta(days=1))
            assert status.expires_at == clock.now + timedelta(days=1)

            assert status.keep_for(None).expires_at == clock.now + timedelta(days=30)

    def test_moments_are_aware_and_spans_seconds(self):
        with frozen_clock(datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)) as clock:
            status = make_status("started")
            clock.tick(1.5)
            status.succeeded()

        assert status.recorded_at == datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
        assert status.recorded_at.utcoffset() == timedelta(0)
        assert (status.run_time, status.wait_time) == (1.5, 0.0)


class TestErrors:
    def test_errors_have_one_group_more_when_their_dictionary_is_full(self, monkeypatch):
        monkeypatch.setattr(scripts, "LIMIT", 3)
        for word in ("one", "two", "three", "four", "five"):
            make_status("failed", error=word)

        found = {facet.value: facet.total for facet in statuses.all().counts_by("error")}

        assert found == {"one": 1, "two": 1, "three": 1, "(other)": 2}

    def test_the_group_of_an_exception_is_its_class_and_the_innermost_place_of_ones_own_code(self):
        def mine():
            json.loads("{")

        status = make_status("started")
        try:
            mine()
        except ValueError as error:
            status.add_error(error)

        assert status.error_group == "json.decoder.JSONDecodeError statuses/test_contract_rules.py:mine"

    def test_only_the_present_attempt_counts(self):
        status = make_status("failed", error="boom").started()

        assert statuses.all().counts_by("error") == []
        assert statuses.where(error="boom").count() == 0
        assert status.errors == []


class TestFamily:
    def test_a_child_has_its_parents_user_and_queue_unless_told_otherwise(self):
        parent = statuses.create(user="ann", queue="q")

        child, other = parent.spawn("part"), parent.spawn("part", user="bob")

        assert (child.parent, child.user, child.queue, child.job_name) == (parent.id, "ann", "q", "part")
        assert other.user == "bob"
        assert set(parent.children.ids()) == {child.id, other.id}

    def test_anyone_can_list_their_own(self):
        mine = [statuses.create(user="ann").id for _ in range(2)]
        statuses.create(user="bob")

        assert statuses.where(user="ann").ids() == mine[::-1]

    def test_find_by_gives_the_newest_or_nothing(self):
        statuses.create(job_name="a")
        newest = statuses.create(job_name="a")

        assert statuses.find_by(job_name="a") == newest
        assert statuses.find_by(job_name="b") is None


class TestPages:
    def test_statuses_are_a_list_of_loaded_jobs(self, round_trips):
        made = [make_status("failed", job_name=f"n{number}") for number in range(3)][::-1]
        page = statuses.all().limit(2).run()
        round_trips.clear()

        assert isinstance(page, statuses.Statuses)
        assert (len(page), page[0], page[:1].ids(), list(page)) == (2, made[0], [made[0].id], made[:2])
        assert [status.job_name for status in page] == ["n2", "n1"]
        assert round_trips == []
        assert page.next is not None
