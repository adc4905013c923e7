"""Operations are removed when their time to be kept is over, by the cleaning that removes jobs, and never one that may still matter."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.urls import reverse

import statuses
from jobadmin import moments, outdated
from jobadmin.models import Operation
from jobadmin.paths import job_url
from jobadmin.upkeep import UpkeepRow
from statuses import upkeep
from statuses.testing import FrozenClock, frozen_clock, make_status

from .engines import toy_engine
from .schemas import fits
from .test_records import NO_RECORD, refusing

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

DAY = timedelta(days=1)
States = Operation.State


@pytest.fixture
def clock(store: Any) -> Iterator[FrozenClock]:
    with frozen_clock() as frozen:
        yield frozen


def ago(days: float | None) -> datetime | None:
    return None if days is None else moments.now() - days * DAY


def operation(days: float, *, ended: float | None = None, **facts: Any) -> Operation:
    """One that began so many days ago, and ended then, unless it says when."""
    facts = {"action": "kill", "username": "olu", "state": States.DONE, "announced": 1, "changed": 1} | facts
    made = Operation.objects.create(**facts, started_at=ago(days), ended_at=ago(days if ended is None else ended))
    Operation.objects.filter(pk=made.pk).update(created_at=ago(days))
    return made


def clean(*words: str) -> str:
    out = StringIO()
    call_command("clean_jobs", *words, stdout=out, stderr=out)
    return out.getvalue()


def left() -> set[int]:
    return set(Operation.objects.values_list("pk", flat=True))


def keep(kept: timedelta | None) -> Any:
    return override_settings(JOBADMIN={"CACHE": "jobs", "NAMESPACE": "jobs", "KEEP_OPERATIONS": kept})


def test_what_is_kept_for_half_a_year_goes_and_younger_ones_stay():
    _old, older, young = operation(181.5), operation(400), operation(179)

    assert "2 operations would be removed" in clean("--dry-run")
    assert left() >= {older.pk, young.pk} and Operation.objects.count() == 3

    said = clean("--by", "cron")

    record = Operation.objects.latest("pk")
    assert "2 operations removed" in said
    assert left() == {young.pk, record.pk}
    assert (record.username, record.state, record.announced, record.changed) == ("cron", "done", 0, 0)
    assert record.by_reason == {"operations": 2} and record.is_retention


def test_how_long_they_are_kept_is_a_setting():
    old, young = operation(9), operation(6)

    with keep(None):
        assert "operation" not in clean()
    with keep(timedelta(days=999_999_999)):
        assert "operation" not in clean()
    assert left() == {old.pk, young.pk}

    with keep(7 * DAY):
        assert "1 operation removed" in clean()
    assert old.pk not in left() and young.pk in left()


@pytest.mark.parametrize(
    "facts",
    [
        {"state": States.WAITING}, {"state": States.RUNNING}, {"state": States.STOPPING},
        {"ended": 1.0},
        {"undo_until": 1.0}, {"undone_at": 1.0},
        {"state": States.UNKNOWN, "heartbeat_at": 1.0},
    ],
    ids=str,
)  # fmt: skip
def test_one_that_runs_or_can_be_taken_back_or_was_heard_of_lately_stays(facts: dict[str, Any]):
    moments_of = {name: ago(-value if name == "undo_until" else value) for name, value in facts.items() if name.endswith(("_at", "_until"))}
    kept = operation(400, **facts | moments_of)

    assert "operation" not in clean()
    assert left() == {kept.pk}


def test_a_removal_that_is_being_taken_back_stays_until_it_is():
    removal = operation(400, action="remove", undone_at=ago(399), undo_token="1")
    restore = operation(399, action="restore", state=States.WAITING, plan={"of": removal.pk})

    assert "operation" not in clean() and left() == {removal.pk, restore.pk}

    Operation.objects.filter(pk=restore.pk).update(state=States.DONE)
    clean()
    assert not left() & {removal.pk, restore.pk}


def test_one_that_nobody_told_the_end_of_goes_as_well():
    lost = operation(400, state=States.UNKNOWN)
    Operation.objects.filter(pk=lost.pk).update(ended_at=None)

    clean()

    assert lost.pk not in left()


def test_a_cleaning_that_is_narrowed_leaves_them():
    kept = operation(400)

    for words in (("--older-than", "1d"), ("--name", "a"), ("--queue", "a"), ("--state", "failed")):
        assert "operation" not in clean(*words)

    assert left() == {kept.pk}


def test_with_jobs_they_go_as_soon_as_they_are_due_and_alone_once_a_day(clock: FrozenClock):
    due = operation(180.5)

    assert "operation" not in clean() and left() == {due.pk}

    make_status("succeeded")
    clock.tick(31 * DAY)
    said = clean()

    record = Operation.objects.get()
    assert said.startswith("1 removed: 1 succeeded\n1 operation removed\n")
    assert (record.announced, record.changed, record.by_reason) == (1, 1, {"removed": 1, "operations": 1})


def test_many_go_in_small_statements(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outdated, "_BATCH", 3)
    Operation.objects.bulk_create(Operation(action="kill", state=States.DONE) for _ in range(8))
    Operation.objects.update(created_at=ago(200))

    assert "8 operations removed" in clean()
    assert [one.by_reason for one in Operation.objects.all()] == [{"operations": 8}]


def test_the_database_finds_them_by_an_index():
    if connection.vendor != "sqlite":
        pytest.skip("another database takes no index while it has no rows")
    plan = outdated.due(moments.now()).explain()

    assert "USING INDEX jobadmin_operation_created_at" in plan


# On record, and what cannot be


def test_nothing_is_removed_without_a_record():
    old = operation(400)

    with refusing(NO_RECORD), pytest.raises(CommandError, match="--unrecorded does it without"):
        clean()
    assert left() == {old.pk}

    with refusing(NO_RECORD):
        assert "1 operation removed" in clean("--unrecorded")
    assert left() == set()


def test_a_database_that_is_away_holds_up_no_cleaning_of_jobs(clock: FrozenClock):
    operation(400), make_status("succeeded")
    clock.tick(31 * DAY)

    with refusing('DELETE FROM "jobadmin_operation"', words="database is locked"):
        said = clean()

    assert "1 removed" in said and "Operations whose time is over are left" in said and "database is locked" in said
    assert not statuses.all().exists() and Operation.objects.latest("pk").by_reason == {"removed": 1}


def test_a_cleaning_that_cannot_even_look_says_so_and_ends_well():
    with refusing("SELECT", words="server closed the connection"):
        said = clean()

    assert "0 removed" in said and "server closed the connection" in said


def test_its_page_and_the_api_tell_how_many_went(browse: Any):
    operation(400)
    clean("--by", "cron")
    client, record = browse(), Operation.objects.get()

    text = client.get(reverse("jobadmin:operation", args=[record.pk])).content.decode()
    answer = client.get("/admin/jobs/api/operations/")

    fits(answer, "GET")
    assert "Operations removed, whose time to be kept was over" in text and "0 jobs removed" in text
    assert [one["by_reason"] for one in answer.json()["operations"]] == [{"operations": 1}]


# What is left of them


def test_a_job_tells_its_history_without_the_operations_that_are_gone(browse: Any):
    client = browse()
    with toy_engine():
        job = make_status("failed", engine="toy")
        for action, query in (("retry", {}), ("kill", {"reason": "hangs"})):
            client.post(f"{job_url(job.id)}{action}/", {"confirmed": "yes", **query})
            job.reload().started()
        assert words_of(client, job).count("marta") == 2
        Operation.objects.update(created_at=ago(400), started_at=ago(400), ended_at=ago(400))

        clean()

        words = words_of(client, job)
    assert "marta requested a kill hangs" in words and "Attempt 1 failed" in words
    assert "retried" not in words and "operations/" not in words


def test_who_looks_for_one_that_is_gone_is_told_that_it_is_not_on_record(browse: Any):
    gone = operation(400)
    clean()
    client = browse()

    page = client.get(reverse("jobadmin:operation", args=[gone.pk]))
    jobs = client.get(reverse("jobadmin:list"), {"operation": gone.pk, "span": "all"})

    assert page.status_code == 404
    assert jobs.status_code == 400 and "the number of an operation on record" in unescape(jobs.content.decode())


def words_of(client: Any, job: statuses.Status) -> str:
    html = client.get(job_url(job.id)).content.decode().partition('id="job-audit"')[2].partition("</section>")[0]
    return " ".join(unescape(re.sub(r"<(?!a)[^>]+>", " ", html)).split())


def test_operations_that_went_are_told_with_what_the_cleaner_did(clock: FrozenClock) -> None:
    make_status("failed", keep_for=timedelta(seconds=1))
    clock.tick(2)
    [operation(200 + number) for number in range(3)]

    clean()

    [chore] = upkeep.chores()
    assert (chore.chore, dict(chore.did)) == ("clean", {"removed": 1, "operations": 3})
    assert UpkeepRow(about=chore, now=moments.now()).result == "1 removed, 3 operations removed"
