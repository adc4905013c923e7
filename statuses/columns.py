"""The packed columns of a segment: one fixed-width cell a row.

The order of `COLUMNS` is the order in which scripts on many rows receive their keys (`lua/shared/keys.lua`).
"""

from dataclasses import dataclass

#: Rows of a segment: 65,536 eight-byte cells would fall into the allocator's next size class and waste a quarter.
SEGMENT_ROWS = 65_520


@dataclass(frozen=True, kw_only=True)
class Column:
    """One packed string of a segment."""

    name: str
    """What the column holds, as `Status` and clauses call it."""
    key: str
    """The last part of its Redis key."""
    width: int
    """Bytes a cell: 1 (u8), 4 (u32 little endian) or 8 (i64 little endian)."""
    made_with_segment: bool = False
    """False: made, in full length, by the first script that writes to it."""


STATE = Column(name="state", key="st", width=1, made_with_segment=True)
RANDOM = Column(name="random", key="rn", width=4, made_with_segment=True)

COLUMNS: tuple[Column, ...] = (
    STATE,
    RANDOM,
    Column(name="job_name", key="nm", width=4, made_with_segment=True),
    Column(name="user", key="us", width=4, made_with_segment=True),
    Column(name="queue", key="qu", width=4, made_with_segment=True),
    Column(name="worker", key="wk", width=4),
    Column(name="engine", key="en", width=4),
    Column(name="error", key="er", width=4),
    Column(name="recorded_at", key="recorded_at", width=8, made_with_segment=True),
    Column(name="queued_at", key="queued_at", width=8, made_with_segment=True),
    Column(name="started_at", key="started_at", width=8, made_with_segment=True),
    Column(name="succeeded_at", key="succeeded_at", width=8, made_with_segment=True),
    Column(name="failed_at", key="failed_at", width=8),
    Column(name="killed_at", key="killed_at", width=8),
    Column(name="run_time", key="run", width=8, made_with_segment=True),
    Column(name="wait_time", key="wait", width=8, made_with_segment=True),
    Column(name="kill_requested_at", key="kill_requested_at", width=8),
    Column(name="heartbeat_at", key="heartbeat_at", width=8),
    Column(name="keep_for", key="keep_for", width=8),
    Column(name="loaded_at", key="loaded_at", width=8),
    Column(name="gone_at", key="gone_at", width=8),
    Column(name="attempts", key="at", width=1),
)
BY_NAME = {column.name: column for column in COLUMNS}

#: Dictionaries: text -> code. The cells of the column of that name hold the code, 0 for no value.
DICTIONARIES: dict[str, str] = {
    "job_name": "names",
    "user": "users",
    "queue": "queues",
    "worker": "workers",
    "engine": "engines",
    "error": "errors",
}
#: What jobs are counted by.
FIELDS = (*DICTIONARIES, "job_arg")
#: Texts a dictionary keeps; the next new one counts as `OTHER`. Users get more room: their own jobs are looked up by them.
DICTIONARY_LIMITS = {name: 1_000_000 if name == "user" else 65_000 for name in DICTIONARIES}
OTHER = "(other)"

#: keep_for (microseconds) of a job that is kept for ever: its cell is one more, and still exact as a double in Lua.
KEPT_FOR_EVER = (1 << 52) - 1

#: Tags: kind of posting list -> what is looked up in it.
TAGS: dict[str, str] = {"job_arg": "r", "provider_job_id": "p", "parent": "c", "depends_on": "f", "root": "o"}
TAG_BUCKETS = 256
#: A posting whose job no longer has the tag: its row is overwritten in place with this.
DEAD_ROW = 0xFFFF

#: Timestamps a clause may name, in the order of their bounds in a segment's zone (`z`).
TIMESTAMPS: tuple[str, ...] = (
    "recorded_at",
    "queued_at",
    "started_at",
    "succeeded_at",
    "failed_at",
    "killed_at",
    "kill_requested_at",
    "heartbeat_at",
)
#: Columns that keep a span of microseconds plus one, so that 0 can mean "not known".
SPANS: tuple[str, ...] = ("run_time", "wait_time")
