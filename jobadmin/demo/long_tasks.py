"""The demo's long jobs: seconds to a minute. They rest between their steps, so that the machine stays anybody's."""

import base64
import contextlib
import csv
import difflib
import hashlib
import shutil
import time
from collections.abc import Generator, Iterator
from typing import Any

import statuses

from . import packages
from .celeryapp import app
from .places import VAR

#: Seconds it rests at most after one step; so that it hears a kill request soon.
LONGEST_REST_SECONDS = 2.0


class Pace:
    """Keeps a job to its share of one core, by resting in proportion to what each step took."""

    def __init__(self, share: float) -> None:
        self.rest_for_second = 1 / share - 1

    @contextlib.contextmanager
    def step(self) -> Generator[None]:
        """One step of work, and the rest after it."""
        began = time.process_time()
        yield
        time.sleep(min((time.process_time() - began) * self.rest_for_second, LONGEST_REST_SECONDS))


@app.task(name="search.rebuild")
def rebuild_index() -> dict[str, Any]:
    """Counts the words of every package, with progress; looks at each step whether somebody asked it to end."""
    job, pace = statuses.current(), Pace(share=0.04)
    total: dict[str, int] = {}
    found = list(packages.installed().values())
    for number, package in enumerate(found):
        if job:
            job.set_progress(number, len(found), message=f"reading {package.name}")
        for some in _slices(package.ending_in(packages.SOURCES), 20):
            if job:
                job.check_kill()
            with pace.step():
                for word, times in packages.words(b"\n".join(map(package.read, some))).items():
                    total[word] = total.get(word, 0) + times
    return {"packages": len(found), "words": len(total), "most": sorted(total, key=lambda word: -total[word])[:10]}


@app.task(name="packages.verify_all")
def verify_all() -> dict[str, Any]:
    """Compares every file with the hash in its package's RECORD. It never looks up: only *Kill now* ends it early."""
    pace, checked, differing = Pace(share=0.025), 0, []
    for package in packages.installed().values():
        recorded = list(_recorded(package))
        for some in _slices(recorded, 50):
            with pace.step():
                for path, expected in some:
                    checked += 1
                    if _digest(package, path) != expected:
                        differing.append(path)
    return {"files": checked, "differing": differing}


@app.task(name="reports.find_similar", soft_time_limit=4)
def find_similar(package: str) -> dict[str, Any]:
    """Pairs of sources that are much alike. Big packages do not get through in their time limit."""
    found, pairs, pace = packages.find(package), [], Pace(share=0.5)
    texts = [(path, found.read(path).decode(errors="replace")[:20_000]) for path in found.ending_in(packages.SOURCES)]
    for number, (path, text) in enumerate(texts):
        with pace.step():
            matcher = difflib.SequenceMatcher(b=text, autojunk=True)
            for other, other_text in texts[:number]:
                matcher.set_seq1(other_text)
                if matcher.real_quick_ratio() > 0.9 and matcher.quick_ratio() > 0.9:
                    pairs.append([other, path])
    return {"files": len(texts), "similar": pairs}


@app.task(name="reports.sizes")
def sizes() -> dict[str, Any]:
    """Bytes of every package, each measured in a child of its own: one job here, many statuses."""
    job, pace = statuses.current(), Pace(share=0.3)
    measured: dict[str, int] = {}
    found = list(packages.installed().values())
    for package in found:
        child = job.spawn("reports.sizes.package", job_args={"package": package.resource}) if job else None
        with pace.step():
            if child:
                child.started()
            measured[package.name] = sum((package.root / path).stat().st_size for path in package.files)
            if child:
                child.save({"bytes": measured[package.name]}).succeeded()
        if job:
            job.set_progress(len(measured), len(found), message=package.name)
            job.check_kill()
    return {"bytes": sum(measured.values()), "largest": sorted(measured, key=lambda name: -measured[name])[:5]}


@app.task(name="reports.disk")
def disk() -> dict[str, int]:
    """How much room the demo's disk has; beat sends it once a minute."""
    usage = shutil.disk_usage(VAR)
    return {"bytes": usage.total, "free": usage.free}


@app.task(name="jobs.clean")
def clean_jobs() -> dict[str, Any]:
    """Removes the jobs whose time is over, as a project's own nightly job would."""
    return {"removed": statuses.clean().removed}


def _slices(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _recorded(package: packages.Package) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 (url-safe base64 without padding) of each file its RECORD has a hash for."""
    record = next((path for path in package.files if path.endswith(".dist-info/RECORD")), None)
    if record is None:
        return
    known = frozenset(package.files)
    for path, digest, *_ in csv.reader(package.read(record).decode().splitlines()):
        if digest.startswith("sha256=") and path in known:
            yield path, digest.removeprefix("sha256=")


def _digest(package: packages.Package, path: str) -> str:
    digest = hashlib.sha256(package.read(path)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
