"""What stands around an engine's own function takes, and hands on, what a later version may give to that."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dramatiq
import pytest
from huey import MemoryHuey

from statuses.engines.django_tasks import presence as django_presence
from statuses.engines.dramatiq import middleware
from statuses.engines.dramatiq import presence as dramatiq_presence
from statuses.engines.huey import presence as huey_presence

ENGINES = Path(__file__).parents[3] / "statuses" / "engines"


def wrappers() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(ENGINES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(ast.unparse(one).startswith("functools.wraps") for one in node.decorator_list):
                yield f"{path.relative_to(ENGINES)}:{node.lineno}", node


def test_every_wrapper_takes_whatever_it_is_given() -> None:
    found = dict(wrappers())

    assert len(found) > 20
    assert not [place for place, node in found.items() if node.args.vararg is None or node.args.kwarg is None]


@pytest.mark.parametrize("kind", [middleware.Tracking, dramatiq_presence.Present])
def test_every_hook_of_dramatiq_takes_whatever_it_is_given(kind: type) -> None:
    hooks = {
        name: found for name, found in vars(kind).items() if name.startswith(("before_", "after_")) and hasattr(dramatiq.Middleware, name)
    }

    assert len(hooks) > 6
    for name, hook in hooks.items():
        kinds = {parameter.kind for parameter in inspect.signature(hook).parameters.values()}
        assert {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD} <= kinds, name


def test_what_hueys_consumer_is_given_reaches_it() -> None:
    given: list[Any] = []

    def hears(name: str) -> Any:
        return lambda *args, **kwargs: given.append((name, args, kwargs))

    present = huey_presence.Present(MemoryHuey("later"), SimpleNamespace(run=lambda *_: None), "huey", list)  # ty: ignore
    consumer = SimpleNamespace(start=hears("start"), stop=hears("stop"))
    present._begin = lambda consumer: None  # ty: ignore
    present._follow(consumer)

    consumer.start(1, fast=True)
    consumer.stop(True, why="late")

    assert given == [("start", (1,), {"fast": True}), ("stop", (True,), {"why": "late"})]


def test_what_a_worker_of_django_tasks_is_given_reaches_it_and_so_does_what_it_gives() -> None:
    run = django_presence._watched(lambda worker, *args, **kwargs: (worker, args, kwargs), lambda: None)

    assert run("worker", 1, until="late") == ("worker", (1,), {"until": "late"})
