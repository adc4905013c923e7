"""What later versions of RQ may give to its functions harms no job."""

import inspect
from typing import Any

import pytest
import redis
import rq.job
from rq.job import JobStatus

from statuses.engines.rq import Job, job, tracking
from statuses.engines.rq.marks import Mark

WRAPPERS = (job._forking, job._failing, job._succeeding, job._calling_back, job._unique, job._letting_go)


@pytest.fixture(autouse=True)
def _no_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job.last_words, "listen", lambda *_: None)


def made() -> Job:
    found = Job(id="of-later", connection=redis.Redis(port=1))
    found._tracking.mark = Mark(status_id=None)
    return found


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda wrapper: wrapper.__name__)
@pytest.mark.parametrize("by_name", [False, True])
def test_a_wrapped_function_is_given_whatever_it_was_given(wrapper: Any, by_name: bool) -> None:
    given: list[Any] = []

    def original(*args: Any, **kwargs: Any) -> None:
        given.append((args, kwargs))

    own, plain = made(), rq.job.Job(id="plain", connection=redis.Redis(port=1))
    for one in (own, plain):
        args = ("worker",) if by_name else ("worker", one, "queue", None, "it died", "and more")
        kwargs = {"unheard_of": 1, **({"job": one, "exc_string": "it died"} if by_name else {})}

        wrapper(original)(*args, **kwargs)

        assert given.pop() == (args, kwargs)


def test_why_a_job_died_is_heard_by_place_and_by_name() -> None:
    for args, kwargs in [(("queue", None, "it died"), {}), (("queue",), {"exc_string": "it died", "execution": object()})]:
        own = made()

        job._failing(lambda *args, **kwargs: None)(object(), own, *args, **kwargs)

        assert own._tracking.error == "it died"


def test_every_method_that_stands_in_place_of_one_of_rqs_takes_what_that_may_take() -> None:
    ours = {name: method for name, method in vars(Job).items() if inspect.isfunction(method) and hasattr(rq.job.Job, name)}

    assert {"perform", "prepare_for_execution", "set_status", "save", "_handle_failure"} <= set(ours)
    for name, method in ours.items():
        kinds = {parameter.kind for parameter in inspect.signature(method, follow_wrapped=False).parameters.values()}
        assert {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds, name


def test_a_start_that_rq_tells_in_another_way_is_followed_no_more_and_happens(caplog: pytest.LogCaptureFixture) -> None:
    own = made()

    own._tracking.starts(nobody_knows="what")

    assert own._tracking.run is None
    assert "following an RQ job failed" in caplog.text


def test_the_states_in_which_a_job_waits_are_all_that_rq_has() -> None:
    over = tracking.OVER | {JobStatus.CREATED}

    assert set(JobStatus) == over | tracking.WAITING
    assert not over & tracking.WAITING
