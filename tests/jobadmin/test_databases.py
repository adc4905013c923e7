"""What the database must bear, whichever it is: texts as jobs and people bring them, connections that are lost, many at the same time.

These run on SQLite, and on PostgreSQL or MySQL where TEST_DATABASE_URL names one. What one of those alone refuses is looked for in what is sent.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import InternalError, OperationalError, connection, connections
from django.test import RequestFactory

import statuses
from jobadmin import operations, outdated, records, runner, savedviews, settings
from jobadmin.audit import operations_on
from jobadmin.columns import DataField, LineField, LongField, storable
from jobadmin.models import Operation, SavedView
from jobadmin.operations import NotConfirmed, Promise
from jobadmin.records import NotRecorded
from jobadmin.resolver import Resolver
from jobadmin.verbs import KILL
from statuses.engines import registry
from statuses.testing import make_status

from .engines import Toy
from .test_bulk import confirm
from .test_outdated import ago
from .test_records import NO_OUTCOME, refusing

pytestmark = pytest.mark.usefixtures("store")
States = Operation.State


# Which database


def test_an_address_names_the_database() -> None:
    named = settings._database("postgresql://olu:p%40ss@db.example.org:6432/jobs?sslmode=require")

    assert (named["ENGINE"], named["NAME"], named["HOST"], named["PORT"]) == (
        "django.db.backends.postgresql", "jobs", "db.example.org", 6432,
    )  # fmt: skip
    assert (named["USER"], named["PASSWORD"], named["OPTIONS"]) == ("olu", "p@ss", {"sslmode": "require"})
    assert settings._database("mysql:///jobs")["ENGINE"] == "django.db.backends.mysql"
    assert settings._database("")["ENGINE"] == "django.db.backends.sqlite3"
    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL must begin with .* not 'oracle'"):
        settings._database("oracle://db/jobs")


# Texts


def test_what_is_kept_is_a_text_that_every_database_takes() -> None:
    odd = "a\x00b\ud800c🔥"

    assert storable(odd) == "a␀b\ufffdc🔥"
    assert LongField().get_prep_value(odd) == "a␀b\ufffdc🔥"
    assert LineField(max_length=3).get_prep_value(odd) == "a␀b"
    assert LineField(max_length=3).get_prep_value(None) is None


class _Vendor:
    """As much of a connection as a column asks."""

    def __init__(self, vendor: str) -> None:
        self.vendor, self.ops = vendor, self

    def adapt_json_value(self, value: Any, encoder: Any) -> Any:
        return value


@pytest.mark.parametrize(("vendor", "kept"), [("postgresql", "a␀\ufffd"), ("mysql", "a\x00\ufffd"), ("sqlite", "a\x00\ud800")])
def test_json_keeps_what_the_database_can_keep(vendor: str, kept: str) -> None:
    odd = "a\x00\ud800"

    assert DataField().get_db_prep_value({"errors": [odd], odd: 1}, _Vendor(vendor)) in (
        {"errors": [kept], kept: 1}, {"errors": [storable(odd)], storable(odd): 1},
    )  # fmt: skip


@pytest.mark.django_db
def test_an_action_is_done_whatever_was_typed_and_however_its_user_is_called(browse: Any) -> None:
    job, name = make_status("queued", job_name="fire 🔥"), "x" * 149 + "y"
    client = browse(name=name)

    client.post(f"/admin/jobs/{job.id}/kill/", {"reason": "a\x00b 🔥 \ud800".encode(errors="surrogatepass").decode(errors="replace")})

    done, entry = Operation.objects.get(), LogEntry.objects.get()
    assert job.reload().is_killed and done.username == name
    assert done.reason.startswith("a␀b 🔥") and "a␀b 🔥" in entry.change_message


@pytest.mark.django_db
def test_of_what_is_too_long_for_its_column_the_beginning_is_kept_and_found() -> None:
    with records.recorded({"username": "x" * 300}, action="kill", description="é" * 5000, error="\ud800") as record:
        record.complete(statuses.Changed(changed=1), error="a\x00b\ud800")

    found = Operation.objects.get(username="x" * 300)
    assert found.username == "x" * 150 and found.description == "é" * 5000 and found.error == "a␀b\ufffd"


@pytest.mark.django_db
def test_names_that_differ_in_case_accents_or_emoji_alone_are_different_names(django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("marta")
    names = ["Failed", "failed", "fäiled", "🔥", "💥"]

    made = [savedviews.save(owner, name=name, page="list", query="", shared=False)[1] for name in names]

    assert made == [True] * 5 and set(SavedView.objects.values_list("name", flat=True)) == set(names)
    Operation.objects.create(action="kill", username="Olu")
    assert not Operation.objects.filter(username="olu").exists()


@pytest.mark.django_db
def test_an_operation_on_a_job_is_found_however_the_database_spells_json() -> None:
    sent: list[str] = []

    def ask(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.extend(map(str, params or ()))
        return execute(sql, params, many, context)

    Operation.objects.create(action="kill", ids=["é"], username="one")
    with connection.execute_wrapper(ask):
        assert [found.username for found in operations_on("é")] == ["one"]

    spelled = " ".join(sent).lower()
    assert r"\u00e9" in spelled.replace("\\\\", "\\") and '"é"' in spelled


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("203.0.113.7", "203.0.113.7"), ("203.0.113.7, 10.0.0.1", "203.0.113.7"), ("203.0.113.7:5050", "203.0.113.7"), ("::1", "::1"),
        ("[2001:db8::1]:443", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"), ("fe80::1%eth0", "fe80::1"), ("", None), ("unix:", None), ("unknown", None),
        ("[", None), ("x" * 100, None),
    ],
)  # fmt: skip
def test_an_address_is_kept_where_it_is_one(told: str, kept: str | None, monkeypatch: pytest.MonkeyPatch, admin_user: Any) -> None:
    request = RequestFactory().get("/")
    request.user = admin_user
    monkeypatch.setattr(Resolver, "address_of", lambda self, request: told)

    assert records.who(request)["address"] == kept


def test_a_database_that_is_read_only_for_a_while_may_be_asked_again_and_one_that_gives_no_right_not() -> None:
    def told(error: type[Exception], words: str, **more: Any) -> NotRecorded:
        return NotRecorded(_caused(error(words), **more))

    assert told(InternalError, "nur lesend", sqlstate="25006").is_away and told(InternalError, "read-only", pgcode="25006").is_away
    assert told(OperationalError, "(1290, 'The MariaDB server is running with the --read-only option')").is_away
    assert not told(InternalError, "current transaction is aborted", sqlstate="25P02").is_away
    assert not told(OperationalError, "(1142, \"INSERT command denied to user 'a'@'b'\")").is_away
    assert not told(OperationalError, r"(1366, \"Incorrect string value: '\xF0\x9F\x94\xA5' for column\")").is_away


def _caused(error: Exception, **more: Any) -> Exception:
    driver = Exception()
    for name, value in more.items():
        setattr(driver, name, value)
    error.__cause__ = driver
    return error


# Connections that are lost


@contextmanager
def losing(start: str, *, written: bool) -> Iterator[list[str]]:
    """The first such statement loses its connection: before it is `written`, or before anybody hears that it is."""
    lost: list[str] = []

    def ask(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if lost or not sql.replace("`", '"').startswith(start):
            return execute(sql, params, many, context)
        lost.append(sql)
        if written:
            execute(sql, params, many, context)
        raise OperationalError("server closed the connection unexpectedly")

    with connection.execute_wrapper(ask):
        yield lost


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("written", [False, True])
def test_an_operation_goes_on_over_a_new_connection(browse: Any, monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
    jobs = [make_status("queued") for _ in range(3)]
    confirm(browse(), "kill", "span=all")
    operation, lease = runner.take()
    lease._beaten -= 60  # a batch may take long, and a pooler does not wait for that
    waited = threading.Event()
    monkeypatch.setattr(lease, "_pause", lambda seconds: waited.set())

    with losing(NO_OUTCOME, written=written) as lost:
        runner.Work(operation, lease, lambda seconds: waited.set()).run()

    found = Operation.objects.get()
    assert lost and (found.state, found.by_reason) == ("done", {"killed": 3})
    assert all(job.reload().is_killed for job in jobs) and not waited.is_set()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_stays_away_leaves_the_operation_to_whoever_comes_then(browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_status("queued")
    confirm(browse(), "kill", "span=all")
    operation, lease = runner.take()
    tries: list[float] = []

    def pause(seconds: float) -> None:
        tries.append(seconds)
        lease._beaten -= 1.0  # as if a second had gone by

    monkeypatch.setattr(lease, "_pause", pause)
    with refusing(NO_OUTCOME):
        runner.Work(operation, lease).run()

    assert 5 <= len(tries) < runner.LEASE.total_seconds()
    assert Operation.objects.get().state == "running"


@pytest.mark.django_db(transaction=True)
def test_a_thread_that_waits_for_operations_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    held, waits, go = [], threading.Event(), threading.Event()

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            held.append(connection.connection)
            waits.set()
            return go.wait(timeout)

    def take() -> None:
        Operation.objects.exists()
        held.append(connection.connection)

    monkeypatch.setattr(runner, "take", take)
    one = runner.Runner()
    one._wake = Waiting()
    looking = threading.Thread(target=one._loop, args=(one._stopped,))
    looking.start()
    assert waits.wait(20)
    one._stopped.set()
    go.set()
    looking.join()

    assert held[0] is not None and held[1] is None


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_ended_while_a_command_slept_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connection, "close_at", None)  # CONN_MAX_AGE = None
    records.renew_connection()
    assert connection.connection is not None

    monkeypatch.setattr(connection, "is_usable", lambda: False)
    records.renew_connection()
    assert connection.connection is None

    status = make_status("queued")
    call_command("jobs", "kill", f"id={status.id}", stdout=StringIO())
    assert status.reload().is_killed and Operation.objects.get().state == "done"


@pytest.mark.django_db(transaction=True)
def test_others_see_what_is_on_record_before_it_is_done_where_requests_are_transactions(
    browse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.extend(Operation.objects.values_list("state", flat=True))
        connections.close_all()

    class Watched(Toy):
        can_kill = True

        def kill(self, status: Any) -> None:
            other = threading.Thread(target=look)
            other.start()
            other.join(20)
            raise RuntimeError

    engine = Watched()
    registry.register(engine)
    job, client = make_status("started", engine=engine.name), browse(raise_request_exception=False)
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    answer = client.post(f"/admin/jobs/{job.id}/kill-now/", {"confirmed": "yes"})
    registry.unregister(engine.name)

    assert (answer.status_code, seen, Operation.objects.get().by_reason) == (500, ["unknown"], {"unsure": 1})


# Many at the same time


def at_once(work: Callable[[], Any], times: int = 6) -> list[Any]:
    """What several threads got that did it at the same time, or what was raised there."""
    ready = threading.Barrier(times)

    def one(_number: int) -> Any:
        try:
            ready.wait(20)
            return work()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def asked(user: Any) -> Any:
    request = RequestFactory().post("/")
    request.user = user
    return request


@pytest.mark.django_db(transaction=True)
def test_a_confirmation_that_is_sent_many_times_at_once_begins_one_operation(admin_user: Any) -> None:
    make_status("queued")
    promise = Promise(verb=KILL, filter="span=all", at=statuses.server_time(), changes=1)

    found = at_once(lambda: operations.confirm(promise, request=asked(admin_user), typed="", reason=""))

    assert {type(one) for one in found} <= {Operation, NotConfirmed}, found
    assert {one.pk for one in found if isinstance(one, Operation)} == {Operation.objects.get().pk}


@pytest.mark.django_db(transaction=True)
def test_an_operation_is_taken_by_one_and_a_removal_is_taken_back_once(admin_user: Any) -> None:
    removal = Operation.objects.create(action="remove", state=States.DONE, changed=1, undo_token="1", undo_until=ago(-1))
    restored = at_once(lambda: operations.undo(Operation.objects.get(pk=removal.pk), request=asked(admin_user)))
    taken = at_once(runner.take)

    assert [type(one) for one in restored if one is not None] == [Operation], restored
    assert len([one for one in taken if one is not None]) == 1, taken


@pytest.mark.django_db(transaction=True)
def test_who_stops_and_who_begins_an_operation_do_not_both_win(admin_user: Any) -> None:
    turns = iter(range(6))

    def either() -> str:
        if next(turns) % 2:
            return "stopped" if operations.stop(Operation.objects.get(), request=asked(admin_user)) else "late"
        return "taken" if runner.take() else "nothing"

    for _round in range(3):
        turns = iter(range(6))
        Operation.objects.all().delete()
        Operation.objects.create(action="kill", filter="span=all", announced=1)
        told = at_once(either)
        state = Operation.objects.get().state

        assert told.count("stopped") == 1 and told.count("taken") <= 1, told
        assert state == ("stopping" if "taken" in told else "stopped")


@pytest.mark.django_db(transaction=True)
def test_a_view_that_is_saved_many_times_at_once_is_one(admin_user: Any) -> None:
    found = at_once(lambda: savedviews.save(admin_user, name="mine", page="list", query="", shared=False))

    assert [one for one in found if isinstance(one, Exception)] == [] and SavedView.objects.count() == 1


# Replicas


class Replicated:
    """A router that reads what Jobadmin keeps from a replica, of which nobody has heard."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "jobadmin" else None


