"""A job that is sent by its name runs as if the project's own code had sent it; a name that no engine knows sends nothing."""

import sys
import types
from collections.abc import Iterator

import pytest

import statuses
from statuses import EngineCannot, NotRegistered, State
from statuses.engines import Engine, registry, submitting
from statuses.engines.rq import submitting as rq_functions
from tests.projects.running import Project

#: Where the projects declare `add`, for RQ has to be told of each function.
NAMES = {"rq": "tests.projects.rq_project.add"}


def name_of(project: Project) -> str:
    """The job name of the project's `add`."""
    return NAMES.get(project.name) or project.send("add", 0, 0).job_name


@pytest.mark.usefixtures("shared")
def test_a_job_is_sent_by_its_name_and_runs(project: Project) -> None:
    name = name_of(project)

    job = statuses.at(project.ask("submit", name, 20, y=22, queue="main", user="api"))

    project.ended(job)
    assert (job.state, job.data, job.user, job.engine, job.job_name) == (State.succeeded, {"result": 42}, "api", project.name, name)
    assert (job.call["args"], job.call["kwargs"]) == ([20], {"y": 22})
    assert project.ask("knows", name)


def test_it_waits_in_the_queue_that_was_named_or_the_engine_says_why_not(project: Project) -> None:
    name = name_of(project)
    if project.name == "huey":
        with pytest.raises(EngineCannot, match="this Huey has one queue"):
            project.ask("submit", name, 1, 2, queue="elsewhere")
        return
    if project.name == "dramatiq":
        with pytest.raises(EngineCannot, match="declares the queue elsewhere"):
            project.ask("submit", name, 1, 2, queue="elsewhere")
        project.ask("declare", "nobody")

    job = statuses.at(project.ask("submit", name, 1, 2, queue="nobody"))

    assert (job.state, job.queue, job.user) == (State.queued, "nobody", None)


@pytest.mark.parametrize("name", ["os.system", "celery.backend_cleanup", "tests.projects.work.note", "no such job", "", "."])
def test_a_name_that_the_project_did_not_declare_sends_nothing(project: Project, name: str) -> None:
    before = statuses.where(engine=project.name).count()

    assert not project.ask("knows", name)
    with pytest.raises(EngineCannot, match="cannot submit job"):
        project.ask("submit", name, "true")
    assert statuses.where(engine=project.name).count() == before


def test_a_name_with_a_slip_of_the_pen_is_answered_with_the_nearest(project: Project) -> None:
    name = name_of(project)

    with pytest.raises(EngineCannot, match=f"there is {name}"):
        project.ask("submit", name + "s", 1, 2)


def test_arguments_that_the_job_does_not_take_send_nothing(project: Project) -> None:
    name, before = name_of(project), statuses.where(engine=project.name).count()

    with pytest.raises(RuntimeError, match="TypeError"):
        project.ask("submit", name, 1, 2, 3)
    assert statuses.where(engine=project.name, state=["queued", "unqueued"]).count() <= before


def test_an_engine_that_cannot_says_so() -> None:
    class Plain(Engine):
        name = "plain"

    with pytest.raises(EngineCannot, match=r"plain cannot submit job mail\.send: it cannot send a job by its name"):
        Plain().submit("mail.send")
    assert not Plain().can_submit and not Plain().knows("mail.send")


def test_a_name_never_imports_a_module() -> None:
    sys.modules.pop("antigravity", None)

    assert submitting.loaded("antigravity.geohash") is None
    assert "antigravity" not in sys.modules


def test_a_name_makes_nothing_that_a_module_makes_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("lazy")
    exec("def __getattr__(name): raise AssertionError(name)", vars(module))
    monkeypatch.setitem(sys.modules, "lazy", module)

    assert submitting.loaded("lazy.task") is None


def test_a_function_with_a_delay_of_another_kind_is_no_job_of_rq(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("shop")
    exec("def pay(): pass\npay.delay = lambda: None", vars(module))
    monkeypatch.setitem(sys.modules, "shop", module)

    assert rq_functions.find("shop.pay") is None


@pytest.mark.usefixtures("no_engines")
def test_a_name_that_is_not_registered_is_an_error_of_its_own() -> None:
    error = submitting.not_registered(Post("post", "mail.send"), "mail.sent")

    assert isinstance(error, NotRegistered) and isinstance(error, EngineCannot)
    assert str(error) == "post cannot submit job mail.sent: it is not there, there is mail.send"


class Post(Engine):
    """Knows one job."""

    can_submit = True

    def __init__(self, name: str, job_name: str, fails: str = "") -> None:
        self.name, self.job_name, self.fails = name, job_name, fails

    def knows(self, job_name: str) -> bool:
        if self.fails:
            raise EngineCannot(job_name, self.name, "submit", self.fails)
        return job_name == self.job_name

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, [self.job_name], "it is not there")


@pytest.fixture
def posts(no_engines: None) -> Iterator[list[Engine]]:
    class Silent(Engine):
        name = "silent"

    found = [Post("letters", "mail.send"), Post("parcels", "depot.load"), Post("trains", "", fails="no rails"), Silent()]
    for engine in found:
        registry.register(engine)
    yield found
    for engine in found:
        registry.unregister(engine.name)


def test_where_no_engine_knows_a_name_each_that_could_send_it_says_why_by_its_name(posts: list[Engine]) -> None:
    letters, parcels, *_ = posts

    assert submitting.not_registered(parcels, "mail.sent").why == (
        "parcels: it is not there; letters: it is not there, there is mail.send; trains: no rails"
    )
    assert submitting.not_registered(letters, "depot.load").why == (
        "letters: it is not there; parcels: it knows the name; trains: no rails"
    )
