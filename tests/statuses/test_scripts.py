"""Each script, code by code, as its header promises."""

import re
import struct
from datetime import timedelta

import pytest

import statuses
from statuses import encoding, ids, keys, lines, scripts, segmentscripts
from statuses import store as stores
from statuses.columns import SEGMENT_ROWS
from statuses.lua import source
from statuses.states import CODES, State
from statuses.store import FORMAT, token
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")
ANY = (None, None)


@pytest.fixture
def here(store):
    return stores.current()


def new(own_id: str | None = None, state: State = State.queued, **more) -> scripts.NewRow:
    given = {
        "texts": ("a", None, None, None),
        "keep_for_us": None,
        "fields": {"i": own_id} if own_id else {},
        "tags": [],
        "call": None,
        "data": None,
    }
    return scripts.NewRow(state=state, own_id=own_id, random=ids.new_random(), **{**given, **more})


def prefix(here, segment=0):
    return keys.segment(here.families[0], segment)


def version(here, segment=0) -> int:
    return struct.unpack("<Q", here.read("GET", keys.version(prefix(here, segment)))[:8])[0]


def test_every_script_runs_by_its_hash_and_is_sent_when_redis_does_not_know_it(here, store):
    store.script_flush()

    place, _ = scripts.create(here, 0, new())

    assert store.script_exists(source.sha("create")) == [True]
    assert place.row == 0


@pytest.mark.parametrize("name", ["create", "start", "move", "finish", "relay"])
def test_what_every_job_goes_through_makes_functions_in_branches_only(name):
    text = re.sub(r"--.*|'[^']*'", "", source.text(name))
    depth, made_at = 0, []
    for word in re.findall(r"\b(?:if|function|do|end)\b", text):
        if word == "function":
            made_at.append(depth)
        depth += -1 if word == "end" else 1

    assert depth == 0 and made_at and min(made_at) > 0


class TestSegment:
    def test_the_first_one_makes_the_store(self, here):
        assert segmentscripts.open_segment(here, 0, 0) == 0
        meta = here.read("HGETALL", keys.meta(here.families[0]))
        assert meta[b"format"] == str(FORMAT).encode() and meta[b"current"] == b"0" and meta[b"families"] == b"1"

    def test_a_later_one_of_a_store_that_is_not_there_is_refused(self, here):
        assert segmentscripts.open_segment(here, 0, 5) == -1

    def test_opening_an_open_one_changes_nothing(self, here):
        segmentscripts.open_segment(here, 0, 0)
        scripts.create(here, 0, new())

        assert segmentscripts.open_segment(here, 0, 0) == 0
        assert here.read("GET", keys.rows(prefix(here))) == b"1"

    def test_only_the_next_one_can_be_opened(self, here):
        segmentscripts.open_segment(here, 0, 0)

        assert segmentscripts.open_segment(here, 0, 2) == 0
        assert segmentscripts.open_segment(here, 0, 1) == 1

    def test_a_newer_format_is_refused(self, here, store):
        segmentscripts.open_segment(here, 0, 0)
        store.hset(keys.meta(here.families[0]), "format", FORMAT + 1)

        with pytest.raises(statuses.StoreFormat, match=str(FORMAT + 1)):
            segmentscripts.open_segment(here, 0, 1)

    def test_columns_are_made_in_full_length(self, here, store):
        segmentscripts.open_segment(here, 0, 0)

        assert store.strlen(prefix(here) + "st") == SEGMENT_ROWS
        assert store.strlen(prefix(here) + "nm") == SEGMENT_ROWS * 4
        assert store.strlen(prefix(here) + "recorded_at") == SEGMENT_ROWS * 8
        assert not store.exists(prefix(here) + "failed_at")


