"""A write whose reply was lost is applied once, and says what it did; a call that never arrived is sent again."""

from dataclasses import asdict
from datetime import timedelta

import pytest

import statuses
from statuses import State, clock, scripts, segmentscripts
from statuses.testing import frozen_clock, make_status
from tests.statuses.proxy import Proxy

NAMESPACES = (f"lost{n}" for n in range(10**6))


@pytest.fixture
def proxy(server, store, tmp_path):
    with Proxy(tmp_path, server.socket) as between, frozen_clock():
        yield between


def records(number):
    return [{"job_name": "old", "id": f"own{n}", "state": "failed", "errors": ["e"], "job_args": {"a": "Book:1"}} for n in range(number)]


#: Verb -> (script whose call is cut, how the job came to be, what is done then).
VERBS = {
    "create": ("create", lambda: None, lambda job: statuses.create(job_name="new", job_args={"a": "Book:1"}, data=[1])),
    "create under an own id": ("create", lambda: None, lambda job: statuses.create(id="own", job_name="new")),
    "create where a removed one had the id": (
        "create",
        lambda: statuses.create(id="own", state="failed").delete(),
        lambda job: statuses.create(id="own", job_name="new"),
    ),
    "find or create": ("create", lambda: None, lambda job: statuses.find_or_create("own")),
    "spawn": ("create", lambda: make_status("started"), lambda job: job.spawn("part")),
    "queued": ("move", lambda: statuses.create(), lambda job: job.queued()),
    "a guarded move": ("move", lambda: make_status("queued"), lambda job: job.killed(sources={"queued"}, attempt=0)),
    "a guarded move that may not be": ("move", lambda: make_status("started"), lambda job: job.killed(sources={"queued"})),
    "succeeded": ("move", lambda: make_status("started"), lambda job: job.succeeded()),
    "failed with its error": ("finish", lambda: make_status("started"), lambda job: job.failed(error={"class": "Boom"})),
    "succeeded with data": ("finish", lambda: make_status("started"), lambda job: job.succeeded(data={"n": 1})),
    "succeeded where data is kept": ("finish", lambda: make_status("started").save([1]), lambda job: job.succeeded(data={"n": 1})),
    "started": ("start", lambda: make_status("queued"), lambda job: job.started(worker="w")),
    "started by an attempt": ("start", lambda: make_status("queued"), lambda job: job.started(worker="w", attempt=0)),
    "started by a source": ("start", lambda: make_status("queued"), lambda job: job.started(sources={"queued"})),
    "restarted": ("start", lambda: make_status("succeeded").save([1]), lambda job: job.started(worker="w")),
    "requeued": ("requeue", lambda: make_status("failed", error="e"), lambda job: job.requeued()),
    "requeued for the first time": ("requeue", lambda: statuses.create(), lambda job: job.requeued()),
    "add_error": ("error", lambda: make_status("started", error="e"), lambda job: job.add_error("e")),
    "request_kill": ("kill", lambda: make_status("started"), lambda job: job.request_kill(by="ops", reason="why")),
    "request_kill that ends": ("kill", lambda: make_status("queued"), lambda job: job.request_kill(by="ops", end_queued=True)),
    "kill_now": ("kill", lambda: make_status("queued"), lambda job: job.kill_now(by="ops")),
    "progress": ("note", lambda: make_status("started"), lambda job: job.set_progress(1, 4, message="m")),
    "save": ("note", lambda: make_status("started"), lambda job: job.save({"a": 1})),
    "heartbeat": ("note", lambda: make_status("started"), lambda job: job.heartbeat()),
    "set_job_args": ("tag", lambda: make_status("started", job_args={"a": "Book:1"}), lambda job: job.set_job_args({"a": "Book:2"})),
    "set_provider_job_id": ("tag", lambda: make_status("started"), lambda job: job.set_provider_job_id("p")),
    "set_job_name": ("label", lambda: make_status("started"), lambda job: job.set_job_name("renamed")),
    "keep_for": ("label", lambda: make_status("started"), lambda job: job.keep_for(timedelta(1))),
    "delete": ("bulk", lambda: make_status("failed", error="e"), lambda job: job.delete()),
    "delete_all": ("bulk", lambda: make_status("failed"), lambda job: statuses.all().delete_all()),
    "request_kill_all": ("bulk", lambda: make_status("started"), lambda job: statuses.all().request_kill_all(by="ops", reason="w" * 99)),
    "kill what waits": ("bulk", lambda: make_status("queued"), lambda job: statuses.all().request_kill_all(end_queued=True)),
    "remove": (
        "bulk",
        lambda: make_status("failed"),
        lambda job: statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10)),
    ),
    "restore": (
        "bulk",
        lambda: statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=10)) if make_status("failed", id="own") else None,
        lambda removal: statuses.restore(removal.undo),
    ),
    "load": ("load", lambda: None, lambda job: statuses.load(records(600))),
    "reserve": ("reserve", lambda: None, lambda job: statuses.load(records(3))),
    "clear_all": ("segment", lambda: make_status("failed"), lambda job: statuses.clear_all()),
}


def told(result):
    """What a verb gave back, without what is chance about it."""
    if isinstance(result, statuses.Status):
        return result.changed, picture(result)
    if isinstance(result, statuses.Changed):
        return asdict(result)
    return result


