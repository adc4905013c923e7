"""From the rows that a question found to their jobs: ids and records."""

from collections.abc import Iterator, Sequence

from . import ids, keys, pages, record
from .pages import Block
from .status import Status
from .store import Store


def _places_of(block: Block, part: slice) -> list[tuple[int, int, int]]:
    return [pages.place_of(tie) for tie in block.ties[part].tolist()]


def ids_of(store: Store, block: Block) -> list[str]:
    """The ids of some rows, in their order; own ids are read, those of jobs removed meanwhile left out."""
    places = _places_of(block, slice(None))
    randoms, recorded = block.randoms.tolist(), block.recorded.tolist()
    own = [place for place, random in zip(places, randoms, strict=True) if not random]
    texts = dict(zip(own, _own_ids(store, own), strict=True))
    found = []
    for place, random, at_us in zip(places, randoms, recorded, strict=True):
        text = texts.get(place) if not random else ids.encode(at_us, ids.Place(*place, random))
        if text is not None:
            found.append(text)
    return found


def _own_ids(store: Store, places: Sequence[tuple[int, int, int]]) -> Iterator[str | None]:
    for first in range(0, len(places), 1000):
        part = places[first : first + 1000]
        names = [keys.job(keys.segment(store.families[family], segment), row) for family, segment, row in part]
        for text in store.pipeline([("HGET", name, "i") for name in names]):
            yield None if text is None else text.decode()


def load(store: Store, block: Block, part: slice) -> list[Status]:
    """The jobs of some rows, loaded; those removed meanwhile left out."""
    places, randoms = _places_of(block, part), block.randoms[part].tolist()
    rows: dict[tuple[int, int], list[int]] = {}
    for family, segment, row in places:
        rows.setdefault((family, segment), []).append(row)
    found: dict[tuple[int, int, int], record.Record | None] = {}
    for (family, segment), wanted in rows.items():
        for row, known in zip(wanted, record.read_rows(store, family, segment, wanted), strict=True):
            found[family, segment, row] = known
    kept = ((found[place], random) for place, random in zip(places, randoms, strict=True))
    return [Status.of_record(known, store) for known, random in kept if known and not known.removed and known.place.random == random]
