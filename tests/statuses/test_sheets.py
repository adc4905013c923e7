"""Sheets: the same jobs as a page would have, in the same order, and of each the same values."""

import json
import random
from datetime import timedelta

import numpy as np
import pytest

import statuses
from statuses import ids, sheets
from statuses.clock import to_us
from statuses.columns import SEGMENT_ROWS, TIMESTAMPS
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")

TEXTS = (
    "id", "state", "job_name", "user", "queue", "worker", "engine", "error_group", "provider_job_id", "parent", "root", "progress_message",
    "error_summary", "kill_requested_by", "kill_reason", "attempt", "progress", "run_time", "wait_time",
)  # fmt: skip


def some_jobs(number: int = 25) -> None:
    """Jobs of every kind, a quarter of them with an id of their own, one of three a child."""
    above = None
    for turn in range(number):
        job = statuses.create(
            job_name=f"job-{turn % 4}" if turn % 5 else None,
            queue="Ünï,\x00q" if turn % 2 else None,
            user=f"user-{turn}",
            job_args={"book": f"Book:{turn}", "more": ["a", "b"]} if turn % 3 else None,
            provider_job_id=f"p-{turn}" if turn % 2 else None,
            parent=above if turn % 3 == 0 else None,
            id=f"mine-{turn}" if turn % 4 == 0 else None,
            state="queued" if turn % 6 else "unqueued",
        )
        above = job.id
        if turn % 3:
            job.started(worker="w").set_progress(turn, 50, message="x" * turn)
        if turn % 4 == 1:
            job.add_error(f"failure {turn}").failed()
        if turn % 7 == 1:
            job.started().set_progress(0.5)
        if turn % 8 == 0:
            job.request_kill(by="ops", reason="because")


def read(query: statuses.Query, name: str) -> list:
    return [value for sheet in query.sheets() for value in sheet.column(name)]


def test_every_column_is_what_a_status_says():
    some_jobs()
    jobs = list(statuses.all())

    found = {name: read(statuses.all(), name) for name in (*TEXTS, *TIMESTAMPS, "job_args")}

    for name in TEXTS:
        assert found[name] == [getattr(job, name) for job in jobs], name
    for name in TIMESTAMPS:
        moments = [getattr(job, name) for job in jobs]
        assert found[name] == [to_us(moment) if moment else 0 for moment in moments], name
    assert [json.loads(text) if text else {} for text in found["job_args"]] == [job.job_args for job in jobs]


@pytest.mark.parametrize("order", ["-recorded_at", "recorded_at", "-run_time", "failed_at"])
def test_sheets_hold_every_match_once_and_in_order(order, monkeypatch):
    monkeypatch.setattr(sheets, "CHOSEN_AT_ONCE", 7)
    monkeypatch.setattr(sheets, "ROWS", 3)
    some_jobs()
    query = statuses.where(state=["failed", "started"]).order_by(order)

    assert read(query, "id") == query.ids() and len(query.ids()) > 7
    assert max(len(sheet) for sheet in query.sheets()) == 3


def test_limits_and_cursors_count(monkeypatch):
    monkeypatch.setattr(sheets, "CHOSEN_AT_ONCE", 4)
    some_jobs()
    page = statuses.all().after(statuses.all()[:5].run().next)[:5].run()

    for query in (statuses.all()[3:14], statuses.all()[3:7], statuses.all()[:0], statuses.all().offset(20)):
        assert read(query, "id") == query.ids()
    assert read(statuses.all().after(page.next), "id") == statuses.all().ids()[10:]
    assert read(statuses.all().before(page.previous).limit(3), "id") == statuses.all().ids()[2:5]


def test_a_job_removed_meanwhile_is_left_out_and_one_that_came_comes_not(monkeypatch):
    monkeypatch.setattr(sheets, "ROWS", 2)
    made = [make_status("succeeded", id=None if turn % 2 else f"mine-{turn}") for turn in range(6)]
    found = statuses.all().sheets()
    seen = next(found).column("id")

    statuses.where(id=made[1].id).delete_all(undo_for=timedelta(hours=1))
    made[2].delete()
    made[2] = make_status("queued", id="mine-2")
    seen += [id for sheet in found for id in sheet.column("id")]

    assert seen == [made[turn].id for turn in (5, 4, 3, 0)]


def test_texts_are_those_of_each_family(server_url):
    statuses.configure(url=server_url, namespace="spread", families=3)
    some_jobs(40)
    jobs = list(statuses.all())

    assert len({job._place().family for job in jobs}) == 3
    for name in ("id", "job_name", "queue", "user"):
        assert read(statuses.all(), name) == [getattr(job, name) for job in jobs]


def test_ids_are_made_as_one_by_one():
    source = random.Random(5)
    places = [
        ids.Place(*map(source.randrange, (ids.FAMILIES_MAX, ids.SEGMENTS_MAX, SEGMENT_ROWS)), source.randrange(1, 1 << 32))
        for _ in range(99)
    ]
    moments = [source.randrange(1, 1 << 52) for _ in places]

    families, segments, rows, randoms = (
        np.array(part) for part in zip(*((p.family, p.segment, p.row, p.random) for p in places), strict=True)
    )
    made = sheets.made_ids(families, segments, rows, randoms, np.array(moments))

    assert made == [ids.encode(at_us, place) for at_us, place in zip(moments, places, strict=True)]


def test_a_column_nobody_knows_is_named():
    make_status("queued")

    with pytest.raises(ValueError, match="run_time"):
        next(statuses.all().sheets()).column("runtime")


def test_a_text_that_came_after_the_last_look_is_known():
    with frozen_clock():
        make_status("queued", job_name="first")
        assert read(statuses.all(), "job_name") == ["first"]

        make_status("queued", job_name="second")

        assert read(statuses.all(), "job_name") == ["second", "first"]