@pytest.mark.django_db
def test_what_is_kept_is_read_where_it_is_written(browse: Any, settings: Any) -> None:
    client, job = browse(), make_status("failed")
    settings.DATABASE_ROUTERS = [Replicated()]

    begun = client.get(confirm(client, "remove", "span=all", typed="1").url)
    runner.run_pending()
    operation = Operation.objects.get()
    undone = client.post(f"/admin/jobs/operations/{operation.pk}/undo/", follow=True)
    saved = client.post("/admin/jobs/views/", {"name": "mine", "page": "list", "query": ""}, follow=True)
    pages = [
        client.get(address)
        for address in ("/admin/jobs/", "/admin/jobs/operations/", "/admin/jobs/api/operations/", f"/admin/jobs/{job.id}/")
    ]

    assert {answer.status_code for answer in (begun, undone, saved, *pages[:3])} == {200} and pages[3].status_code == 404
    assert operation.changed == 1 and Operation.objects.count() == 2 and SavedView.objects.get().name == "mine"


# Old operations


@pytest.mark.django_db
def test_removing_old_operations_loads_none_and_asks_the_store_nothing(round_trips: list[Any], django_assert_max_num_queries: Any) -> None:
    Operation.objects.bulk_create(Operation(action="kill", state=States.DONE) for _ in range(1_000))
    Operation.objects.update(created_at=ago(200))
    round_trips.clear()

    with django_assert_max_num_queries(3 * (2 + 3)) as asked_for:
        assert sum(outdated.removed()) == 1_000

    assert round_trips == [] and not Operation.objects.exists()
    assert not [query for query in asked_for.captured_queries if "undo_token" in query["sql"].partition("FROM")[0]]


@pytest.mark.django_db
def test_one_that_is_just_being_taken_back_stays_while_others_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outdated, "_BATCH", 2)
    for number in range(5):
        Operation.objects.create(action="remove", state=States.DONE, undo_token=str(number))
    Operation.objects.update(created_at=ago(200))
    kept = Operation.objects.order_by("pk")[2]
    Operation.objects.create(action="restore", plan={"of": kept.pk})

    assert sum(outdated.removed()) == 4
    assert set(Operation.objects.filter(action="remove")) == {kept}
