"""The slim strip above the list: how many jobs each state and flag has under the filter, each a toggle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobadmin.filters import FLAGS, JobFilter
from jobadmin.panels import addresses, flag_counts
from statuses import Report, State


@dataclass(frozen=True, kw_only=True)
class SlimTile:
    """A state or flag with its count."""

    name: str
    count: int
    is_on: bool
    url: str
    """The list with it switched on, or off again."""


def strip(jobs: JobFilter, report: Report) -> dict[str, tuple[SlimTile, ...]]:
    """States and flags apart. They look past the states and flags asked for: each shows what switching it on adds.

    Source: `report`, unless states or flags are asked for; then one more read of the same columns.
    """
    if {"state", "flag"} & jobs.given.keys():
        report = jobs.with_(state=None, flag=None).query.report(counts=True, flags=True)
    flags, links = flag_counts(report), addresses(jobs, "list")

    def tile(name: str, number: int, chosen: Sequence[str]) -> SlimTile:
        return SlimTile(name=name, count=number, is_on=name in chosen, url=links[name].toggle)

    states, flagged = jobs.states, jobs.flags
    return {
        "states": tuple(tile(state.value, report.counts[state], states) for state in State),
        "flags": tuple(tile(flag, flags[flag], flagged) for flag in FLAGS),
    }
