"""Engines by name, and what one says that can do nothing."""

from collections.abc import Callable, Iterator

import pytest

import statuses
from statuses import EngineCannot
from statuses.engines import Engine, registry


class Plain(Engine):
    name = "plain"


@pytest.fixture
def plain() -> Iterator[Plain]:
    engine = Plain()
    registry.register(engine)
    yield engine
    registry.unregister("plain")


def test_an_engine_is_found_by_its_name(plain: Plain) -> None:
    assert registry.get("plain") is plain
    assert plain in registry.all()
    assert registry.get(None) is None
    assert registry.get("unheard of") is None


def test_an_engine_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no name"):
        registry.register(Engine())


@pytest.mark.parametrize("ask", [lambda e, s: e.kill(s), lambda e, s: e.retry(s), lambda e, s: e.workers(), lambda e, s: e.queues()])
def test_what_an_engine_cannot_it_says(plain: Plain, store: object, ask: Callable[[Engine, statuses.Status], object]) -> None:
    status = statuses.create(job_name="tests.job")

    with pytest.raises(EngineCannot, match="plain cannot"):
        ask(plain, status)


def test_every_flag_says_what_it_means() -> None:
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Engine)).body[0].body  # ty: ignore[unresolved-attribute]
    flags = [i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    assert len(flags) == len(Engine.__annotations__)
    assert all(isinstance(body[i + 1], ast.Expr) for i in flags)
