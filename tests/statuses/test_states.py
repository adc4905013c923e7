"""The table of states, and what Lua knows of it."""

import re

from statuses import keys
from statuses.columns import COLUMNS, SEGMENT_ROWS
from statuses.lua import source
from statuses.states import BY_CODE, CODES, ENDED, GROUPS, MOMENTS, State


def test_a_state_compares_equal_to_its_name():
    assert State.failed == "failed"
    assert {State.failed: 1}["failed"] == 1
    assert str(State.failed) == "failed"


def test_codes_are_one_to_seven_in_the_order_of_a_jobs_life():
    assert [state.code for state in State] == [1, 2, 3, 4, 5, 6, 7]
    assert all(BY_CODE[CODES[state]] is state for state in State)


def test_every_state_but_unknown_has_a_moment():
    assert [state for state in State if MOMENTS[state] is None] == [State.unknown]


def test_groups_name_states_only():
    assert set(GROUPS) == {"completed", "incomplete", "ended"}
    assert GROUPS["incomplete"] == {"unqueued", "queued", "started", "killed"}
    assert GROUPS["ended"] == ENDED


def test_lua_names_the_columns_in_the_order_of_the_table():
    lua = (source.FOLDER / "shared" / "keys.lua").read_text()
    named = re.findall(r"'(\w+)'", lua)

    assert named == ["n", "z", *(column.key for column in COLUMNS), "rows"]
    assert [f"P{name}" for name in named] == [*keys.frame("P")[1:]]
    assert f"ROWS = {SEGMENT_ROWS}" in lua
    assert f"FRAME = {len(COLUMNS) + 4}" in lua


def test_every_script_says_what_it_takes_and_gives():
    for name in source.names():
        head = (source.FOLDER / f"{name}.lua").read_text().split("-- include")[0]

        assert re.search(r"KEYS(\[1| frame| the new segment's frame)", head), name
        assert "Returns" in head, name
        assert "tomic" in head or name == "read", name
