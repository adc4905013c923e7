"""Every key of the store, each with its type and meaning; none is spelled elsewhere.

A family is everything under one hash tag, so that all of it lives in one slot of a cluster.
"""

from collections.abc import Iterable
from functools import lru_cache

from .columns import COLUMNS


def family(namespace: str, number: int) -> str:
    """The hash tag that starts every key of one family."""
    return f"{{{namespace}:{number}}}"


def meta(tag: str) -> str:
    """hash: `store` random id of this store, `format`, `families`, `first` and `current` segment, `stamp` of the last removal,
    `dropped` when texts were last taken out, `cleaner` token of who last began to, `until:<model>` for each model that jobs wait to
    see deleted."""
    return f"{tag}meta"


def codes(tag: str, dictionary: str) -> str:
    """hash: text -> code (from 1) of one dictionary; below 0 while a cleaner looks whether anything still uses it."""
    return f"{tag}{dictionary}"


def texts(tag: str, dictionary: str) -> str:
    """list: code - 1 -> text of one dictionary; "" where nothing used the text any more."""
    return f"{tag}{dictionary}:list"


def presence(tag: str) -> str:
    """hash: "<engine>\t<worker>" -> microseconds of its last report, newline, JSON; in family 0 alone."""
    return f"{tag}presence"


def presence_order(tag: str) -> str:
    """zset: the fields of `presence` by the moment of the last report, to drop the oldest."""
    return f"{tag}presence:order"


def orders(tag: str) -> str:
    """hash: a field of `presence` -> what that worker shall do, until its next report takes it along."""
    return f"{tag}presence:orders"


def paused(tag: str) -> str:
    """hash: "<engine>\t<queue>" -> microseconds since when it is held back, newline, JSON; in family 0 alone."""
    return f"{tag}paused"


def upkeep(tag: str) -> str:
    """hash: JSON of a chore, what it is narrowed to and, where it comes again, host and pid -> microseconds when it told of itself
    last, newline, JSON; in family 0 alone."""
    return f"{tag}upkeep"


def metrics(tag: str) -> str:
    """hash: series -> cells of 8 bytes (u64): how often, then sums of microseconds and counts a bucket; see `statuses.metrics`."""
    return f"{tag}metrics"


def estimate(tag: str) -> str:
    """hash: the newest estimate of what the statuses take: `at` microseconds when it was made, `cells` of how many, `found` JSON, `begun`
    microseconds since when somebody makes a new one; in family 0 alone."""
    return f"{tag}estimate"


#: Those of family 0 alone, without the samples of queues.
SINGLE = (presence, presence_order, orders, paused, upkeep, estimate)


def depth_at(tag: str) -> str:
    """string, decimal: microseconds of the last sample of all queues; in family 0 alone."""
    return f"{tag}depth:at"


def depth(tag: str, day: int) -> str:
    """hash: queue -> cells of 8 bytes, one for each five minutes of a day (since 1970, UTC): the most jobs that waited + 1 and
    the most seconds the oldest had waited + 1, u32 each, 0 none; ends with the last cell written; in family 0 alone."""
    return f"{tag}depth:{day}"


def depths(tag: str, last_us: int) -> list[str]:
    """`depth_at`, and `depth` of every day that may still be kept: those up to the last sample's."""
    day = last_us // 86_400_000_000
    return [depth_at(tag), *(depth(tag, number) for number in range(max(day - 31, 0), day + 1))]


def seals(tag: str, dictionary: str) -> str:
    """string: 4 bytes a code, those of the write that made it: a reader whose last code has other ones was before a failover."""
    return f"{texts(tag, dictionary)}:seals"


def alias(tag: str, own_id: str) -> str:
    """string: "segment row" of an id that a caller chose."""
    return f"{tag}x:{own_id}"


def segment(tag: str, number: int) -> str:
    """The prefix of every key of one segment."""
    return f"{tag}{number}:"


def rows(prefix: str) -> str:
    """string, decimal: rows handed out in the segment."""
    return f"{prefix}n"


def version(prefix: str) -> str:
    """string, 16 bytes: microseconds (u64) and the writer's token; changes with every cell that answers depend on."""
    return f"{prefix}v"


def zone(prefix: str) -> str:
    """string of u64: the moment the segment opened, then lowest and highest loaded value of each of `TIMESTAMPS`; of a packed
    segment the number of its cells behind them."""
    return f"{prefix}z"


def tokens(prefix: str) -> str:
    """string, 4096 cells of 8 bytes: tokens of the last writes of single rows, for those that are sent twice."""
    return f"{prefix}w"


def last_call(prefix: str) -> str:
    """string: token, length and results of the newest two bulk calls, for one that is sent twice."""
    return f"{prefix}b"


def column(prefix: str, key: str) -> str:
    """string: the packed cells of one column."""
    return prefix + key


def numbers(prefix: str) -> str:
    """string of u16, ascending: the row of each cell of a packed segment; absent in any other."""
    return f"{prefix}rows"


def posting(prefix: str, kind: str, bucket: int) -> str:
    """string of 8-byte entries: row (u16) and 48 bits of the tag's hash, for one of 256 buckets."""
    return f"{prefix}{kind}{bucket}"


def job(prefix: str, row: int) -> str:
    """hash: what a job's page shows (`statuses.record.FIELDS`), values up to 64 bytes."""
    return f"{prefix}j{row}"


def long(prefix: str, row: int) -> str:
    """hash: the same fields, values over 64 bytes (one of them would unpack the small hash)."""
    return f"{prefix}l{row}"


def data(prefix: str, row: int) -> str:
    """string: the job's data, JSON."""
    return f"{prefix}d{row}"


def call(prefix: str, row: int) -> str:
    """string: the engine's call, JSON; in older stores depends_on after it."""
    return f"{prefix}k{row}"


def errors(prefix: str, row: int) -> str:
    """string: one line an error: 16 hexadecimal digits of the writer's token, then JSON."""
    return f"{prefix}e{row}"


#: The kinds of the five keys above.
ROW_KINDS = "jldke"


def of_rows(prefix: str, rows: Iterable[int], kinds: str = ROW_KINDS) -> list[str]:
    """The keys above of each row, of these kinds."""
    beginnings = tuple(prefix + kind for kind in kinds)
    return [beginning + number for number in map(str, rows) for beginning in beginnings]


def attempt(prefix: str, row: int, number: int) -> str:
    """hash: an archived attempt; with `d` and `e` after it the strings with its data and errors."""
    return f"{prefix}a{row}:{number}"


@lru_cache(maxsize=4096)
def frame(prefix: str) -> tuple[str, ...]:
    """Version, rows, zone, every column and the row numbers of a segment: what each script on many rows declares first."""
    return (version(prefix), rows(prefix), zone(prefix), *(column(prefix, c.key) for c in COLUMNS), numbers(prefix))
