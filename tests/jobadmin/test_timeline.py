"""Every moment and the gaps between them, in the order the clocks say."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from jobadmin import timeline

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_STATES = ("unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown")


def job(state: str = "started", **seconds: Any) -> SimpleNamespace:
    """A job with moments given in seconds after noon."""
    names = ("recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at")
    moments = {name: NOON + timedelta(seconds=seconds.pop(name)) if seconds.get(name) is not None else None for name in names}
    ended = state in ("succeeded", "failed", "killed")
    facts = {
        "state": state, "queue": "default", "user": "marta", "worker": "w-1", "attempt": 0, "progress": None, "kill_requested_by": "j",
        "ended_at": moments.get(f"{state}_at") if ended else None, "is_ended": ended, **{f"is_{one}": one == state for one in _STATES},
    }  # fmt: skip
    return SimpleNamespace(**{**facts, **moments, "recorded_at": moments["recorded_at"] or NOON, **seconds})


def told(legs: list[timeline.Leg]) -> list[tuple[str, float | None]]:
    return [(leg.stop.name, leg.gap.seconds if leg.gap else None) for leg in legs]


def test_an_ended_job_shows_every_moment_and_gap() -> None:
    legs = timeline.legs(job("succeeded", queued_at=1, started_at=3, succeeded_at=10), now=NOON)

    assert told(legs) == [("Created", None), ("Queued", 1), ("Started", 2), ("Succeeded", 7)]
    assert [leg.gap.word for leg in legs[2:]] == ["waited", "ran for"]
    assert not any(leg.gap and leg.gap.ticks for leg in legs)


def test_a_running_job_counts_on_and_guesses_its_end_from_its_progress() -> None:
    legs = timeline.legs(job(queued_at=0, started_at=0, progress=0.25), now=NOON + timedelta(seconds=10))

    last = legs[-1]
    assert last.gap.ticks and last.gap.seconds == 10
    assert last.stop.is_next and last.stop.at == NOON + timedelta(seconds=40)


def test_a_running_job_without_progress_goes_by_what_is_usual() -> None:
    running = job(queued_at=0, started_at=0)

    soon = timeline.legs(running, now=NOON + timedelta(seconds=10), usual=15.0)[-1]
    late = timeline.legs(running, now=NOON + timedelta(seconds=99), usual=15.0)[-1]

    assert soon.stop.at == NOON + timedelta(seconds=15)
    assert late.stop.at is None and "15" in late.stop.note


def test_a_waiting_job_says_how_long_it_waits() -> None:
    last = timeline.legs(job("queued", queued_at=2), now=NOON + timedelta(seconds=12))[-1]

    assert (last.stop.name, last.gap.word, last.gap.seconds, last.stop.at) == ("Starts", "waits for", 10, None)


def test_a_kill_request_is_a_moment_of_its_own() -> None:
    legs = timeline.legs(job("killed", queued_at=0, started_at=1, kill_requested_at=4, killed_at=6), now=NOON)

    assert told(legs)[2:] == [("Started", 1), ("Kill requested", 3), ("Killed", 2)]


def test_a_later_attempt_begins_where_the_one_before_ended() -> None:
    before = job("failed", queued_at=0, started_at=1, failed_at=5)
    second = job("succeeded", attempt=1, queued_at=8, started_at=9, succeeded_at=12)

    legs = timeline.legs(second, now=NOON, before=before, retried_by="marta")

    assert told(legs) == [("Failed", None), ("Queued again", 3), ("Started", 1), ("Succeeded", 3)]
    assert "marta" in legs[0].stop.note


def test_a_restart_without_a_queueing_of_its_own_does_not_repeat_the_first_one() -> None:
    before = job("failed", queued_at=0, started_at=1, failed_at=5)
    second = job("started", attempt=1, queued_at=0, started_at=9)

    assert told(timeline.legs(second, now=NOON, before=before))[:2] == [("Failed", None), ("Started", 4)]


def test_moments_out_of_order_make_no_negative_gap() -> None:
    legs = timeline.legs(job("succeeded", queued_at=5, started_at=3, succeeded_at=1), now=NOON)

    assert all(leg.gap is None or leg.gap.seconds >= 0 for leg in legs)
    assert len(legs) == 4


def test_an_attempt_that_spans_days_says_the_dates() -> None:
    one_day = timeline.legs(job("succeeded", started_at=1, succeeded_at=2), now=NOON)
    two_days = timeline.legs(job("succeeded", started_at=1, succeeded_at=90_000), now=NOON)

    assert not any(leg.stop.shows_date for leg in one_day)
    assert all(leg.stop.shows_date for leg in two_days)


def test_nobody_guesses_about_an_unknown_job() -> None:
    last = timeline.legs(job("unknown"), now=NOON + timedelta(seconds=9))[-1]

    assert last.stop.name == "Unknown" and last.stop.at is None
