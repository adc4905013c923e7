"""What the panels of the overview show, made from one reading of the store."""

from jobadmin.panels.causes import error_rows, errors
from jobadmin.panels.counts import addresses, stale, tiles
from jobadmin.panels.guard import guarded
from jobadmin.panels.ranking import names, needed, ranks, timed
from jobadmin.panels.reading import PANELS, TOP_NAMES, Reading, flag_counts
from jobadmin.panels.timeline import MODES, STACK, activity
from jobadmin.panels.timing import durations

__all__ = [
    "MODES",
    "PANELS",
    "STACK",
    "TOP_NAMES",
    "Reading",
    "activity",
    "addresses",
    "durations",
    "error_rows",
    "errors",
    "flag_counts",
    "guarded",
    "names",
    "needed",
    "ranks",
    "stale",
    "tiles",
    "timed",
]