class TestCreate:
    def arguments(self, here, row, write_token, retry=b"0"):
        fixed = scripts._NEW.pack(retry, write_token, 0 if row.own_id else row.random, CODES[row.state], 0, 0, 0)
        texts = scripts._new_texts(65000, 65000, "a", None, None, None)
        return [fixed + texts + scripts._short("-" if row.own_id else "") + scripts._short(""), ""]

    def names(self, here, row):
        return [keys.version(prefix(here)), *([keys.alias(here.families[0], row.own_id)] if row.own_id else [])]

    def test_a_segment_that_is_not_there_is_code_0(self, here):
        assert here.script("create", self.names(here, new()), self.arguments(here, new(), token())) == [0]

    def test_a_full_segment_is_code_minus_1_and_create_moves_on(self, here, store):
        segmentscripts.open_segment(here, 0, 0)
        store.set(keys.rows(prefix(here)), SEGMENT_ROWS)

        assert here.script("create", self.names(here, new()), self.arguments(here, new(), token())) == [-1]
        place, _ = scripts.create(here, 0, new())
        assert (place.segment, place.row) == (1, 0)

    def test_a_taken_id_is_code_minus_2_with_its_place(self, here):
        scripts.create(here, 0, new("own"))

        assert here.script("create", self.names(here, new("own")), self.arguments(here, new("own"), token())) == [-2, b"0 0"]

    @pytest.mark.parametrize("own_id", [None, "own"])
    def test_sent_twice_it_is_applied_once(self, here, own_id):
        scripts.create(here, 0, new())
        row, write_token = new(own_id), token()
        first = here.script("create", self.names(here, row), self.arguments(here, row, write_token))

        again = here.script("create", self.names(here, row), self.arguments(here, row, write_token, retry=b"1"))

        assert again == first
        assert here.read("GET", keys.rows(prefix(here))) == b"2"

    def test_a_second_sending_whose_first_was_lost_is_applied(self, here):
        segmentscripts.open_segment(here, 0, 0)
        row = new()

        assert here.script("create", self.names(here, row), self.arguments(here, row, token(), retry=b"1"))[8:] == b"0"

    def test_moments_of_a_segment_never_repeat(self, here):
        recorded = [scripts.create(here, 0, new())[1] for _ in range(300)]

        assert recorded == sorted(set(recorded))

    def test_a_full_dictionary_takes_other(self, here, monkeypatch):
        monkeypatch.setattr(scripts, "LIMIT", 3)
        for name in "abcdef":
            scripts.create(here, 0, new(texts=(name, None, None, None)))

        assert here.read("LRANGE", keys.texts(here.families[0], "names"), 0, -1) == [b"a", b"b", b"c", b"(other)"]
        assert statuses.where(job_name="(other)").count() == 3


class TestMove:
    def test_codes(self, here):
        place, _ = scripts.create(here, 0, new())

        assert scripts.move(here, place, "x", State.failed, ANY)
        assert not scripts.move(here, place, "x", State.failed, ANY)
        assert not scripts.move(here, place, "x", State.queued, (7, None))
        assert not scripts.move(here, place, "x", State.queued, (None, [State.started]))
        with pytest.raises(statuses.StatusNotFound):
            scripts.move(here, ids.Place(0, 0, place.row, place.random ^ 1), "x", State.queued, ANY)
        with pytest.raises(statuses.StatusNotFound):
            scripts.move(here, ids.Place(0, 9, 0, 1), "x", State.queued, ANY)

    def test_a_row_of_another_own_id_is_not_the_job(self, here):
        place, _ = scripts.create(here, 0, new("mine"))
        mine = ids.Place(0, 0, place.row, 0, "mine")

        with pytest.raises(statuses.StatusNotFound):
            scripts.move(here, ids.Place(0, 0, place.row, 0, "another"), "another", State.failed, ANY)
        assert scripts.move(here, mine, "mine", State.failed, ANY)

    def test_a_change_moves_the_version_and_nothing_else_does(self, here):
        place, _ = scripts.create(here, 0, new())
        before = version(here)

        scripts.move(here, place, "x", State.queued, ANY)
        scripts.note(here, place, "x", {"g": "0.5"}, heartbeat=True)
        assert version(here) == before
        scripts.move(here, place, "x", State.failed, ANY)

        assert version(here) > before


