"""What goes from one process to another, or into a set: statuses, errors, queries."""

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

import statuses
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")

ERRORS = [
    statuses.StoreUnavailable("create", "it hangs"),
    statuses.ScriptFailed("create", "WRONGTYPE"),
    statuses.StoreFormat(3, 1),
    statuses.StatusNotFound("x"),
    statuses.StatusExists("x"),
    statuses.NotCompleted("x", "queued"),
    statuses.NotCompleted(None, "queued", 7),
    statuses.ReadOnlyAttempt("x:0"),
    statuses.KillRequested("x", "ann", "why"),
    statuses.EngineCannot("x", "celery", "kill", "no"),
    statuses.NotRegistered("x", "celery", "submit", "no"),
    statuses.StoreCleared(),
    statuses.TooManyPauses("q", 100),
    statuses.LimitedQuery("counts"),
    statuses.ConfigurationError("namespace"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_in_another_process(error):
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert str(copy.copy(error)) == str(error)


def test_every_error_is_tried_here():
    classes = {kind for kind in vars(statuses).values() if isinstance(kind, type) and issubclass(kind, statuses.StatusesError)}

    assert classes - {type(error) for error in ERRORS} == {statuses.StatusesError}


def configure(url: str, namespace: str) -> None:
    statuses.configure(url=url, namespace=namespace)


def finish(part: statuses.Status, number: int) -> statuses.Status:
    return part.started().save(number).succeeded()


def test_what_spawn_gives_is_written_to_by_a_pool_of_processes():
    config = statuses.store.current().config
    parent = make_status("started", job_name="top")
    parts = [parent.spawn("part") for _ in range(4)]

    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawning, initializer=configure, initargs=(config.url, config.namespace)) as pool:
        given = list(pool.map(finish, parts, range(4)))

    assert given == parts
    assert [part.reload().data for part in parts] == [0, 1, 2, 3]
    assert parent.children.counts()["succeeded"] == 4


def test_a_status_is_a_handle_wherever_it_is_copied_to():
    own, generated = make_status("failed", id="own"), make_status("started")
    attempt = own.started().prior_attempts[0]
    with statuses.track("a") as tracked:
        assert pickle.loads(pickle.dumps(tracked)) == tracked

    for status in (own, generated, attempt):
        again = pickle.loads(pickle.dumps(status))
        assert (again, again.state, again.attempt) == (status, status.state, status.attempt)
    assert copy.deepcopy(generated).succeeded().is_succeeded
    own.delete(force=True)
    with pytest.raises(statuses.StatusNotFound):
        pickle.loads(pickle.dumps(attempt))


def test_a_query_can_be_handed_on():
    make_status("failed", job_name="a")
    query = statuses.where(job_name="a").exclude(state="started").order_by("run_time")[:5]

    assert pickle.loads(pickle.dumps(query)).ids() == query.ids() != []


def test_statuses_of_one_job_are_one_in_a_set_and_pages_equal_lists():
    status = make_status("failed")

    assert {status, statuses.at(status.id), statuses.find(status.id)} == {status}
    assert status != status.id
    assert statuses.all().run() == [status] and statuses.all().run() != []
