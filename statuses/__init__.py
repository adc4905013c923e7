"""The status service: what every background job does, kept in Redis; written by workers, asked by anyone."""

from . import outputs
from .answers import Bin, Bucket, Durations, FacetCount, Report, Tally
from .asking import tallies, together
from .bulk import Changed
from .check import Checked, Problem, check
from .children import RollUp
from .collection import Statuses, at, configure, create, find, find_by, find_or_create, server_time, where
from .collection import all as all
from .errors import (
    ConfigurationError,
    EngineCannot,
    KillRequested,
    LimitedQuery,
    NotCompleted,
    NotRegistered,
    ReadOnlyAttempt,
    ScriptFailed,
    StatusesError,
    StatusExists,
    StatusNotFound,
    StoreCleared,
    StoreFormat,
    StoreUnavailable,
    TooManyPauses,
)
from .health import Version, ping, preload, version
from .keeping import release
from .loading import load
from .query import Query
from .removal import clear_all, restore
from .retention import Cleaned, clean
from .states import State
from .status import Status
from .track import current, running, track
from .workflows import Edge, Workflow, workflow

__all__ = [
    "Bin",
    "Bucket",
    "Changed",
    "Checked",
    "Cleaned",
    "ConfigurationError",
    "Durations",
    "Edge",
    "EngineCannot",
    "FacetCount",
    "KillRequested",
    "LimitedQuery",
    "NotCompleted",
    "NotRegistered",
    "Problem",
    "Query",
    "ReadOnlyAttempt",
    "Report",
    "RollUp",
    "ScriptFailed",
    "State",
    "Status",
    "StatusExists",
    "StatusNotFound",
    "Statuses",
    "StatusesError",
    "StoreCleared",
    "StoreFormat",
    "StoreUnavailable",
    "Tally",
    "TooManyPauses",
    "Version",
    "Workflow",
    "all",
    "at",
    "check",
    "clean",
    "clear_all",
    "configure",
    "create",
    "current",
    "find",
    "find_by",
    "find_or_create",
    "load",
    "outputs",
    "ping",
    "preload",
    "release",
    "restore",
    "running",
    "server_time",
    "tallies",
    "together",
    "track",
    "version",
    "where",
    "workflow",
]
