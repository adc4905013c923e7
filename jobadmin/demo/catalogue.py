"""The demo's workflow: a catalogue of one package's files. A chain with a group in it, so that its graph can be seen.

choose files -> hash each, read the words of some -> write the catalogue -> compare it with the one before -> sign it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery import Signature, chain, group

from . import packages
from .celeryapp import app
from .places import REPORTS
from .tasks import hash_file, read_text

#: Files of one catalogue that are hashed, and that are read as well.
MOST_HASHED, MOST_READ = 48, 12


def workflow(package: str, paths: Sequence[str]) -> Signature:
    """All of it, to be sent: some files of the package hashed, some of those read. A file that is no text ends it there."""
    hashed = [hash_file.si(package, path) for path in paths[:MOST_HASHED]]
    read = [read_text.si(package, path) for path in paths[:MOST_READ]]
    return chain(choose.si(package, len(paths)), group([*hashed, *read]), write.s(package=package), compare.s(), sign.s())


@app.task(name="catalogue.choose")
def choose(package: str, number: int) -> dict[str, Any]:
    """How much of the package the catalogue covers."""
    found = packages.find(package)
    return {"version": found.version, "files": len(found.files), "chosen": number}


@app.task(name="catalogue.write")
def write(results: list[dict[str, Any]], package: str) -> dict[str, Any]:
    """Writes the hashes into one file, beside the catalogue before it."""
    kept = _path(package)
    REPORTS.mkdir(parents=True, exist_ok=True)
    if kept.exists():
        kept.replace(_before(kept))
    hashes = {result["path"]: result["sha256"] for result in results if "sha256" in result}
    kept.write_text(json.dumps(hashes, indent=1, sort_keys=True))
    return {"catalogue": package, "files": len(hashes), "words": sum(result.get("words", 0) for result in results)}


@app.task(name="catalogue.compare")
def compare(written: dict[str, Any]) -> dict[str, Any]:
    """Which of the files are in the catalogue before it, too, and whether they changed since."""
    kept = _path(written["catalogue"])
    now = json.loads(kept.read_text())
    before = json.loads(_before(kept).read_text()) if _before(kept).exists() else {}
    both = now.keys() & before.keys()
    return {**written, "known": len(both), "changed": sorted(path for path in both if now[path] != before[path])}


@app.task(name="catalogue.sign")
def sign(compared: dict[str, Any]) -> dict[str, Any]:
    """The catalogue's own hash."""
    return {**compared, "sha256": hashlib.sha256(_path(compared["catalogue"]).read_bytes()).hexdigest()}


def _path(package: str) -> Path:
    return REPORTS / f"{package.removeprefix('Package:')}.catalogue.json"


def _before(kept: Path) -> Path:
    return kept.with_suffix(".before.json")
