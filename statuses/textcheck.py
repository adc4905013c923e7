"""The check of a family's dictionaries: their lists against their hashes."""

from collections.abc import Sequence

from . import keys, segmentscripts
from .columns import DICTIONARIES
from .errors import StoreUnavailable
from .faults import Dictionaries, Fault
from .inspection import TRIES, Family
from .snapshot import Snapshot


class Texts:
    """Looks at the dictionaries of a family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.known = Dictionaries({}, {})
        """What `check` found, mended where that is wanted."""

    def check(self) -> None:
        """Checks them all."""
        texts, doubles = {}, {}
        for column in DICTIONARIES:
            texts[column], doubles[column] = self._dictionary(column)
        self.known = Dictionaries(texts, doubles)

    def _dictionary(self, column: str) -> tuple[list[str], dict[int, int]]:
        """The texts of a dictionary, mended where that is wanted, and the doubles among its codes."""
        for _ in range(TRIES):
            sizes, texts, codes = self._read_dictionary(column)
            found, doubles, mended = _compare(self.family.tag, column, texts, codes)
            if sizes != self._sizes(column):
                continue
            if found and self.family.repair:
                writes = [write for _, part in found for write in part]
                self.family.tally.mends(len(found))
                if segmentscripts.mend(self.family.store, self.family.number, column, writes, sizes=sizes) is None:
                    continue
            for fault, _ in found:
                self.family.tally.note(fault, self.family.repair)
            return mended, doubles
        raise StoreUnavailable("a check", f"the texts of {column} change faster than they can be looked at")

    def _sizes(self, column: str) -> tuple[int, int]:
        name = DICTIONARIES[column]
        listed, hashed = self.family.store.transaction(
            [("LLEN", keys.texts(self.family.tag, name)), ("HLEN", keys.codes(self.family.tag, name))]
        )
        return listed, hashed

    def _read_dictionary(self, column: str) -> tuple[tuple[int, int], list[str], dict[str, int]]:
        name, texts, codes, cursor = DICTIONARIES[column], [], {}, 0
        sizes = self._sizes(column)
        while len(texts) < sizes[0]:
            part = self.family.ask([("LRANGE", keys.texts(self.family.tag, name), len(texts), len(texts) + 4999)])[0]
            if not part:
                break
            texts += [text.decode(errors="surrogateescape") for text in part]
        while True:
            cursor, part = self.family.ask([("HSCAN", keys.codes(self.family.tag, name), cursor, "COUNT", 1000)])[0]
            pairs = part.items() if isinstance(part, dict) else zip(part[::2], part[1::2], strict=True)
            codes.update({text.decode(errors="surrogateescape"): abs(int(code)) for text, code in pairs})
            cursor = int(cursor)
            if not cursor:
                return sizes, texts, codes

    def refresh(self, found: Snapshot) -> None:
        """Catch up with texts that came after the dictionaries were read."""
        for column in DICTIONARIES:
            cells = found.column(column)
            if len(cells) and int(cells.max()) > len(self.known.texts[column]):
                self.known.texts[column] = self._read_dictionary(column)[1]


_Mend = tuple[str, str, int]


def _compare(
    tag: str, column: str, texts: Sequence[str], codes: dict[str, int]
) -> tuple[list[tuple[Fault, list[_Mend]]], dict[int, int], list[str]]:
    """What is wrong between the list and the hash of a dictionary, with what mends it; code -> the code its text is
    found by, where that is another; and the list as it will be."""
    found: list[tuple[Fault, list[_Mend]]] = []
    doubles: dict[int, int] = {}
    mended = list(texts)
    where, known = keys.codes(tag, DICTIONARIES[column]), dict(codes)
    for code, text in enumerate(texts, start=1):
        says = known.get(text, 0)
        if not text or says == code:
            continue
        if 1 <= says <= len(texts) and texts[says - 1] == text:
            doubles[code] = says
            continue
        known[text] = code
        found.append((Fault("dictionary", where, f"{text!r} is in the list with code {code}, not in the hash", ()), [("code", text, code)]))
    for text, code in codes.items():
        listed = texts[code - 1] if 1 <= code <= len(texts) else ""
        if listed == text or known[text] != code:
            continue
        mend: _Mend = ("forget", text, code) if listed else ("text", text, code)
        if not listed:
            mended += [""] * (code - len(mended))
            mended[code - 1] = text
        found.append((Fault("dictionary", where, f"{text!r} is in the hash with code {code}, not in the list", ()), [mend]))
    return found, doubles, mended
