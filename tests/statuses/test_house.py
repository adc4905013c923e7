"""The rooms of the house: which may know of which."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEVEL_0 = {"arguments", "conditions", "states", "errors", "keys", "columns", "ids", "clock", "encoding", "config"}


@functools.cache
def imports(path: Path) -> set[str]:
    """Every module a file imports at its top or inside functions; relative ones as `statuses.x`; not those for types only."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT).with_suffix("").parts[: -node.level] if node.level else ()
            base = ".".join([*package, *([node.module] if node.module else [])])
            found.add(base)
            if node.level:
                found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def files(folder: str) -> list[Path]:
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "/." not in str(path)]


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", files("statuses"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_status_service_knows_redis_and_django_at_one_door_each(path):
    name = str(path.relative_to(ROOT / "statuses"))

    assert "redis" not in tops(path) or name in {"store.py", "along.py", "lines.py", "cluster.py", "embedded.py", "refusals.py"}
    assert not tops(path) & {"django", "django_redis"} or name in {"apps.py", "checks.py"} or name.startswith("engines/django_tasks")
    assert "jobadmin" not in tops(path)


@pytest.mark.parametrize("name", sorted(LEVEL_0))
def test_level_0_holds_facts_only(name):
    found = imports(ROOT / "statuses" / f"{name}.py")

    own = {module.split(".")[1] for module in found if module.startswith("statuses.") and module.count(".") == 1}
    assert own <= LEVEL_0
    assert not {module.split(".")[0] for module in found} & {"redis", "numpy", "django"}


@pytest.mark.parametrize("path", files("jobadmin"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_dashboard_knows_only_the_public_names_of_the_status_service(path):
    demo = "demo" in path.parts
    inside = {"statuses.store", "statuses.keys", "statuses.scripts", "statuses.lua", "statuses.segments", "statuses.record"}

    assert "redis" not in tops(path) or demo
    assert not inside & imports(path)


def test_engines_do_not_know_each_other():
    engines = {"celery", "rq", "django_tasks", "dramatiq", "huey"}
    for path in files("statuses/engines"):
        mine = path.relative_to(ROOT / "statuses" / "engines").parts[0].removesuffix(".py")
        known = {module.split(".")[2] for module in imports(path) if module.startswith("statuses.engines.")}
        assert known & engines <= {mine}, path


@pytest.mark.parametrize("module", ["numpy", "django"])
def test_a_worker_that_only_writes_loads_neither_numpy_nor_django(module):
    code = f"import statuses, statuses.track, sys; assert {module!r} not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("say", [("check",), ("format", "--check")], ids=" ".join)
def test_the_linter_has_nothing_to_say(say):
    pytest.importorskip("ruff")  # left out where it has no build for the machine

    found = subprocess.run([sys.executable, "-m", "ruff", *say, "--no-cache", str(ROOT)], capture_output=True, text=True)

    assert found.returncode == 0, found.stdout[-2000:]


def test_the_types_of_the_service_fit_together():
    pytest.importorskip("ty")  # left out where it has no build for the machine

    said = [sys.executable, "-m", "ty", "check", "--python", sys.prefix, "--output-format", "concise", "statuses"]
    found = subprocess.run(said, capture_output=True, text=True, cwd=ROOT)

    assert found.returncode == 0, found.stdout[-2000:]
