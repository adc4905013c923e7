"""What one status keeps: args, data, errors, progress, kill requests, removal."""

from datetime import timedelta

import numpy as np
import pytest

import statuses
from statuses.engines import registry
from statuses.engines.base import Engine
from statuses.failure import of_traceback
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")


class Meta:
    label = "library.Book"


class Book:
    _meta = Meta

    def __init__(self, pk):
        self.pk = pk


def test_create_keeps_everything_it_was_given():
    status = statuses.create(
        job_name="library.reindex",
        job_args={"book": "Book:53", "shelves": ["Shelf:1", "Shelf:2"]},
        queue="bulk",
        user="deploy",
        engine="celery",
        provider_job_id="abc",
        parent="above",
        depends_on=["one", "two"],
        call={"args": [1, 2.0], "kwargs": {}},
        data={"a": []},
        keep_for=timedelta(days=3),
    )

    found = statuses.find(status.id)
    assert found.job_name == "library.reindex"
    assert found.job_args == {"book": "Book:53", "shelves": ["Shelf:1", "Shelf:2"]}
    assert (found.queue, found.user, found.engine, found.provider_job_id, found.parent) == ("bulk", "deploy", "celery", "abc", "above")
    assert found.depends_on == ["one", "two"]
    assert found.call == {"args": [1, 2.0], "kwargs": {}}
    assert found.data == {"a": []}
    assert found.expires_at == found.recorded_at + timedelta(days=3)
    assert (found.state, found.attempt, found.progress, found.errors, found.worker) == ("unqueued", 0, None, [], None)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"job_name": 7}, "job_name"),
        ({"job_name": ""}, "job_name"),
        ({"queue": "x" * 1001}, "queue"),
        ({"user": "\ud800"}, "user"),
        ({"job_args": ["Book:53"]}, "job_args"),
        ({"job_args": np.array(["Book:53", "Book:54"])}, "job_args"),
        ({"job_args": {"book": 53}}, r"job_args\['book'\]"),
        ({"job_args": {7: "Book:53"}}, "job_args"),
        ({"data": {1, 2}}, "data"),
        ({"data": float("nan")}, "data"),
        ({"call": [1]}, "call"),
        ({"depends_on": "abc"}, "depends_on"),
        ({"keep_for": 7}, "keep_for"),
        ({"keep_for": timedelta(days=-1)}, "keep_for"),
        ({"state": "running"}, "state"),
        ({"id": "a:1"}, "id"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_nothing_is_kept(given, named):
    with pytest.raises((TypeError, ValueError), match=named):
        statuses.create(**given)

    assert statuses.all().count() == 0


def test_create_takes_a_state_with_its_moment():
    for state in statuses.State:
        status = statuses.create(state=state)
        assert status.state is state
        if state.moment:
            assert getattr(status, state.moment) is not None


def test_a_job_that_is_made_started_has_waited_for_nothing():
    status = statuses.create(state="started")

    assert status.wait_time == 0.0
    assert statuses.all().durations("wait_time").n == 1


def test_a_model_instance_is_kept_as_its_label_and_key():
    status = statuses.create(job_args={"book": Book(53)})

    assert status.job_args == {"book": "library.Book:53"}
    assert statuses.where(job_arg="library.Book:53").ids() == [status.id]


def test_an_unsaved_model_instance_is_refused():
    with pytest.raises(ValueError, match="never saved"):
        statuses.create(job_args={"book": Book(None)})


def test_args_that_change_are_found_by_the_new_value_only():
    status = statuses.create(job_args={"book": "Book:1"})
    other = statuses.find(status.id)
    status.set_job_args({"book": "Book:2", "too": "Book:3"})

    other.set_job_args({"book": "Book:4"})

    assert statuses.find(status.id).job_args == {"book": "Book:4"}
    assert [statuses.where(job_arg=f"Book:{n}").count() for n in (1, 2, 3, 4)] == [0, 0, 0, 1]


def test_the_provider_id_can_change_and_is_found():
    status = statuses.create(provider_job_id="one").set_provider_job_id("two")

    assert statuses.where(provider_job_id="two").ids() == [status.id]
    assert statuses.where(provider_job_id="one").count() == 0
    assert status.set_provider_job_id(None).provider_job_id is None


def test_labels_can_change():
    status = statuses.create()

    status.set_job_name("a").set_queue("b").set_user("c").set_worker("d").set_engine("e")

    assert (status.job_name, status.queue, status.user, status.worker, status.engine) == ("a", "b", "c", "d", "e")
    assert status.set_user(None).user is None
    assert statuses.where(worker="d", engine="e").count() == 1


@pytest.mark.parametrize(
    "value", [{}, [], {"a": []}, 1.0, 1e300, 2**70, "x", True, None, {"deep": [{"er": None}]}, "\ud800", "\x00", "\u2028"]
)
def test_data_is_read_back_as_json_says(value):
    status = statuses.create().save(value)

    assert status.data == value
    assert type(status.data) is type(value)
    assert statuses.find(status.id).data == value


def test_data_is_normalised_at_once():
    assert statuses.create().save({1: (2, 3)}).data == {"1": [2, 3]}


def test_data_may_be_kept_only_where_there_is_none():
    status = make_status("started")

    assert status.save([1], unless_kept=True).data == [1]
    assert status.save([2], unless_kept=True).data == [1]
    assert status.save([3]).data == [3]


def test_errors_of_any_json_are_kept_in_order():
    status = make_status("started")

    for error in ("text", {"code": "E7"}, ["a"], 7, None, {}, {"a": "b\nc"}):
        status.add_error(error)

    assert status.errors == ["text", {"code": "E7"}, ["a"], 7, None, {}, {"a": "b\nc"}]


def test_an_exception_is_kept_with_class_message_and_traceback():
    status = make_status("started")
    try:
        raise KeyError("nope")
    except KeyError as error:
        status.add_error(error)

    [kept] = status.errors
    assert kept["class"] == "KeyError"
    assert kept["message"] == "'nope'"
    assert "test_status.py" in kept["traceback"]
    assert kept["frames"][-1]["function"] == "test_an_exception_is_kept_with_class_message_and_traceback"
    assert status.error_group == "KeyError statuses/test_status.py:test_an_exception_is_kept_with_class_message_and_traceback"
    assert status.error_summary == "KeyError: 'nope'"


def test_a_message_of_a_hundred_thousand_characters_leaves_the_place_of_the_error():
    status = make_status("started")
    try:
        raise ValueError("no such book\n" * 9_000)
    except ValueError as error:
        status.add_error(error)

    kept = status.reload().errors[0]
    assert "test_status.py" in kept["traceback"] and kept["traceback"].endswith("…\n") and len(kept["traceback"]) < 6_000
    retold = of_traceback(f'Traceback (most recent call last):\n  File "/srv/shop.py", line 7, in sell\nValueError: {"no " * 30_000}')
    assert "/srv/shop.py" in retold["traceback"] and len(retold["traceback"]) < 6_000


@pytest.mark.parametrize(
    ("error", "group"),
    [
        ("disk 17 of 20 is full", "disk # of # is full"),
        ({"class": "Boom", "x": 1}, "Boom"),
        ({"type": "T"}, "T"),
        ({"code": 7}, "7"),
        ({"code": 7, "type": "T"}, "T"),
        ({"code": 7, "type": "T", "class": "Boom"}, "Boom"),
        ({"b": 1, "a": 2}, "{a, b}"),
        ([1, 2], "[list]"),
        (None, "null"),
        ("", "(empty)"),
    ],
)
def test_the_group_of_an_error_is_what_is_the_same_about_it(error, group):
    assert make_status("started").add_error(error).error_group == group


def test_the_group_is_that_of_the_last_error():
    status = make_status("started").add_error("one").add_error("two")

    assert statuses.where(error="two").count() == 1
    assert statuses.where(error="one").count() == 0
    assert status.error_group == "two"


def test_an_exception_whose_message_cannot_be_made_is_kept_all_the_same():
    class Broken(Exception):
        def __str__(self):
            raise RuntimeError

    status = make_status("started").add_error(Broken())

    assert "could not be made" in status.errors[0]["message"]


@pytest.mark.parametrize(
    ("at", "out_of", "progress"), [(0, None, 0), (1, None, 1), (0.25, None, 0.25), (7, 10, 0.7), (0, 3, 0), (3, 3, 1), (0, 0, 1)]
)
def test_progress_is_a_share(at, out_of, progress):
    status = statuses.create().set_progress(at, out_of)

    assert status.progress == progress
    assert (status.progress_at, status.progress_out_of) == (at, out_of)


@pytest.mark.parametrize(
    ("at", "out_of"), [(-0.1, None), (1.1, None), (11, 10), (-1, 10), (float("nan"), None), (1, float("inf")), (1, -1)]
)
def test_progress_out_of_bounds_is_refused(at, out_of):
    status = statuses.create().set_progress(0.5)

    with pytest.raises(ValueError, match="progress"):
        status.set_progress(at, out_of)

    assert status.progress == 0.5


@pytest.mark.parametrize(("at", "out_of"), [("1", None), (True, None), (1, "10"), (None, None)])
def test_progress_that_is_no_number_is_refused(at, out_of):
    with pytest.raises(TypeError):
        statuses.create().set_progress(at, out_of)


def test_of_a_long_message_a_thousand_characters_are_kept_and_it_says_that_there_was_more():
    status = make_status("started").set_progress(0.5, message="m" * 1000)
    assert status.progress_message == "m" * 1000

    status.set_progress(0.6, message="m" * 1001)

    assert status.progress_message == "m" * 999 + "…"


def test_a_message_stays_until_another_comes():
    status = statuses.create().set_progress(1, 3, message="page 1").set_progress(2, 3)

    assert (status.progress_message, status.progress_at) == ("page 1", 2)
    assert status.set_progress(2, 3, message="m" * 5000).progress_message == "m" * 999 + "…"
    assert status.set_progress(2, 3, message="").progress_message is None


def test_a_kill_request_keeps_the_first_time_and_changes_no_state():
    with frozen_clock() as clock:
        status = make_status("started").request_kill(by="ops", reason="wrong date")
        first = clock.now
        clock.tick(5)

        status.request_kill(by="other")

    assert (status.state, status.kill_requested, status.kill_requested_at) == ("started", True, first)
    assert (status.kill_requested_by, status.kill_reason) == ("ops", "wrong date")
    assert not status.changed


@pytest.mark.parametrize("state", ["succeeded", "failed", "killed"])
def test_a_kill_request_on_a_job_that_has_ended_changes_nothing(state):
    status = make_status(state).request_kill(by="ops", end_queued=True)

    assert not status.kill_requested
    assert status.state == state


def test_a_kill_request_on_a_waiting_job_may_end_it_in_the_same_step():
    status = make_status("queued").request_kill(by="ops", end_queued=True)

    assert status.state == "killed"
    assert status.kill_requested_by == "ops"
    assert status.killed_at is not None


def test_who_ends_a_waiting_job_that_was_asked_before_asks_no_second_time():
    status = make_status("queued").request_kill(by="ann", reason="wrong")
    first = status.kill_requested_at

    status.request_kill(by="bob", reason="now", end_queued=True)

    assert (status.state, status.kill_requested_by, status.kill_reason) == ("killed", "ann", "wrong")
    assert status.kill_requested_at == first


def test_check_kill_raises_once_it_is_asked():
    status = make_status("started")
    status.check_kill()
    statuses.find(status.id).request_kill(by="ops", reason="why")

    with pytest.raises(statuses.KillRequested, match="ops: why"):
        status.check_kill()


def test_a_kill_request_survives_a_restart_until_the_job_is_killed():
    status = make_status("started").request_kill(by="ops").started()
    assert status.kill_requested

    status.killed().started()

    assert not status.kill_requested
    assert status.kill_requested_by is None
    status.check_kill()


def test_a_job_that_was_asked_to_die_is_refused_its_start():
    asked = make_status("queued").request_kill()
    killed = make_status("killed")

    for status in (asked, killed):
        with pytest.raises(statuses.KillRequested):
            status.started(refuse_killed=True)
        assert status.state == "killed"
        assert status.started_at is None or status is killed


def test_kill_now_ends_a_waiting_job_by_our_own_word():
    assert make_status("queued").kill_now(by="ops").state == "killed"


def test_kill_now_without_an_engine_asks_and_says_what_it_cannot():
    status = make_status("started")

    with pytest.raises(statuses.EngineCannot, match="kill"):
        status.kill_now(by="ops")

    assert status.reload().kill_requested
    assert status.state == "started"


def test_retry_without_an_engine_says_so():
    with pytest.raises(statuses.EngineCannot, match="retry"):
        make_status("failed").retry()


@pytest.mark.parametrize("state", ["unqueued", "queued", "started", "killed", "unknown"])
def test_delete_of_a_job_that_is_not_completed_needs_force(state):
    status = make_status(state)

    with pytest.raises(statuses.NotCompleted, match=state):
        status.delete()
    assert statuses.find(status.id) is not None

    status.delete(force=True)
    assert statuses.find(status.id) is None


def test_delete_leaves_nothing_but_dictionaries(store):
    status = make_status("failed", id="own", job_args={"b": "B:1"}, call={"args": []}, data=1, error="x", user="u" * 90)
    status.set_progress(1, 2, message="m" * 90).started().add_error("y").failed()

    status.delete()

    left = {key.decode() for key in store.keys("*") if not key.endswith(b":list")}
    assert not [key for key in left if ":0:" in key.replace("{", "").split("}")[0]]
    assert not [key for key in left if key.rsplit(":", 1)[-1][:1] in "jldkea" and key[-1].isdigit() and "}" in key]
    assert not [key for key in left if "}x:" in key]


@pytest.mark.parametrize(
    "verb", ["queued", "started", "succeeded", "heartbeat", "requeued", "request_kill", "check_kill", "reload", "delete"]
)
def test_a_write_to_a_removed_job_revives_nothing(verb):
    status = make_status("failed")
    statuses.find(status.id).delete()

    with pytest.raises(statuses.StatusNotFound, match=status.id):
        getattr(status, verb)()

    assert statuses.find(status.id) is None
    assert statuses.all().count() == 0


def test_children_stay_and_keep_the_id_of_a_removed_parent():
    parent = make_status("succeeded")
    child = parent.spawn("child")

    parent.delete()

    assert statuses.find(child.id).parent == parent.id


def test_children_are_a_query():
    parent = make_status("started", user="u")
    made = [parent.spawn("child") for _ in range(3)]
    statuses.create(job_name="other")

    assert {child.id for child in parent.children} == {child.id for child in made}
    assert made[0].user == "u"
    assert parent.started().prior_attempts[0].children.count() == 3


def test_own_ids_are_found_and_taken_once():
    status = statuses.create(id="nightly/2026 ü", job_name="a")

    assert statuses.find("nightly/2026 ü") == status
    with pytest.raises(statuses.StatusExists, match="nightly"):
        statuses.create(id="nightly/2026 ü")
    assert statuses.all().count() == 1


def test_an_own_id_is_free_again_after_its_removal():
    statuses.create(id="own").delete(force=True)

    again = statuses.create(id="own", job_name="new")

    assert statuses.find("own").job_name == "new"
    assert statuses.all().ids() == [again.id]


def test_an_own_id_can_look_like_a_generated_one():
    real = statuses.create()
    free = real.id[:-1] + ("0" if real.id[-1] != "0" else "1")

    own = statuses.create(id=free, job_name="own")

    assert statuses.find(free).job_name == "own"
    assert statuses.find(own.id).id == free
    with pytest.raises(statuses.StatusExists):
        statuses.create(id=real.id)


def test_find_or_create_starts_in_unknown():
    made = statuses.find_or_create("mine")

    assert made.state == "unknown"
    assert statuses.find_or_create("mine") == made
    assert statuses.all().count() == 1


@pytest.mark.parametrize("id", ["", "nope", "x" * 500, "\ud800", "01a1fc99-d5b0-8000-8000-000032cfab2c", "a:1", "é"])
def test_an_id_nobody_has_finds_nothing(id):
    make_status("queued")

    assert statuses.find(id) is None


def test_a_guessed_id_finds_nothing():
    status = statuses.create()
    guessed = status.id[:-8] + f"{int(status.id[-8:], 16) ^ 1:08x}"

    assert statuses.find(guessed) is None


def test_a_handle_writes_without_reading_first():
    status = statuses.create(job_name="a")

    statuses.at(status.id).started(worker="w")

    assert statuses.find(status.id).state == "started"
    with pytest.raises(statuses.StatusNotFound):
        statuses.at("nobody")


def test_a_stale_job_is_started_and_silent():
    with frozen_clock() as clock:
        status = make_status("started")
        assert not status.is_stale
        status.heartbeat()
        clock.tick(61)

        assert status.is_stale
        assert statuses.where(stale=True).ids() == [status.id]
        assert not status.heartbeat().is_stale
        clock.tick(61)
        assert not status.failed().is_stale


def test_hostile_texts_come_back_as_they_are():
    text = "<script>alert(1)</script>' OR 1=1 -- \x00 \r\n {{7*7}} ../../etc"
    status = statuses.create(job_name=text, queue=text, user=text, job_args={text: text}, provider_job_id=text, id="own " + text)
    status.set_progress(0.5, message=text).add_error(text).save({text: text})

    found = statuses.find("own " + text)
    assert (found.job_name, found.queue, found.user, found.provider_job_id) == (text,) * 4
    assert found.job_args == {text: text} and found.errors == [text] and found.data == {text: text}
    assert statuses.where(job_name=text, job_arg=text, user=text).count() == 1


def test_a_call_can_come_after_the_job(store):
    status = statuses.create(depends_on=["one"], data={"n": 1})

    status.set_call({"args": ["Book:1"], "kwargs": {}})

    found = statuses.find(status.id)
    assert (found.call, found.depends_on, found.data) == ({"args": ["Book:1"], "kwargs": {}}, ["one"], {"n": 1})
    with pytest.raises(TypeError, match="call"):
        status.set_call({"args": [object()]})


@pytest.mark.parametrize("error", [{"traceback": "x"}, {"class": "A", "message": "b", "traceback": "c"}, {"frames": []}])
def test_an_error_that_is_no_exception_is_read_as_it_was_given(error):
    status = make_status("started").add_error(error)

    assert status.errors == [error]


def test_an_error_says_the_attempt_it_belongs_to():
    status = make_status("failed", error=ValueError("one")).started().add_error(ValueError("two"))

    assert [error["attempt"] for error in status.errors] == [1]
    assert [error["attempt"] for error in status.prior_attempts[0].errors] == [0]


def test_a_time_to_keep_and_an_instance_to_wait_for_exclude_each_other():
    with pytest.raises(ValueError, match="exclude each other"):
        statuses.create(job_args={"a": "Book:1"}, keep_until_deleted="Book:1", keep_for=timedelta(1))


class Toy(Engine):
    """Does what it says it can, and remembers it."""

    name = "toy"

    def __init__(self, can: bool) -> None:
        self.can_kill = self.can_retry = can
        self.did: list[tuple[str, str]] = []

    def revoke(self, status):
        self.did.append(("revoke", status.id))

    def kill(self, status):
        self.did.append(("kill", status.id))

    def retry(self, status, by=None):
        self.did.append(("retry", status.id))
        return status.requeued(anew=True)


class TestThroughAnEngine:
    @pytest.fixture(params=[True, False], ids=["able", "unable"])
    def toy(self, request, no_engines):
        made = Toy(request.param)
        registry.register(made)
        return made

    def test_kill_now_drops_what_waits_once(self, toy):
        status = make_status("queued", engine="toy").kill_now().kill_now()

        assert (status.state, toy.did) == ("killed", [("revoke", status.id)])

    def test_kill_now_ends_what_runs_where_its_engine_can(self, toy):
        status = make_status("started", engine="toy")

        if toy.can_kill:
            status.kill_now(by="ann")
        else:
            with pytest.raises(statuses.EngineCannot, match="toy cannot kill"):
                status.kill_now(by="ann")

        assert (status.reload().state, status.kill_requested_by) == ("started", "ann")
        assert toy.did == ([("kill", status.id)] if toy.can_kill else [])

    @pytest.mark.parametrize("end", ["succeeded", "failed"])
    def test_who_was_asked_to_die_and_ended_by_itself_is_asked_no_more_once_somebody_retries_it(self, toy, end):
        status = make_status("started", engine="toy").request_kill(by="ann", reason="too slow")
        getattr(status, end)()

        if not toy.can_retry:
            with pytest.raises(statuses.EngineCannot):
                status.retry(by="bob")
            assert status.reload().kill_requested
            return
        status.retry(by="bob").started(refuse_killed=True).check_kill()

        assert (status.reload().state, status.kill_requested, status.kill_requested_by, status.kill_reason) == (
            "started",
            False,
            None,
            None,
        )
        assert (status.prior_attempts[0].kill_requested_by, status.prior_attempts[0].kill_reason) == ("ann", "too slow")

    def test_an_attempt_that_is_over_is_not_retried(self, toy):
        status = make_status("failed", engine="toy").started().failed()

        with pytest.raises(statuses.ReadOnlyAttempt, match=":0"):
            statuses.find(f"{status.id}:0").retry()

        assert toy.did == []

    @pytest.mark.parametrize("state", statuses.State)
    def test_what_is_over_or_unknown_is_sent_again_where_its_engine_can(self, toy, state):
        status = make_status(state.value, engine="toy")

        if toy.can_retry and state in ("succeeded", "failed", "killed", "unknown"):
            assert status.retry(by="ann").state == "queued"
            assert toy.did == [("retry", status.id)]
        else:
            with pytest.raises(statuses.EngineCannot, match="cannot retry"):
                status.retry(by="ann")
            assert toy.did == []


def test_exists_honours_limit_and_offset():
    for _ in range(3):
        make_status("failed")

    assert [statuses.where(state="failed").offset(number).exists() for number in range(5)] == [True, True, True, False, False]
    assert statuses.all()[1:1].exists() is False


def test_a_request_that_was_there_changes_nothing():
    status = make_status("started")

    assert [status.request_kill().changed, status.request_kill().changed, status.failed().request_kill().changed] == [True, False, False]
