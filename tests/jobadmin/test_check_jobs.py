"""check_jobs: says what is wrong, mends it when asked to, and ends with an error while something is left."""

import pytest
import redis
from django.core.management import CommandError, call_command
from django.urls import reverse

import statuses
from jobadmin.models import Operation
from statuses import inspection, keys
from statuses import store as stores
from statuses.testing import make_status

from .schemas import fits
from .test_records import NO_RECORD, refusing

pytestmark = pytest.mark.django_db


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


def test_a_store_that_takes_no_writes_is_no_sound_one(other_server, capsys):
    with stores.set_aside(), redis.Redis.from_url(other_server.url) as client:
        statuses.configure(url=other_server.url, namespace="full")
        make_status("failed")
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(CommandError, match=r"takes no writes, and no job is tracked: .*maxmemory"):
                check(capsys)
        finally:
            client.config_set("maxmemory", 0)

        assert "Nothing is wrong." in check(capsys)


def test_what_is_wrong_is_named_and_left_without_repair(store, prefix, capsys):
    status = make_status("succeeded", id="mine")
    store.setrange(prefix + "run", 0, b"\x07" * 8)

    with pytest.raises(CommandError, match="1 problem is left; --repair"):
        check(capsys)

    said = capsys.readouterr().out
    assert "1 span: a run or wait time that does not follow from the moments (computed again)" in said
    assert "mine: run_time is" in said
    assert statuses.check().found == 1
    assert status.reload().state == "succeeded"


def test_repair_mends_and_says_so(store, prefix, capsys):
    make_status("succeeded")
    store.setrange(prefix + "run", 0, b"\x07" * 8)

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


# On record


@pytest.fixture
def wrong(store, prefix):
    """A store in which three things of two kinds are wrong, and can be mended."""
    for _ in range(2):
        make_status("succeeded")
    store.setrange(prefix + "run", 0, b"\x07" * 16)
    store.hset(keys.job(prefix, 77), "i", "nobody")


def test_what_is_mended_is_on_record_before_and_with_what_came_of_it(wrong, capsys, browse, monkeypatch):
    seen = []
    mend = inspection.segmentscripts.repair

    def look(*arguments):
        seen.append(Operation.objects.values_list("state", "announced").get())
        return mend(*arguments)

    monkeypatch.setattr(inspection.segmentscripts, "repair", look)

    check(capsys, "--repair", "--by", "olu", "--reason", "after the copy")

    assert seen == [("unknown", 2), ("unknown", 3)]
    found = Operation.objects.get()
    assert (found.action, found.username, found.reason, found.state) == ("repair", "olu", "after the copy", "done")
    assert (found.announced, found.changed, found.by_reason, found.description) == (3, 3, {"mended": 3}, "span: 2, leftover: 1")
    client = browse()
    text = client.get(reverse("jobadmin:operation", args=[found.pk])).content.decode()
    assert "3 things mended" in text and "span: 2, leftover: 1" in text and "after the copy" in text and "Try the" not in text
    answer = client.get("/admin/jobs/api/operations/?action=repair")
    fits(answer, "GET")
    assert [one["which"] for one in answer.json()["operations"]] == ["span: 2, leftover: 1"]
    assert "Mend what is kept" in client.get(reverse("jobadmin:operations")).content.decode()


def test_what_cannot_be_mended_is_on_record_beside_what_was(wrong, store, prefix, capsys):
    store.set(prefix + "future", "1")

    with pytest.raises(CommandError, match=r"1 problem is left$"):
        check(capsys, "--repair")

    found = Operation.objects.get()
    assert (found.announced, found.changed, found.skipped, found.by_reason) == (4, 3, 1, {"mended": 3, "unmended": 1})


def test_a_check_that_mends_nothing_leaves_no_record(wrong, store, prefix, capsys):
    with pytest.raises(CommandError):
        check(capsys)
    assert not Operation.objects.exists()
    check(capsys, "--repair", "--unrecorded")
    Operation.objects.all().delete()

    check(capsys, "--repair")
    store.set(prefix + "future", "1")
    with pytest.raises(CommandError):
        check(capsys, "--repair")

    assert not Operation.objects.exists()


def test_a_text_is_mended_on_record_as_well(store, capsys):
    make_status("succeeded", job_name="mail.send")
    store.hdel(keys.codes(stores.current().families[0], "names"), "mail.send")

    check(capsys, "--repair")

    assert Operation.objects.get().changed >= 1


def test_nothing_is_mended_without_a_record_unless_that_is_said(wrong, capsys):
    with refusing(NO_RECORD):
        with pytest.raises(CommandError, match="--unrecorded does it without"):
            check(capsys, "--repair")
        assert statuses.check().found == 3

        said = check(capsys, "--repair", "--unrecorded")

    assert "All 3 problems are mended." in said and not Operation.objects.exists()


def test_a_check_that_breaks_off_says_that_on_record(wrong, capsys, monkeypatch):
    mend, left = inspection.segmentscripts.repair, [1]

    def breaks(*arguments):
        if not left.pop():
            raise statuses.StoreUnavailable("a check", "it is away")
        left.append(0)
        return mend(*arguments)

    monkeypatch.setattr(inspection.segmentscripts, "repair", breaks)

    with pytest.raises(CommandError, match="it is away"):
        check(capsys, "--repair")

    found = Operation.objects.get()
    assert (found.state, found.by_reason) == ("failed", {"unsure": 3}) and "it is away" in found.error
