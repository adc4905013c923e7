"""Answers about a store that has not changed since: who looks again, or turns the chart, waits for no second count.

An answer is named by the store's version and by the question itself, so that it is never out of date, and kept where it is of that
version: what was read may be newer, or come from a replica that is behind. What moves without a new version, signs of life, is no
matter for it. Each process keeps its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Mapping
from threading import Lock
from typing import Any

import statuses
from statuses import Query, Report, Version

#: Answers kept: some pages, each with a handful.
MOST = 64

#: Which jobs, and what `Query.report` takes.
Question = tuple[Query, Mapping[str, Any]]

_lock = Lock()
_answers: OrderedDict[Hashable, Any] = OrderedDict()


def reports(version: Version | None, asked: Mapping[str, Question], *, moving: Collection[str] = ()) -> dict[str, Report]:
    """Reports by name: those that are known in this version, the others from one read; of the `moving` ones, or without a version,
    none is. They are shared: nobody may change them."""
    lasting = {name: question for name, question in asked.items() if name not in moving}
    found = {name: report for name, question in lasting.items() if (report := known(version, *question)) is not None}
    missing = [name for name in asked if name not in found]
    read = dict(zip(missing, statuses.together(*(asked[name] for name in missing)), strict=True)) if missing else {}
    for name in lasting.keys() & read.keys():
        keep_report(version, *asked[name], read[name])
    return found | read


def known(version: Version | None, query: Query, asked: Mapping[str, Any]) -> Any | None:
    """What was answered in this version; None where it is not known."""
    if version is None:
        return None
    key = version.text, query, repr(asked)
    with _lock:
        found = _answers.get(key)
        if found is not None:
            _answers.move_to_end(key)
        return found


def keep_report(version: Version | None, query: Query, asked: Mapping[str, Any], report: Report) -> None:
    """Hold on to a report, where it says itself that it is of this version."""
    if version is not None and version.text == report.version:
        keep(version, query, asked, report)


def keep(version: Version | None, query: Query, asked: Mapping[str, Any], answer: Any) -> None:
    """Hold on to an answer that holds in this version; what was looked at longest ago goes first."""
    if version is None:
        return
    with _lock:
        _answers[version.text, query, repr(asked)] = answer
        if len(_answers) > MOST:
            _answers.popitem(last=False)


def forget() -> None:
    """Forget every answer."""
    with _lock:
        _answers.clear()