class TestStartAndRequeue:
    def test_start_codes(self, here):
        place, _ = scripts.create(here, 0, new())

        assert scripts.start(here, place, "x", "w", ANY, False) == (True, 0)
        assert scripts.start(here, place, "x", "w", (0, None), False) == (False, 0)
        assert scripts.start(here, place, "x", "w", ANY, False) == (True, 1)
        scripts.request_kill(here, place, "x", None, None, False)
        with pytest.raises(statuses.KillRequested):
            scripts.start(here, place, "x", "w", ANY, True)

    @pytest.mark.parametrize("script", ["start", "requeue"])
    def test_sent_twice_it_archives_once(self, here, script):
        place, _ = scripts.create(here, 0, new())
        scripts.start(here, place, "x", None, ANY, False)
        first = scripts._verb(place, token(), ANY, 0) if script == "start" else [*scripts._row(place, token()), "", "", "", 2]
        again = source.again(first, 0 if script == "start" else 5)

        here.script(script, scripts._names(here, place), first)
        here.script(script, scripts._names(here, place), again)

        assert here.read("HGET", keys.job(prefix(here), 0), "n") == b"1"
        assert here.read("EXISTS", keys.attempt(prefix(here), 0, 0), keys.attempt(prefix(here), 0, 1)) == 1

    def test_requeue_codes(self, here):
        place, _ = scripts.create(here, 0, new())

        assert scripts.requeue(here, place, "x", ANY) == (False, 0)
        scripts.move(here, place, "x", State.killed, ANY)
        assert scripts.requeue(here, place, "x", (3, None)) == (False, 0)
        assert scripts.requeue(here, place, "x", ANY) == (True, 1)


class TestError:
    def test_sent_twice_it_is_kept_once_and_twice_the_same_is_kept_twice(self, here):
        place, _ = scripts.create(here, 0, new())
        names = scripts._names(here, place, ("error",))
        write_token = token()
        tail = ['"e"', "e", "e", 65000, write_token.hex(), ""]

        here.script("error", names, [*scripts._row(place, write_token), "", *tail])
        here.script("error", names, [*scripts._row(place, write_token), "1", *tail])
        assert scripts.add_error(here, place, "x", '"e"', "e", "e")

        assert here.read("GET", keys.errors(prefix(here), 0)).count(b"\n") == 2

    def test_an_error_of_another_attempt_is_not_kept(self, here):
        place, _ = scripts.create(here, 0, new())

        assert not scripts.add_error(here, place, "x", '"e"', "e", "e", attempt=1)
        assert here.read("GET", keys.errors(prefix(here), 0)) is None


def test_close_ends_an_archived_attempt_once_and_leaves_the_present_one(here):
    place, _ = scripts.create(here, 0, new())
    close = lambda attempt, place=place: scripts.close(here, place, "x", attempt, State.failed, ('"e"', "Boom", "Boom: e"), None)  # noqa: E731
    none = [close(0), close(7)]
    for _ in range(2):
        scripts.start(here, place, "x", None, ANY, False)
    before = version(here)

    assert none == [False, False]
    assert [close(0), close(0), close(1)] == [True, False, False]
    assert version(here) == before
    with pytest.raises(statuses.StatusNotFound):
        close(0, ids.Place(0, 0, 5, 5))


def test_kill_says_what_it_did(here):
    place, _ = scripts.create(here, 0, new())
    ask = lambda **more: scripts.request_kill(here, place, "x", "ops", None, **{"end_queued": False, **more})  # noqa: E731

    assert [ask(), ask(), ask(end_queued=True), ask()] == ["requested", "already", "killed", "ended"]
    with pytest.raises(statuses.StatusNotFound):
        scripts.request_kill(here, ids.Place(0, 0, 5, 5), "x", None, None, False)


def test_tag_says_what_the_field_holds(here):
    place, _ = scripts.create(here, 0, new(fields={"p": "one"}, tags=[("p", "one")]))

    with pytest.raises(scripts.FieldMoved) as moved:
        scripts.retag(here, place, "x", "p", ("other", []), ("two", [("p", "two")]))
    assert moved.value.present == "one"
    scripts.retag(here, place, "x", "p", ("one", [("p", "one")]), ("two", [("p", "two")]))

    assert statuses.where(provider_job_id="two").count() == 1


