"""check_jobs: says what is wrong, mends it when asked to, and ends with an error while something is left."""

import pytest
from django.core.management import CommandError, call_command

import statuses
from statuses import keys
from statuses import store as stores
from statuses.testing import make_status


@pytest.fixture
def prefix(store):
    return keys.segment(stores.current().families[0], 0)


def check(capsys, *words) -> str:
    call_command("check_jobs", *words)
    return capsys.readouterr().out


def test_a_sound_store_is_said_to_be_sound(store, capsys):
    for _ in range(3):
        make_status("failed")

    said = check(capsys)

    assert "3 jobs in 1 segment checked" in said
    assert "Nothing is wrong." in said


def test_what_is_wrong_is_named_and_left_without_repair(store, prefix, capsys):
    status = make_status("succeeded", id="mine")
    store.setrange(prefix + "run", 0, b"\x07")

    with pytest.raises(CommandError, match="1 problem is left; --repair"):
        check(capsys)

    said = capsys.readouterr().out
    assert "1 span: a run or wait time that does not follow from the moments (computed again)" in said
    assert "mine: run_time is" in said
    assert statuses.check().found == 1
    assert status.reload().state == "succeeded"


def test_repair_mends_and_says_so(store, prefix, capsys):
    make_status("succeeded")
    store.setrange(prefix + "run", 0, b"\x07")

    said = check(capsys, "--repair")

    assert "1 mended" in said and "The one problem is mended." in said
    assert "Nothing is wrong." in check(capsys)


def test_what_cannot_be_mended_stays_an_error(store, prefix, capsys):
    make_status("succeeded")
    store.set(prefix + "future", "1")

    with pytest.raises(CommandError, match=r"1 problem is left$"):
        check(capsys, "--repair")


def test_a_store_that_is_away_is_an_error_in_words(capsys):
    statuses.configure(url="unix:///nowhere.sock")

    with pytest.raises(CommandError, match="nowhere"):
        check(capsys)
