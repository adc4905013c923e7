"""Who did what to a job, and what it did itself, each once and in order."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from jobadmin import audit
from jobadmin.models import Operation

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOON + timedelta(seconds=seconds)


def attempt(number: int, state: str, queued: float, started: float | None, ended: float | None, **more: Any) -> SimpleNamespace:
    facts: dict[str, Any] = dict.fromkeys(("kill_requested_at", "kill_requested_by", "kill_reason", "engine", "provider_job_id"))
    facts |= {"user": "rita", **more}
    return SimpleNamespace(
        attempt=number, state=state, recorded_at=NOON, queued_at=at(queued), started_at=at(started), ended_at=at(ended), **facts
    )


def operation(action: str, seconds: float, *, changed: int = 1, username: str = "olu") -> Operation:
    return Operation(pk=1, action=action, username=username, changed=changed, announced=1, state="done", created_at=at(seconds), ids=["a"])


def told(attempts: list[SimpleNamespace], operations: list[Operation]) -> list[str]:
    return [f"{entry.who} {entry.text}".strip() for entry in audit.trail(attempts[-1], attempts, operations)]


def test_a_retry_by_hand_makes_one_attempt_and_those_after_it_are_automatic() -> None:
    attempts = [attempt(0, "failed", 0, 1, 2), attempt(1, "failed", 60, 60.1, 60.2), attempt(2, "failed", 61, 61.1, 61.2)]

    assert told(attempts, [operation("retry", 60.05)]) == [
        "Attempt 3 failed", "Automatic retry", "Attempt 2 failed", "olu retried the job", "Attempt 1 failed", "rita created the job",
    ]  # fmt: skip


def test_a_kill_is_told_once_and_before_what_came_of_it() -> None:
    killed = attempt(0, "killed", 0, 1, 9.02, kill_requested_at=at(9.0), kill_requested_by="olu", kill_reason="hangs")

    assert told([killed], [operation("kill-now", 9.1)]) == [
        "Killed, 20 ms after the request", "olu killed the job at once", "rita created the job",
    ]  # fmt: skip


def test_a_kill_from_elsewhere_is_told_by_the_status_itself() -> None:
    asked = attempt(0, "started", 0, 1, None, kill_requested_at=at(9.0), kill_requested_by="bulk", kill_reason="hangs")

    entries = audit.trail(asked, [asked], [operation("kill", 500)])

    assert [(entry.who, entry.reason) for entry in entries if entry.icon == "killreq"] == [("olu", ""), ("bulk", "hangs")]


def test_a_kill_request_that_outlived_an_attempt_is_told_once() -> None:
    mine = {"kill_requested_at": at(1.5), "kill_requested_by": "olu"}
    attempts = [attempt(0, "failed", 0, 1, 2, **mine), attempt(1, "killed", 3, 4, 5, **mine)]

    assert told(attempts, []).count("olu requested a kill") == 1


def test_an_action_that_changed_nothing_says_so() -> None:
    ended = attempt(0, "succeeded", 0, 1, 2)

    entry = audit.trail(ended, [ended], [operation("retry", 9, changed=0)])[0]

    assert entry.detail == "nothing was changed"


@pytest.mark.django_db
@pytest.mark.parametrize("job_id", ["a7", 'quote"d', "back\\slash", "é", "100%", "under_score", "[x]"])
def test_operations_are_found_by_the_exact_id(job_id: str) -> None:
    Operation.objects.create(action="kill", ids=[job_id], username="one")
    Operation.objects.create(action="kill", ids=["other", job_id], username="many")
    Operation.objects.create(action="kill", ids=[job_id + "x", "x" + job_id], username="near")
    Operation.objects.create(action="kill", ids=None, username="filter")

    assert [found.username for found in audit.operations_on(job_id)] == ["many", "one"]


def test_an_attempt_that_was_queued_before_the_one_before_had_ended_is_told_after_it() -> None:
    attempts = [attempt(0, "failed", 0, 1, 2), attempt(1, "failed", 1.9, 3, 4), attempt(2, "failed", 4, 5, 6)]

    assert told(attempts, []) == [
        "Attempt 3 failed", "Automatic retry", "Attempt 2 failed", "Automatic retry", "Attempt 1 failed", "rita created the job",
    ]  # fmt: skip


def test_a_kill_at_once_after_a_request_has_its_own_time() -> None:
    killed = attempt(0, "killed", 0, 1, 9, kill_requested_at=at(6.0), kill_requested_by="olu")
    asking, killing = operation("kill", 6.1), operation("kill-now", 9.1)
    asking.pk, killing.pk, killing.started_at = 1, 2, at(8.9)

    entries = audit.trail(killed, [killed], [killing, asking])

    assert [(entry.text, entry.at) for entry in entries[:3]] == [
        ("Killed, 3.00 s after the request", at(9)), ("killed the job at once", at(8.9)), ("requested a kill", at(6)),
    ]  # fmt: skip