def picture(status):
    names = ("state", "attempt", "progress", "progress_message", "errors", "data", "job_name", "job_args", "queue", "worker")
    names += ("provider_job_id", "recorded_at", "queued_at", "started_at", "ended_at", "killed_at", "run_time", "wait_time", "error_group")
    names += ("kill_requested_at", "kill_requested_by", "kill_reason", "heartbeat_at", "expires_at")
    now = statuses.find(status.id)
    if now is None:
        return "gone"
    return {name: getattr(now, name) for name in names} | {"prior": [{n: getattr(p, n) for n in names[:-1]} for p in now.prior_attempts]}


def scene(url, prepare, act, between=lambda: None):
    """What a verb gives and leaves behind, in a store of its own."""
    statuses.configure(url=url, namespace=next(NAMESPACES))
    make_status("failed", job_name="neighbour").delete()
    job = prepare()
    between()
    result = act(job)
    found = statuses.all().order_by("recorded_at").run()
    facets = [(facet.value, facet.total) for field in ("job_name", "job_arg", "error") for facet in statuses.all().counts_by(field)]
    return told(result), [picture(status) for status in found], statuses.all().counts(), facets


@pytest.mark.parametrize("reply", [True, False], ids=["reply lost", "request lost"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_write_on_a_line_that_breaks_is_applied_once(server_url, proxy, verb, reply):
    script, prepare, act = VERBS[verb]
    expected = scene(server_url, prepare, act)

    found = scene(proxy.url, prepare, act, between=lambda: proxy.cut(script, reply=reply))

    assert proxy.cuts == 1
    assert found == expected


def test_a_start_whose_reply_was_lost_is_no_restart_by_the_running_clock(proxy):
    clock.freeze(None)
    statuses.configure(url=proxy.url, namespace="lost")
    status = make_status("queued")
    proxy.cut("start")

    status.started()

    assert (status.attempt, status.changed) == (0, True)


def test_others_may_write_between_the_two_sendings(server, tmp_path, server_url, store):
    """The token of a start stands beside its row: a neighbour's write does not hide it."""
    with Proxy(tmp_path, server.socket) as between:
        statuses.configure(url=server_url, namespace="lost")
        neighbours = [make_status("queued") for _ in range(50)]
        status = make_status("queued")
        direct = statuses.collection.store.current()
        statuses.configure(url=between.url, namespace="lost")
        mine = statuses.at(status.id)
        through = statuses.collection.store.current()
        send, sendings = through._evalsha, []

        def busy(*arguments):
            sendings.append(arguments)
            if len(sendings) == 2:
                for neighbour in neighbours:
                    place = neighbour._place()
                    statuses.scripts.start(direct, place, neighbour.id, None, (None, None), False)
            return send(*arguments)

        through._evalsha = busy
        between.cut("start")
        mine.started()
        times = len(sendings)
        direct.close()

        assert (mine.attempt, mine.changed, times) == (0, True, 2)


def test_when_both_replies_are_lost_it_says_so_and_the_job_is_whole(proxy):
    statuses.configure(url=proxy.url, namespace="lost")
    status = make_status("failed")
    proxy.cut("start", times=2)

    with pytest.raises(statuses.StoreUnavailable):
        status.started()

    assert status.reload().attempt == 1
    assert len(status.prior_attempts) == 1


@pytest.mark.parametrize("reply", [True, False], ids=["reply lost", "request lost"])
@pytest.mark.parametrize("verb", ["kill", "delete"])
def test_of_two_calls_on_their_way_one_whose_line_breaks_says_what_it_did(proxy, monkeypatch, verb, reply):
    monkeypatch.setitem(segmentscripts.BULK_ROWS, verb, 2)
    statuses.configure(url=proxy.url, namespace=next(NAMESPACES))
    for _ in range(7):
        make_status("started")
    proxy.cut("bulk", reply=reply)

    done = statuses.all().request_kill_all() if verb == "kill" else statuses.all().delete_all(force=True)

    assert (proxy.cuts, done.changed, done.skipped, done.missing) == (1, 7, 0, 0)


@pytest.mark.parametrize("reply", [True, False], ids=["reply lost", "request lost"])
def test_a_success_that_goes_along_with_another_write_is_told_once(proxy, reply):
    statuses.configure(url=proxy.url, namespace=next(NAMESPACES))
    make_status("started").succeeded()
    job, heard = make_status("started"), []
    scripts.succeed_along(job._store, job._place(), (0, (State.started,)), None, heard.append)
    proxy.cut("move", reply=reply)

    other = make_status("queued")

    assert (proxy.cuts, heard) == (1, [1])
    assert (job.reload().state, other.reload().state) == (State.succeeded, State.queued)
    assert statuses.all().count() == 3


def test_a_call_on_its_way_when_somebody_gives_up_answers_nobody_else(monkeypatch, store):
    monkeypatch.setitem(segmentscripts.BULK_ROWS, "kill", 2)
    made = [make_status("started") for _ in range(7)]

    with pytest.raises(ZeroDivisionError):
        statuses.all().request_kill_all(progress=lambda done, total: 1 / 0)

    assert [statuses.find(status.id).id for status in made] == [status.id for status in made]
    assert statuses.where(kill_requested=True).count() in (2, 4)
    assert statuses.all().request_kill_all().by_reason.keys() == {"requested", "already"}
