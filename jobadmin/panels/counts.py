"""How many jobs there are in each state, and which of them gave no sign of life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from django.utils.translation import gettext as _

from jobadmin import charts, formats, health, upkeep
from jobadmin.filters import FLAGS, JobFilter, Key
from jobadmin.panels.reading import Reading, flag_counts, series_by_state
from jobadmin.paths import place
from jobadmin.redaction import redact_text
from statuses import State

#: States of which more is bad (marked red), and of which less is good (marked green).
WORSE, BETTER = {"failed", "stale"}, {"failed", "killed"}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A state or flag with its count."""

    name: str
    count: int
    share: str
    delta: formats.Delta | None
    line: str
    area: str
    is_on: bool
    toggle_url: str
    list_url: str


def tiles(reading: Reading, view: str, path_args: tuple[str, ...] = ()) -> dict[str, list[Tile]]:
    """The nine tiles, states and flags apart."""
    counts, flags = reading.tiles.counts, flag_counts(reading.tiles)
    total, series = sum(counts.values()), {**series_by_state(reading.tiles), **{flag: reading.of_flag(flag) for flag in FLAGS}}
    was = {**reading.before.counts, **flag_counts(reading.before)} if reading.before else {}
    links = addresses(reading.jobs, view, path_args)

    def tile(parameter: str, name: str, number: int, share: str) -> Tile:
        line, area = charts.sparkline(series.get(name, ()))
        chosen = reading.jobs.states if parameter == "state" else reading.jobs.flags
        return Tile(
            name=name,
            count=number,
            share=share,
            delta=_delta(reading.jobs, name, number, was.get(name)) if was else None,
            line=line,
            area=area,
            is_on=name in chosen,
            toggle_url=links[name].toggle,
            list_url=links[name].jobs,
        )

    return {
        "states": [
            tile("state", state.value, counts[state], formats.share(counts[state], total)) for state in State
        ],
        "flags": [
            tile("flag", flag, flags[flag], _("of %s") % formats.count(_flaggable(counts, flag))) for flag in FLAGS
        ],
    }  # fmt: skip


class Addresses(NamedTuple):
    """Where a tile leads."""

    toggle: str
    """The page with its state or flag switched on, or off again."""
    jobs: str
    """The list of exactly the jobs it counts."""


def addresses(jobs: JobFilter, view: str, path_args: tuple[str, ...] = ()) -> Mapping[str, Addresses]:
    """State or flag -> where its tile leads: made once for the same filter."""
    if jobs.key is None:
        return _addresses(jobs, view, path_args)
    return _same_addresses(jobs.key, view, path_args, *place())


@lru_cache(maxsize=256)
def _same_addresses(key: Key, view: str, path_args: tuple[str, ...], *_place: str) -> Mapping[str, Addresses]:
    return _addresses(JobFilter.of_key(key), view, path_args)


def _addresses(jobs: JobFilter, view: str, path_args: tuple[str, ...]) -> Mapping[str, Addresses]:
    names = [("state", state.value) for state in State] + [("flag", flag) for flag in FLAGS]
    return {
        name: Addresses(jobs.toggled(parameter, name).url(view, *path_args), _tile_list(jobs, parameter, name).url("list"))
        for parameter, name in names
    }


def _tile_list(jobs: JobFilter, parameter: str, name: str) -> JobFilter:
    """Exactly the jobs a tile counts: tiles look past the states and flags that are asked for."""
    other = "flag" if parameter == "state" else "state"
    return jobs.with_(**{parameter: name, other: None})


def _flaggable(counts: Mapping[State, int], flag: str) -> int:
    """The jobs that could carry the flag: those that run, and for a kill request those that have not ended."""
    states = ("started",) if flag == "stale" else ("unqueued", "queued", "started", "unknown")
    return sum(counts[State(state)] for state in states)


def _delta(jobs: JobFilter, name: str, number: int, before: int | None) -> formats.Delta | None:
    against = str(jobs.preset.before_words) if jobs.preset else _("the period before")
    return formats.delta(number, before or 0, against, worse=name in WORSE, better=name in BETTER)


@dataclass(frozen=True, kw_only=True)
class Stale:
    """Started jobs that gave no sign of life for too long."""

    count: int
    after: str
    """How long is too long."""
    worker: str
    """Where most of them ran."""
    on_worker: int
    is_left: bool
    """Whether no reaper runs that would give them up."""


def stale(reading: Reading) -> Stale | None:
    """What the notice says; None where there is no such job, or they are what is shown.

    Source: the reports of the page, and the version of the store that they were asked with.
    """
    count = reading.tiles.flags["stale"]
    if not count or "stale" in reading.jobs.flags:
        return None
    top = [one for one in reading.silent.counts_by["worker"] if redact_text(one.value) == one.value] if reading.silent else []
    return Stale(
        count=count,
        after=formats.every(health.stale_after()),
        worker=top[0].value if top else "",
        on_worker=top[0].total if top else 0,
        is_left=bool(upkeep.reaper(reading.version.upkeep, reading.version.at)),
    )
