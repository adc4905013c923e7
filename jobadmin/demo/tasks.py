"""The demo's short jobs. Each does real work on the packages installed here, and fails only where that really fails."""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from celery import Task, chord

from . import packages
from .celeryapp import app
from .places import REPORTS, SEARCH_INDEX

#: Seconds to wait for the search index while somebody else writes it; then the job is retried.
LOCK_SECONDS = 0.01


@app.task(name="packages.hash_file")
def hash_file(package: str, path: str) -> dict[str, Any]:
    """SHA-256 and size of one file."""
    content = packages.find(package).read(path)
    return {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@app.task(name="packages.count_lines")
def count_lines(package: str, path: str, module: str) -> dict[str, Any]:
    """Lines of one source file and the share of them that are comments. An empty file has no share."""
    lines = packages.find(package).read(path).decode().splitlines()
    comments = sum(line.lstrip().startswith("#") for line in lines)
    return {"lines": len(lines), "comments": comments, "share": round(comments / len(lines), 3)}


@app.task(name="packages.compile_source")
def compile_source(package: str, path: str) -> dict[str, Any]:
    """Size of one file's byte code. Templates and Cython do not parse."""
    code = compile(packages.find(package).read(path), path, "exec", dont_inherit=True)
    return {"path": path, "names": len(code.co_names), "constants": len(code.co_consts)}


@app.task(name="packages.read_text")
def read_text(package: str, path: str) -> dict[str, Any]:
    """The words of one text file. Some files are no text."""
    text = packages.find(package).read(path).decode("utf-8")
    return {"path": path, "characters": len(text), "words": len(packages.words(text.encode()))}


@app.task(name="packages.check_imports")
def check_imports(package: str, path: str, module: str) -> dict[str, Any]:
    """What one module imports. Optional drivers and the like are often not installed."""
    tree = ast.parse(packages.find(package).read(path))
    names = sorted(_imported(tree))
    for name in names:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            importlib.import_module(name)  # raises what the module itself would raise
    return {"imports": names}


def _imported(tree: ast.AST) -> set[str]:
    """First parts of the names imported absolutely anywhere in a module."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@app.task(
    name="search.index_package",
    autoretry_for=(sqlite3.OperationalError,),
    max_retries=3,
    retry_backoff=1,
    retry_jitter=True,
)
def index_package(package: str) -> dict[str, Any]:
    """Writes the words of one package's sources into the search index; retried while another job holds its lock."""
    found = packages.find(package)
    SEARCH_INDEX.parent.mkdir(parents=True, exist_ok=True)
    index = sqlite3.connect(SEARCH_INDEX, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        index.execute("BEGIN IMMEDIATE")
        index.execute("CREATE TABLE IF NOT EXISTS word (package TEXT, word TEXT, times INTEGER, PRIMARY KEY (package, word)) WITHOUT ROWID")
        index.execute("DELETE FROM word WHERE package = ?", (found.name,))
        counts = packages.words(b"\n".join(found.read(path) for path in found.ending_in(packages.SOURCES)))
        index.executemany("INSERT INTO word VALUES (?, ?, ?)", ((found.name, word, times) for word, times in counts.items()))
        index.execute("COMMIT")
    finally:
        index.close()
    return {"words": len(counts)}


@app.task(name="packages.audit")
def audit(package: str) -> dict[str, Any]:
    """Starts four checks of one package, and a summary when all of them succeed: its children."""
    _report(package).unlink(missing_ok=True)
    checks = [check.s(package) for check in (measure_sources, compile_package, read_licence, list_entry_points)]
    chord(checks)(summarise.s(package=package))
    return {"checks": len(checks)}


@app.task(name="packages.audit.measure_sources")
def measure_sources(package: str) -> dict[str, Any]:
    """Lines and bytes of all sources."""
    found = packages.find(package)
    contents = [found.read(path) for path in found.ending_in(packages.SOURCES)]
    return {"files": len(contents), "lines": sum(c.count(b"\n") for c in contents), "bytes": sum(map(len, contents))}


@app.task(name="packages.audit.compile_package")
def compile_package(package: str) -> dict[str, Any]:
    """Compiles the first fifty sources."""
    found = packages.find(package)
    paths = found.ending_in(packages.SOURCES)[:50]
    for path in paths:
        compile(found.read(path), path, "exec", dont_inherit=True)
    return {"compiled": len(paths)}


@app.task(name="packages.audit.read_licence")
def read_licence(package: str) -> dict[str, Any]:
    """First line of the licence. Not every package brings its text along."""
    found = packages.find(package)
    texts = [f for f in found.files if Path(f).name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    if not texts:
        raise FileNotFoundError(f"{found.name} {found.version} has no licence file")
    lines = found.read(texts[0]).decode("utf-8").split("\n")
    return {"licence": next((line.strip() for line in lines if line.strip()), "")}


@app.task(name="packages.audit.list_entry_points")
def list_entry_points(package: str) -> dict[str, Any]:
    """The commands and plugins a package announces."""
    points = importlib.metadata.distribution(packages.find(package).name).entry_points
    return {"entry_points": [f"{point.group}: {point.name}" for point in points]}


@app.task(name="reports.summarise")
def summarise(results: list[dict[str, Any]], package: str) -> dict[str, Any]:
    """Puts the results of an audit into one report file."""
    summary = {name: value for result in results for name, value in result.items()}
    REPORTS.mkdir(parents=True, exist_ok=True)
    _report(package).write_text(json.dumps(summary, indent=1))
    return summary


@app.task(name="reports.publish", bind=True, max_retries=4)
def publish(self: Task, package: str) -> dict[str, Any]:
    """Reads the report of an audit; asks again, a few times, while it is not there."""
    try:
        content = _report(package).read_text()
    except FileNotFoundError as missing:
        raise self.retry(exc=missing, countdown=2) from missing
    return {"published": package, "bytes": len(content)}


def _report(package: str) -> Path:
    return REPORTS / f"{package.removeprefix('Package:')}.json"