def test_bulk_answers_a_byte_a_row(here):
    places = [scripts.create(here, 0, new(state=state))[0] for state in State]
    rows = segmentscripts.bulk_rows((place.row, place.random) for place in places)
    until = segmentscripts.stamp(here, 0, 600_000_000)
    others = segmentscripts.bulk_rows((place.row, place.random ^ 1) for place in places)

    assert segmentscripts.bulk(here, 0, 0, "kill", rows, "1237", "ops", "", "") == b"+++DEF+"
    assert segmentscripts.bulk(here, 0, 0, "kill", rows, "1237", "ops", "", "1") == b"kk=DEF="
    assert segmentscripts.bulk(here, 0, 0, "remove", rows, "456", until) == b"++C+++G"
    assert segmentscripts.bulk(here, 0, 0, "remove", rows, "456", until) == b"..C...G"
    assert segmentscripts.bulk(here, 0, 0, "restore", rows[: 4 * segmentscripts.BULK_ROW.size], "", until - 1) == b"...."
    assert segmentscripts.bulk(here, 0, 0, "restore", rows, "", until) == b"++.+++."
    assert segmentscripts.bulk(here, 0, 0, "delete", others, "1234567") == b"......."
    assert segmentscripts.bulk(here, 0, 0, "delete", rows, "45") == b"FFC++FG"
    assert segmentscripts.bulk(here, 0, 3, "delete", rows, "45") == b"......."


def test_reserve_gives_what_is_left_of_a_segment(here, store):
    segmentscripts.open_segment(here, 0, 0)
    store.set(keys.rows(prefix(here)), SEGMENT_ROWS - 3)

    assert segmentscripts.reserve(here, 0, 500) == (0, SEGMENT_ROWS - 3, 3)
    assert segmentscripts.reserve(here, 0, 500) == (1, 0, 500)


def test_load_into_a_segment_that_is_gone_is_code_0(here):
    rows = segmentscripts.NewRows(family=0, segment=4, first=0, own_ids={}, states=b"\x02", bounds=bytes(128), packed=[0] * 9)

    with pytest.raises(statuses.StoreCleared):
        segmentscripts.load(here, rows, {})


def test_stamps_are_never_the_same(here):
    segmentscripts.open_segment(here, 0, 0)

    assert len({segmentscripts.stamp(here, 0, 10) for _ in range(50)}) == 50


def test_either_of_the_newest_two_bulk_calls_that_is_sent_again_says_what_it_did(here):
    made = [make_status("failed")._place() for _ in range(3)]
    calls = [
        segmentscripts.bulk_call(here, 0, 0, "delete", segmentscripts.bulk_rows([(place.row, place.random)]), "5", ()) for place in made
    ]

    def again(number):
        names, arguments = calls[number]
        return here.script("bulk", names, [*arguments[:8], "1"])

    assert [here.script("bulk", *call) for call in calls] == [b"+"] * 3
    assert [again(number) for number in range(3)] == [b".", b"+", b"+"]


def test_a_dropped_segment_never_comes_back(here, store):
    place, _ = scripts.create(here, 0, new())
    statuses.clear_all()

    for write in (
        lambda: scripts.move(here, place, "x", State.failed, ANY),
        lambda: scripts.start(here, place, "x", None, ANY, False),
        lambda: scripts.note(here, place, "x", {"g": "1"}, heartbeat=True),
        lambda: scripts.add_error(here, place, "x", '"e"', "e", "e"),
        lambda: scripts.label(here, place, "x", {"queue": "q"}),
    ):
        with pytest.raises(statuses.StatusNotFound):
            write()

    assert not [key for key in store.keys("*") if b"}0:" in key]


