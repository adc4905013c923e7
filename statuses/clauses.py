"""The clauses of a query: each checks its value, says itself in words, and binds to the columns of a family.

Nothing here loads numpy: what a clause binds to comes from `masks`, when a question is answered."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import clock, resource
from .arguments import flag, nearest, shown
from .clock import from_us
from .columns import DICTIONARIES, SPANS, TAGS, TIMESTAMPS
from .encoding import is_utf8
from .states import GROUPS, State

if TYPE_CHECKING:
    from .directory import Listing, Lookup
    from .masks import Test

#: Every timestamp a clause may name.
MOMENTS = (*TIMESTAMPS, "ended_at")
#: Microseconds beyond which nothing lies, and what a datetime can say: further bounds are as good as these.
MOMENT_MIN, MOMENT_MAX = (clock.to_us(end.replace(tzinfo=UTC)) for end in (datetime.min, datetime.max))
SPAN_MAX = 1 << 62
_STRINGS = frozenset({str})
_VERBS = {"kill_requested_at": "asked to die", "heartbeat_at": "last heard of"}


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition on a job."""

    field: str
    """The clause's name."""

    def describe(self) -> str:
        """The condition in words, as it follows "jobs"."""
        raise NotImplementedError

    def look_up(self, lookup: "Lookup") -> None:
        """Add what must be known of the store before binding."""

    def bind(self, listing: "Listing", family: int) -> "Test":
        """The condition in terms of one family's columns."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class InState(Clause):
    """The present state is one of several."""

    field: str = "state"
    states: frozenset[State]

    def describe(self) -> str:
        for name, group in GROUPS.items():
            if self.states == group:
                return name
        return _any_of(state.value for state in State if state in self.states) or "in no state"

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        if not self.states:
            return masks.FALSE
        return masks.TRUE if len(self.states) == len(State) else masks.States(self.states)


@dataclass(frozen=True, kw_only=True)
class HasText(Clause):
    """A dictionary column (name, queue, user, worker, engine, error group) holds one of several texts."""

    texts: frozenset[str]

    def describe(self) -> str:
        words = {"job_name": "named", "queue": "in queue", "user": "of user", "worker": "on worker", "engine": "run by"}
        return f"{words.get(self.field, 'with ' + self.field)} {_listed(self.texts)}"

    def look_up(self, lookup: "Lookup") -> None:
        lookup.texts.setdefault(self.field, set()).update(self.texts)

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        known = listing.codes[family, self.field]
        codes = [known[text] for text in self.texts if text in known]
        return masks.Codes(self.field, codes) if codes else masks.FALSE


@dataclass(frozen=True, kw_only=True)
class HasTag(Clause):
    """An indexed text (resource, provider job id, parent, what it waits for, root) is one of several."""

    texts: frozenset[str]

    def describe(self) -> str:
        words = {
            "job_arg": "working on",
            "provider_job_id": "with provider job id",
            "parent": "with parent",
            "depends_on": "that wait for",
            "root": "of the workflow that began with",
        }
        return f"{words[self.field]} {_listed(self.texts)}"

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        texts = [text for text in self.texts if is_utf8(text)]
        return masks.Tag(self.field, texts) if texts else masks.FALSE


@dataclass(frozen=True, kw_only=True)
class HasId(Clause):
    """The id is one of several."""

    field: str = "id"
    ids: frozenset[str]

    def describe(self) -> str:
        return f"with id {_listed(self.ids)}" if len(self.ids) <= 3 else f"among {len(self.ids)} given ids"

    def look_up(self, lookup: "Lookup") -> None:
        lookup.ids.update(self.ids)

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        return masks.Rows(family, [place for id in self.ids for place in listing.places.get(id, ())])


@dataclass(frozen=True, kw_only=True)
class KillRequested(Clause):
    """Somebody asked the job to die, or nobody did."""

    field: str = "kill_requested"
    wanted: bool

    def describe(self) -> str:
        return "asked to die" if self.wanted else "not asked to die"

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        asked = masks.Has("kill_requested_at")
        return asked if self.wanted else masks.opposite(asked)


@dataclass(frozen=True, kw_only=True)
class IsStale(Clause):
    """Started, and silent for longer than `stale_after`; or not so."""

    field: str = "stale"
    wanted: bool

    def describe(self) -> str:
        return "gone silent" if self.wanted else "not gone silent"

    def look_up(self, lookup: "Lookup") -> None:
        lookup.now = True

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        stale = masks.Stale(listing.now_us - listing.stale_after_us)
        return stale if self.wanted else masks.opposite(stale)


@dataclass(frozen=True, kw_only=True)
class At(Clause):
    """A timestamp lies between two moments, both inclusive; both open: it has one at all."""

    after: int | None
    before: int | None

    def describe(self) -> str:
        what = _VERBS.get(self.field, self.field.removesuffix("_at"))
        return _span(what, self.after, self.before, _moment, "since", "until", "from", "to") or f"ever {what}"

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        if _inverted(self.after, self.before):
            return masks.FALSE
        if self.field == "heartbeat_at":
            return masks.Heartbeat(self.after, self.before)
        if self.field == "ended_at":
            return masks.Ended(self.after, self.before)
        return _between(masks, self.field, self.after, self.before)


@dataclass(frozen=True, kw_only=True)
class Lasted(Clause):
    """`run_time` or `wait_time` lies between two spans of microseconds, both inclusive; both open: it is known."""

    after: int | None
    before: int | None

    def describe(self) -> str:
        what = {"run_time": "that ran", "wait_time": "that waited"}[self.field]
        return _span(what, self.after, self.before, _seconds, "at least", "at most", "", "to") or f"with a known {self.field}"

    def bind(self, listing: "Listing", family: int) -> "Test":
        from . import masks

        # The cells hold microseconds + 1, so that 0 can mean "not known".
        low = None if self.after is None else max(self.after, -1) + 1
        high = None if self.before is None else self.before + 1
        if _inverted(self.after, self.before) or (high is not None and high < 1):
            return masks.FALSE
        return _between(masks, self.field, low, high)


def _between(masks: Any, column: str, low: int | None, high: int | None) -> "Test":
    if low is None and high is None:
        return masks.Has(column)
    return masks.Between(column, low, high)


def _inverted(low: int | None, high: int | None) -> bool:
    return low is not None and high is not None and low > high


def _any_of(words: Iterable[str]) -> str:
    *most, last = [*words] or [""]
    return f"{', '.join(most)} or {last}" if most else last


def _listed(texts: Iterable[str]) -> str:
    found = sorted(texts)
    if not found:
        return "(none)"
    return _any_of(found) if len(found) <= 4 else f"{', '.join(found[:3])} or {len(found) - 3} others"


def _span(what: str, low: int | None, high: int | None, say: Callable[[int], str], since: str, until: str, start: str, to: str) -> str:
    if low is None and high is None:
        return ""
    if low is None or high is None:
        return f"{what} {until} {say(high)}" if high is not None else f"{what} {since} {say(low or 0)}"
    return " ".join(filter(None, (what, start, say(low), to, say(high))))


def _moment(at_us: int) -> str:
    text = from_us(at_us).isoformat(sep=" ", timespec="seconds" if at_us % 1_000_000 == 0 else "microseconds")
    return text.removesuffix("+00:00") + " UTC"


def _seconds(span_us: int) -> str:
    return f"{span_us / 1_000_000:g} s"


def _many(name: str, value: object) -> list[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        return [value]
    return list(value)


def _texts(name: str, value: object) -> frozenset[str]:
    items = _many(name, value)
    if _STRINGS.issuperset(map(type, items)):
        return frozenset(items)
    found = []
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"{name} must be a text or a list of texts, not {shown(item)}")
        found.append(str(item))
    return frozenset(found)


def _resources(name: str, value: object) -> frozenset[str]:
    found = []
    for item in _many(name, value):
        is_model = hasattr(getattr(item, "_meta", None), "label")
        found.append(resource.resource(item, name) if is_model else item)
    return _texts(name, found)


def _ids(name: str, value: object) -> frozenset[str]:
    """Ids; a Status stands for its own."""
    items = [value] if hasattr(value, "id") else _many(name, value)
    return _texts(name, [item if isinstance(item, str) else getattr(item, "id", item) for item in items])


def _states(name: str, value: object) -> frozenset[State]:
    known = [*(state.value for state in State), *GROUPS]
    found: set[State] = set()
    for item in _many(name, value):
        if not isinstance(item, str) or str(item) not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, not {shown(item)}{nearest(item, known)}")
        found |= GROUPS.get(str(item)) or {State(item)}
    return frozenset(found)


def _bounds(name: str, value: object, number: Callable[[str, object], int | None]) -> dict[str, int | None]:
    if isinstance(value, Mapping):
        unknown = set(value) - {"after", "before"}
        if unknown:
            raise ValueError(f"{name} knows 'after' and 'before', not {shown(next(iter(unknown)))}")
        pair = (value.get("after"), value.get("before"))
    elif isinstance(value, tuple | list) and len(value) == 2:
        pair = (value[0], value[1])
    else:
        raise ValueError(f"{name} must be (after, before) or {{'after':, 'before':}}, not {shown(value)}")
    return {"after": number(name, pair[0]), "before": number(name, pair[1])}


def moment_us(name: str, value: object) -> int | None:
    """Microseconds of an aware datetime or an integer, None as it is. ValueError naming the argument."""
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{name} needs aware datetimes, {shown(value)} has no time zone")
        return min(max(clock.to_us(value), MOMENT_MIN), MOMENT_MAX)
    if isinstance(value, int) and not isinstance(value, bool):
        return min(max(int(value), MOMENT_MIN), MOMENT_MAX)
    raise ValueError(f"{name} must be an aware datetime or integer microseconds, not {shown(value)}")


def _span_us(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, timedelta):
        return min(max(value // clock.MICROSECOND, -SPAN_MAX), SPAN_MAX)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"{name} must be a number of seconds, not {shown(value)}")
    if isinstance(value, float) and math.isinf(value):
        return SPAN_MAX if value > 0 else -SPAN_MAX
    return min(max(round(value * 1_000_000), -SPAN_MAX), SPAN_MAX)


def _maker(name: str) -> Callable[[Any], Clause] | None:
    if name in DICTIONARIES:
        return lambda value: HasText(field=name, texts=_texts(name, value))
    if name in TAGS:
        read = {"job_arg": _resources, "parent": _ids, "depends_on": _ids, "root": _ids}.get(name, _texts)
        return lambda value: HasTag(field=name, texts=read(name, value))
    if name in MOMENTS:
        return lambda value: At(field=name, **_bounds(name, value, moment_us))
    if name in SPANS:
        return lambda value: Lasted(field=name, **_bounds(name, value, _span_us))
    others: dict[str, Callable[[Any], Clause]] = {
        "id": lambda value: HasId(ids=_ids(name, value)),
        "state": lambda value: InState(states=_states(name, value)),
        "kill_requested": lambda value: KillRequested(wanted=flag(name, value)),
        "stale": lambda value: IsStale(wanted=flag(name, value)),
    }
    return others.get(name)


#: Every clause there is.
NAMES = ("id", "state", *DICTIONARIES, *TAGS, "kill_requested", "stale", *SPANS, *MOMENTS)
_MAKERS = {name: maker for name in NAMES if (maker := _maker(name)) is not None}


def make(name: str, value: object) -> Clause:
    """The clause `name=value`. ValueError naming it for an unknown clause (with the nearest known one) or a wrong value."""
    maker = _MAKERS.get(name)
    if maker is None:
        raise ValueError(f"unknown clause {name!r}{nearest(name, NAMES)}")
    if value is None:
        raise ValueError(f"{name} must not be None")
    try:
        return maker(value)
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None
