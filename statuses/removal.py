"""Taking removals back, and taking everything away."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import keys, segmentscripts
from .arguments import shown
from .bulk import Changed
from .columns import DICTIONARIES, SEGMENT_ROWS, TAG_BUCKETS, TAGS
from .ids import Place
from .store import Store, current

if TYPE_CHECKING:
    from .snapshot import Array, Snapshot


def restore(token: str) -> Changed:
    """Take a removal back: every status that was removed under `token` (`Changed.undo`), within the time that it was given (`undo_for`);
    those that are gone, or for which it is too late, are `missing`.

    Source: state and gone_at columns of every segment; a script per 400 rows. Raises: ValueError for a broken token."""
    import numpy as np

    from . import faults

    if not isinstance(token, str) or not (token.isascii() and token.isdigit()):
        raise ValueError(f"token must be what a removal gave as Changed.undo, not {shown(token)}")
    here, moment = current(), int(token)
    restored = missing = 0
    for family in range(len(here.families)):
        for found in _snapshots(here, family):
            cells = np.flatnonzero(faults.removed(found) & (found.column("gone_at") == moment))
            for result in bulk_on(here, found, cells, "restore", "", moment):
                restored += result.count(b"+")
                missing += result.count(b".")
    counts = {"restored": restored, "gone": missing}
    return Changed(changed=restored, missing=missing, by_reason={word: count for word, count in counts.items() if count})


def segments(store: Store, family: int) -> range:
    """The segments a family has, by number; some may be dropped already. One round trip."""
    first, now = store.pipeline([("HMGET", keys.meta(store.families[family]), "first", "current")], primary=True)[0]
    return range(0) if now is None else range(int(first), int(now) + 1)


def _snapshots(store: Store, family: int) -> "Iterator[Snapshot]":
    """The segments that hold removed statuses."""
    from . import faults, snapshot

    for number in segments(store, family):
        found = snapshot.take(store, family, number, ("state", "random", "gone_at"))
        if found.exists and faults.removed(found).any():
            yield found


def bulk_on(store: Store, found: "Snapshot", cells: "Array", verb: str, sources: str, *arguments: object) -> Iterator[bytes]:
    """One verb on the jobs in some cells of a snapshot, batch by batch; what each answered, see `lua/bulk.lua`."""
    from .segments import bulk_rows

    packed = bulk_rows(found.numbers[cells], found.column("random")[cells])
    size = segmentscripts.BULK_ROWS[verb] * segmentscripts.BULK_ROW.size
    for first in range(0, len(packed), size):
        yield segmentscripts.bulk(store, found.family, found.number, verb, packed[first : first + size], sources, *arguments)


def sweep() -> int:
    """Delete for good what was removed and can no longer be taken back; how many."""
    from . import snapshot

    here = current()
    return sum(
        sweep_segment(here, found, snapshot.now_us(here)) for family in range(len(here.families)) for found in _snapshots(here, family)
    )


def sweep_segment(store: Store, found: "Snapshot", now_us: int) -> int:
    """Delete for good the removed rows of one segment whose time to be taken back is over; how many."""
    import numpy as np

    from . import faults

    due = np.flatnonzero(faults.removed(found) & (found.column("gone_at") <= now_us))
    return sum(result.count(b"+") for result in bulk_on(store, found, due, "sweep", "1234567"))


def clear_all() -> int:
    """Remove every status; how many there were. What is counted from then on starts anew: all of them vanish from
    every answer in one step (a new segment), their keys go after that in small batches."""
    from .collection import all

    here, count = current(), all().count()
    for family in range(len(here.families)):
        old = segments(here, family)
        if not len(old):
            continue
        number = segmentscripts.next_segment(here, family, old[-1])
        with_keys = [("HSET", keys.meta(here.families[family]), "first", number)]
        here.pipeline(with_keys, primary=True)
        for segment in old:
            drop_segment(here, family, segment)
    return count


def erase(store: Store) -> None:
    """Every key of a store that nobody works on any more, dictionaries and counters too: what is left of a test."""
    for family, tag in enumerate(store.families):
        for segment in segments(store, family):
            drop_segment(store, family, segment)
        names = [make(tag, dictionary) for dictionary in DICTIONARIES.values() for make in (keys.codes, keys.texts, keys.seals)]
        single = [make(tag) for make in keys.SINGLE]
        store.pipeline([("UNLINK", keys.meta(tag), keys.metrics(tag), *single, *_depths(store, tag), *names)], primary=True)


def _depths(store: Store, tag: str) -> list[str]:
    """Every day of which depths of queues may be kept."""
    return keys.depths(tag, int(store.read("GET", keys.depth_at(tag)) or 0))


def drop_segment(store: Store, family: int, segment: int) -> None:
    """Every key of one segment, in small batches; the state column first, so that no script writes to it any more."""
    tag = store.families[family]
    prefix = keys.segment(tag, segment)
    # How many rows were handed out is read as it goes: no job gets one in between. Looked at before, in case that breaks off.
    before = store.pipeline([("GET", keys.rows(prefix))], primary=True)[0]
    last, _ = store.transaction([("GET", keys.rows(prefix)), ("UNLINK", keys.column(prefix, "st"), keys.rows(prefix))])
    rows = min(int(last or before or 0), SEGMENT_ROWS)
    for first in range(0, rows, 1000):
        _drop_rows(store, Place(family, segment, first, 0), min(first + 1000, rows))
    postings = [keys.posting(prefix, kind, bucket) for kind in TAGS.values() for bucket in range(TAG_BUCKETS)]
    store.pipeline([("UNLINK", *keys.frame(prefix), keys.tokens(prefix), keys.last_call(prefix), *postings)], primary=True)


def _drop_rows(store: Store, start: Place, end: int) -> None:
    tag = store.families[start.family]
    prefix = keys.segment(tag, start.segment)
    found = store.pipeline([("HMGET", keys.job(prefix, row), "n", "i") for row in range(start.row, end)], primary=True)
    commands: list[tuple[str, ...]] = []
    aliases: dict[str, bytes] = {}
    for row, (attempts, own) in zip(range(start.row, end), found, strict=True):
        names = [make(prefix, row) for make in (keys.job, keys.long, keys.data, keys.call, keys.errors)]
        for number in range(int(attempts or 0)):
            archived = keys.attempt(prefix, row, number)
            names += [archived, archived + "d", archived + "e"]
        commands.append(("UNLINK", *names))
        if own is not None:
            aliases[keys.alias(tag, own.decode())] = f"{start.segment} {row}".encode()
    if aliases:
        values = store.pipeline([("GET", alias) for alias in aliases], primary=True)
        here = [alias for (alias, at), value in zip(aliases.items(), values, strict=True) if value == at]
        commands += [("UNLINK", alias) for alias in here]
    store.pipeline(commands, primary=True)
