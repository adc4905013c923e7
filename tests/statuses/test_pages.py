"""Pages and cursors: stable under change, and refused where they do not belong."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

import statuses
from statuses.pages import Key, Order, place_of
from statuses.testing import frozen_clock, make_status, private_store

pytestmark = pytest.mark.usefixtures("store")


def test_jobs_created_in_the_same_moment_are_listed_later_first():
    with frozen_clock():
        ids = [statuses.create().id for _ in range(5)]

    assert statuses.all().ids() == ids[::-1]
    assert statuses.all().order_by("recorded_at").ids() == ids


def test_jobs_without_the_value_come_last_in_both_directions():
    with frozen_clock() as clock:
        waiting = [make_status("queued").id for _ in range(2)]
        ended = []
        for _ in range(2):
            clock.tick()
            ended.append(make_status("failed").id)

    assert statuses.all().order_by("failed_at").ids() == [*ended, *waiting]
    assert statuses.all().order_by("-failed_at").ids() == [*ended[::-1], *waiting[::-1]]
    page = statuses.all().order_by("-failed_at").limit(3).run()
    assert statuses.all().order_by("-failed_at").after(page.next).ids() == waiting[:1]


def test_a_next_page_follows_the_last_row_though_jobs_come_and_go():
    made = [statuses.create() for _ in range(9)]
    page = statuses.all().limit(3).run()
    statuses.create()
    page[2].delete(force=True)
    made[3].delete(force=True)

    following = statuses.all().limit(3).after(page.next).run()

    assert following.ids() == [made[index].id for index in (5, 4, 2)]
    back = statuses.all().limit(3).before(following.previous).run()
    assert back.ids() == [statuses.all().first().id, made[8].id, made[7].id]


def test_the_last_page_has_no_next_and_the_first_no_previous():
    for _ in range(4):
        statuses.create()

    first = statuses.all().limit(2).run()
    last = statuses.all().limit(2).after(first.next).run()

    assert (first.previous, last.next) == (None, None)
    assert statuses.all().limit(2).before(last.previous).run().previous is None
    assert statuses.all().limit(4).run().next is None
    assert statuses.all().run().next is None


def test_a_cursor_of_another_order_is_refused():
    for _ in range(3):
        make_status("failed")
    cursor = statuses.all().limit(1).run().next

    with pytest.raises(ValueError, match="of the order '-recorded_at'"):
        statuses.all().order_by("run_time").after(cursor)
    with pytest.raises(ValueError, match="order"):
        statuses.all().order_by("recorded_at").before(cursor)
    with pytest.raises(ValueError, match="order_by"):
        statuses.all().after(cursor).order_by("run_time")


def _packed(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "%%%",
        "ü",
        None,
        5,
        b"abc",
        _packed([]),
        _packed(["-recorded_at", 1, 2]),
        _packed(["-recorded_at", 1, 2, 3, 4]),
        _packed(["-recorded_at", "1", 0, 2]),
        _packed(["-recorded_at", True, 0, 2]),
        _packed(["-recorded_at", 1.0, 0, 2]),
        _packed(["-recorded_at", 1 << 70, 0, 2]),
        _packed(["-recorded_at", 1, -1 << 70, 2]),
        _packed({"a": 1}),
        _packed(None),
        _packed([["-recorded_at"], 1, 0, 2]),
    ],
)
def test_a_broken_cursor_is_a_value_error(cursor):
    with pytest.raises(ValueError, match="cursor"):
        statuses.all().after(cursor)


def test_cursors_fit_into_an_address():
    for _ in range(3):
        statuses.create()

    cursor = statuses.all().limit(1).run().next

    assert cursor.replace("-", "").replace("_", "").isalnum()


def test_a_cursor_narrows_what_is_counted_and_is_refused_by_answers_about_all():
    for _ in range(5):
        statuses.create()
    rest = statuses.all().after(statuses.all().limit(2).run().next)

    assert (rest.count(), rest.exists(), len(rest.ids())) == (3, True, 3)
    with pytest.raises(statuses.LimitedQuery):
        rest.counts()


def test_own_ids_are_listed_as_they_are():
    statuses.create(id="mine"), statuses.create(id="x" * 200), statuses.create()

    assert statuses.all().ids()[1:] == ["x" * 200, "mine"]
    assert statuses.all().order_by("recorded_at").first().id == "mine"


def test_a_job_removed_between_its_selection_and_its_loading_is_left_out(monkeypatch):
    from statuses import record

    made = [statuses.create() for _ in range(3)]
    real = record.read_rows

    def read_rows(*args, **kwargs):
        monkeypatch.setattr(record, "read_rows", real)
        made[1].delete(force=True)
        return real(*args, **kwargs)

    monkeypatch.setattr(record, "read_rows", read_rows)

    assert statuses.all().run().ids() == [made[2].id, made[0].id]


@pytest.mark.parametrize("order", ["killed_at", "-killed_at", "failed_at", "-failed_at", "recorded_at", "-recorded_at", "-run_time"])
def test_equals_of_several_families_stand_as_they_were_created(order):
    ended = {"state": "failed", "started_at": 1_780_000_000_000_000, "failed_at": 1_780_000_009_000_000}
    names = [f"n{number:02}" for number in range(24)]
    with private_store(families=4):
        for number, name in enumerate(names):
            statuses.load([ended | {"id": name, "recorded_at": 1_779_000_000_000_000 + number}])
        query = statuses.all().order_by(order)
        expected = names[::-1] if order.startswith("-") else names

        assert len({status._place().family for status in query}) == 4
        assert query.ids() == expected
        pages = [query.limit(7).run()]
        while pages[-1].next:
            pages.append(query.limit(7).after(pages[-1].next).run())
        assert [id for page in pages for id in page.ids()] == expected
        assert [query.limit(7).before(page.previous).run().ids() for page in pages[1:]] == [page.ids() for page in pages[:-1]]


def keys_of(order, value, segment=0, row=1, family=0, recorded=7):
    """The key of a row with such cells."""
    cells = {"recorded_at": np.array([recorded])}
    view = SimpleNamespace(
        column=lambda name: cells.get(name, np.array([value])),
        segment=SimpleNamespace(number=segment, family=family),
        numbers=lambda rows: np.array([row]),
    )
    return Key(*(int(part[0]) for part in order.keys(view, np.array([0]))))


def test_a_tie_names_the_row_it_stands_for():
    order = Order()

    for place in ((0, 0, 0), (3, 7, 65_519), (63, (1 << 20) - 1, 5)):
        family, segment, row = place
        for each in (order, order.turned, Order("run_time", descending=False)):
            assert place_of(keys_of(each, 5, segment, row, family).tie) == place


@pytest.mark.parametrize("merged", [False, True])
def test_a_turned_order_is_the_other_way_round(merged):
    order = Order("failed_at", merged=merged)

    low, high, none = keys_of(order, 9), keys_of(order, 5), keys_of(order, 0)
    assert low < high < none
    for key, value in ((low, 9), (high, 5), (none, 0)):
        assert keys_of(order.turned, value) == Key(-key.rank, -key.made, -key.tie) == key.turned


@pytest.mark.parametrize("packed", [False, True])
def test_many_records_are_what_each_of_them_is_alone(packed):
    from statuses import packing, record, segmentscripts
    from statuses.store import current

    now = 1_780_000_000_000_000
    statuses.load(
        {"job_name": f"n{n % 9}", "state": "failed" if n % 3 else "killed", "failed_at" if n % 3 else "killed_at": now + n,
         "recorded_at": now - n, "worker": f"w{n % 4}" if n % 5 else None, "job_args": {"book": f"Book:{n}", "long": "L" * (1 + n % 90)}}
        for n in range(2000)
    )  # fmt: skip
    statuses.where(job_name="n4").delete_all(force=True)
    if packed:
        segmentscripts.open_segment(current(), 0, 1)
        assert packing.pack(current(), 0, 0, now)
    rows = [1999, *range(500), 4, 640, 1300, 1301, 1302, 65_519, 3]

    found = record.read_rows(current(), 0, 0, rows)

    alone = {row: record.read_rows(current(), 0, 0, [row])[0] for row in set(rows)}
    assert found == [alone[row] for row in rows]
    assert sum(each is None for each in found) > 50
    assert {each.texts["worker"] for each in found if each} == {"w0", "w1", "w2", "w3", None}


def test_no_command_reads_more_than_20_records(monkeypatch):
    from statuses.store import Store

    for _ in range(55):
        statuses.create()
    rows = []
    real = Store.scripts
    monkeypatch.setattr(
        Store, "scripts", lambda self, name, calls, **how: rows.append([len(a) - 6 for _, a in calls]) or real(self, name, calls, **how)
    )

    assert len(statuses.all().limit(50).run()) == 50
    assert rows == [[20, 20, 10]]


def test_a_segment_in_which_nothing_matched_is_looked_at_again_once_it_changed():
    query = statuses.where(job_name="import", state="failed")
    status = make_status("started", job_name="import")
    assert (query.count(), query.exists(), query.ids()) == (0, False, [])

    status.failed()

    assert (query.exists(), query.ids(), query.first()) == (True, [status.id], status)
