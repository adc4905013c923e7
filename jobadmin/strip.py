"""The slim strip above the list: how many jobs each state and flag has under the filter, each a toggle."""

from __future__ import annotations

from dataclasses import dataclass

from jobadmin.filters import FLAGS, JobFilter
from jobadmin.panels import flag_counts
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
    flags = flag_counts(report)

    def tile(parameter: str, name: str, number: int) -> SlimTile:
        chosen = jobs.states if parameter == "state" else jobs.flags
        url = jobs.toggled(parameter, name).url("list")
        return SlimTile(name=name, count=number, is_on=name in chosen, url=url)

    return {
        "states": tuple(tile("state", state.value, report.counts[state]) for state in State),
        "flags": tuple(tile("flag", flag, flags[flag]) for flag in FLAGS),
    }