def test_on_a_cluster_each_script_declares_what_it_touches(here, store, monkeypatch):
    monkeypatch.setattr(stores.Store, "is_cluster", True)
    resources = {"job_args": {"book": "Book:1"}, "provider_job_id": "p", "call": {"args": []}, "data": [1]}
    status = statuses.create(**resources)
    declared, touched = set(), set()
    send = here._evalsha
    monkeypatch.setattr(here, "_evalsha", lambda name, given, *more: declared.update(given) or send(name, given, *more))

    with store.monitor() as monitor:
        statuses.create(job_name="a", queue="q", user="u", engine="e")
        status.queued().started(worker="w", alive=True).set_progress(1, message="m" * 100).add_error("e" * 100).save([2])
        status.set_queue("r").keep_for(None).set_provider_job_id("o").set_call({"args": [1]}).heartbeat().failed(error=ValueError("x"))
        status.started().request_kill(by="b", reason="r" * 100).killed().queued().requeued(ran=True, failed=True)
        statuses.all().request_kill_all(by="b", reason="s" * 100)
        statuses.create(job_name="other", state="failed")
        statuses.restore(statuses.where(job_name="other").delete_all(only_ended=True, undo_for=timedelta(minutes=1)).undo)
        statuses.find(status.id).delete(force=True)
        store.echo("that is all")
        while (heard := monitor.next_command())["command"] != "ECHO that is all":
            if heard["client_type"] == "lua":
                touched.update(word for word in heard["command"].split(" ") if word.startswith(here.families[0]))

    attempts = {name for name in touched if re.fullmatch(rf"{re.escape(prefix(here))}a\d+:\d+[de]?", name)}
    assert len(touched) > 40 and len(attempts) > 3
    assert touched - attempts - declared == set()


def test_elsewhere_a_verb_on_many_and_a_read_send_two_keys_and_seven(here, monkeypatch):
    made = [make_status("started", error="e" * 100) for _ in range(3)]
    pack, sent = lines._pack, []
    monkeypatch.setattr(lines, "_pack", lambda line, commands: sent.extend(commands) or pack(line, commands))

    assert statuses.all().request_kill_all(by="ops", reason="r" * 100).changed == 3
    assert statuses.find(made[0].id).kill_reason == "r" * 100
    assert statuses.all().delete_all(force=True).changed == 3

    names = {source.sha(name): name for name in ("bulk", "read")}
    assert [(names[words[1]], words[2]) for words in sent if words[0] == "EVALSHA"] == [("bulk", "2"), ("read", "7"), ("bulk", "2")]


def test_elsewhere_a_write_sends_the_few_keys_that_are_no_part_of_the_segment(here, monkeypatch):
    send, sent = here._evalsha, {}
    monkeypatch.setattr(here, "_evalsha", lambda name, given, *more: sent.update({name: len(given)}) or send(name, given, *more))

    statuses.create(job_name="a", job_args={"book": "Book:1"}, provider_job_id="p").started(worker="w").succeeded()

    assert sent == {"segment": 28, "create": 3, "start": 1, "move": 1}


class TestArguments:
    def ask(self, here, rows, most=1000):
        return here.script("arguments", [keys.version(prefix(here))], [struct.pack(f"<{len(rows)}H", *rows), most], primary=False)

    def test_rows_come_in_the_order_asked_for_whichever_hash_holds_theirs(self, here):
        long = f"Book:{'x' * 100}"
        for args in ({"b": "Book:0"}, {"b": long}, None, {"b": ["Book:3", 'a "quoted" one']}, {"c": long}):
            make_status("started", job_args=args)

        found = self.ask(here, [4, 0, 3, 2, 1, 900])

        assert [args and encoding.loads(args) for args in found] == [
            {"c": long},
            {"b": "Book:0"},
            {"b": ["Book:3", 'a "quoted" one']},
            None,
            {"b": long},
            None,
        ]

    def test_it_ends_with_the_row_that_reaches_the_bytes_and_reads_one_at_least(self, here):
        for number in range(3):
            make_status("started", job_args={"b": f"Book:{number}"})

        assert len(self.ask(here, [0, 1, 2], most=17)) == 2
        assert self.ask(here, [0, 1, 2], most=1) == [b'{"b":"Book:0"}']

    def test_a_segment_that_is_not_there_has_none(self, here):
        assert self.ask(here, [0, 5]) == [None, None]
