"""The page about the store of the statuses: what its servers say, what the statuses take, and what somebody has to look after."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobadmin import formats, moments, troubles, upkeep
from jobadmin.paths import page_url
from jobadmin.troubles import Trouble
from jobadmin.upkeep import Upkeep
from statuses import health
from statuses.columns import SEGMENT_ROWS
from statuses.health import Examined
from statuses.holdings import ENOUGH_JOBS, Dictionary, Holdings
from statuses.servers import OTHERS, Server, dropped
from statuses.upkeep import CLEAN, Chore

#: How to have a cleaner.
CLEANER = "manage.py clean_jobs --every 3600"
#: Field of a dictionary -> what its texts are called, and the page that lists them.
FIELDS: dict[str, tuple[Promise, str]] = {
    "job_name": (gettext_lazy("Job names"), "names"),
    "queue": (gettext_lazy("Queues"), "queues"),
    "user": (gettext_lazy("Users"), ""),
    "worker": (gettext_lazy("Workers"), "workers"),
    "engine": (gettext_lazy("Engines"), ""),
    "error": (gettext_lazy("Errors"), "errors"),
}
#: appendfsync -> how much a crash of the machine takes along.
APPENDS_EVERY = {
    "always": gettext_lazy("each write at once"),
    "everysec": gettext_lazy("every second"),
    "no": gettext_lazy("when the system likes"),
}


@dataclass(frozen=True, kw_only=True)
class ServerRow:
    """One server, in words; an empty text is what it does not say."""

    about: Server

    @property
    def product(self) -> str:
        """``Valkey 9.1.2``."""
        return f"{(self.about.product or '').capitalize()} {self.about.version or ''}".strip()

    @property
    def role(self) -> str:
        """What it is, and what it is asked."""
        about, words = self.about, {"primary": _("primary"), "replica": _("replica")}
        said = [words.get(about.role or "", about.role or "")]
        said.append(_("node of a cluster") if about.is_node else "")
        said.append(_("answers queries") if about.is_reader else "")
        if about.replicas:
            said.append(ngettext("%(n)s replica", "%(n)s replicas", about.replicas) % {"n": formats.count(about.replicas)})
        if about.heard is not None and not about.is_linked:
            said.append(_("heard nothing for %(time)s") % {"time": formats.duration(about.heard.total_seconds())})
        return ", ".join(filter(None, said))

    @property
    def latency(self) -> str:
        return "" if self.about.latency_ms is None else formats.duration(self.about.latency_ms / 1000)

    @property
    def memory(self) -> str:
        return "" if self.about.memory_bytes is None else formats.size(self.about.memory_bytes)

    @property
    def room(self) -> str:
        """What the memory is of."""
        about = self.about
        if about.maxmemory_bytes is None:
            return ""
        if not about.maxmemory_bytes:
            return _("no limit")
        return _("%(share)s of %(size)s") % {
            "share": formats.share(about.counted_bytes or 0, about.maxmemory_bytes),
            "size": formats.size(about.maxmemory_bytes),
        }

    @property
    def peak(self) -> str:
        return "" if self.about.peak_bytes is None else _("%(size)s at most so far") % {"size": formats.size(self.about.peak_bytes)}

    @property
    def disk(self) -> str:
        """What it writes to disk."""
        about, said = self.about, []
        if about.appends:
            every = APPENDS_EVERY.get(about.appends_every or "")
            said.append(f"{_('append-only file')}, {every}" if every else _("append-only file"))
        if about.snapshots:
            said.append(_("snapshots"))
        return "; ".join(said)

    @property
    def spared(self) -> str:
        """What becomes of statuses where it drops keys, but none of them."""
        return _("drops what expires, as no status does") if self.about.drops == OTHERS else ""

    @property
    def may_have_dropped(self) -> bool:
        """Whether statuses may be among the keys that it dropped: others' alone expire."""
        return bool(self.about.evicted) and dropped(self.about.policy or "") != OTHERS

    @property
    def clients(self) -> str:
        about = self.about
        if about.clients is None:
            return ""
        return formats.count(about.clients) + (f" / {formats.count(about.max_clients)}" if about.max_clients else "")


@dataclass(frozen=True, kw_only=True)
class DictionaryRow:
    """The texts of one field."""

    about: Dictionary

    @property
    def name(self) -> str:
        return str(FIELDS[self.about.field][0])

    @property
    def url(self) -> str:
        """The page that lists them; empty where none does."""
        page = FIELDS[self.about.field][1]
        return page_url(page) if page else ""

    @property
    def texts(self) -> str:
        return formats.count(self.about.texts)

    @property
    def room(self) -> str:
        """How many there may be."""
        return formats.count(self.about.most)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One figure about what the store holds."""

    key: str
    name: str
    value: str
    note: tuple[str | datetime, ...]
    """What it means: sentences, and moments with which one ends."""
    url: str = ""
    """Where that is listed."""

    @property
    def told(self) -> str:
        """The note as one text, for a shell."""
        now = moments.now()
        return " ".join(f"{formats.when(part, now)}." if isinstance(part, datetime) else part for part in self.note)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """What the page tells."""

    examined: Examined
    upkeep: Upkeep

    @cached_property
    def servers(self) -> list[ServerRow]:
        return [ServerRow(about=server) for server in self.examined.servers]

    @cached_property
    def dictionaries(self) -> list[DictionaryRow]:
        """The fullest first; none while nobody can tell."""
        return [DictionaryRow(about=one) for one in self.examined.holdings.dictionaries] if self.examined.holdings else []

    @property
    def forbidden(self) -> str:
        """Commands that may not be given."""
        return ", ".join(self.examined.forbidden)

    @cached_property
    def troubles(self) -> list[Trouble]:
        """What somebody has to look after, beside the chores."""
        several = len(self.examined.servers) > 1
        found = [trouble for server in self.examined.servers for trouble in troubles.of_server(server, server.address if several else "")]
        return [*found, *(troubles.of_dictionary(row.name, row.about) for row in self.dictionaries if row.about.is_nearly_full)]

    @cached_property
    def facts(self) -> list[Fact]:
        """What the store holds and takes; what this process keeps of its answers."""
        held = self.examined.holdings
        return [*(_held(held, self.examined.chores) if held is not None else ()), _kept(self.examined)]


def read() -> Storage:
    """How the store is.  Source: `health.examine`.  Raises: StoreUnavailable."""
    examined = health.examine()
    now = examined.holdings.now if examined.holdings is not None else moments.now()
    return Storage(examined=examined, upkeep=upkeep.read(examined.chores, now))


def _held(held: Holdings, chores: Iterable[Chore]) -> Iterator[Fact]:
    """Jobs, what goes next, what can be taken back, segments and memory."""
    recorded: tuple[str | datetime, ...] = (_("None yet."),)
    if held.oldest_at is not None and held.newest_at is not None:
        recorded = (_("First recorded"), held.oldest_at, _("Last recorded"), held.newest_at)
    listed = page_url("list") + "?span=all" if held.jobs else ""
    yield Fact(key="jobs", name=_("Jobs"), value=formats.count(held.jobs), note=recorded, url=listed)
    soon = _("Nothing is due within a day.")
    if held.due_soon:
        soon = _("Their time to be kept is over; within a day it is for %(n)s.") % {"n": formats.count(held.due_soon)}
    yield Fact(key="due", name=_("Removed next"), value=formats.count(held.due), note=(soon, *_cleaned(chores)))
    unswept = ""
    if held.unswept:
        unswept = _("%(n)s more cannot any more, and go with the next cleaning.") % {"n": formats.count(held.unswept)}
    undo = (_("Removed by somebody, and can still be taken back."), unswept)
    yield Fact(key="restorable", name=_("Restorable"), value=formats.count(held.restorable), note=tuple(filter(None, undo)))
    yield Fact(key="segments", name=_("Segments"), value=formats.count(held.segments), note=(_rows(held),))
    yield from _taken(held)


def _cleaned(chores: Iterable[Chore]) -> tuple[str | datetime, ...]:
    """When a cleaner ran last, whoever it was."""
    ran = max((chore.ran_at for chore in chores if chore.chore == CLEAN), default=None)
    if ran is None:
        return (_("No cleaner has run, and nothing is ever removed without one:"), CLEANER)
    return (_("The cleaner ran last"), ran)


def _rows(held: Holdings) -> str:
    words = {"rows": formats.count(held.rows), "packed": formats.count(held.packed), "cells": formats.count(held.cells)}
    if held.packed:
        return _("%(rows)s rows handed out. Packed segments: %(packed)s, so that %(cells)s rows take memory.") % words
    return ngettext("%(rows)s row handed out.", "%(rows)s rows handed out.", held.rows) % words


def _taken(held: Holdings) -> Iterator[Fact]:
    """What it takes of the memory."""
    found, memory, a_job = held.footprint, _("Memory of statuses"), _("Memory of a job")
    if found is None:
        note = (_("Nobody can tell: the command MEMORY is forbidden here."),)
        yield Fact(key="memory", name=memory, value=formats.NOTHING, note=note)
        return
    parts = _("Columns %(columns)s, tags %(tags)s, what single jobs hold %(jobs)s, dictionaries %(texts)s, the rest %(other)s.") % {
        part: formats.size(getattr(found, f"{part}_bytes")) for part in ("columns", "tags", "jobs", "texts", "other")
    }
    basis = _("Estimated from %(rows)s of %(cells)s rows and %(segments)s of %(all)s segments.") % {
        "rows": formats.count(found.rows),
        "cells": formats.count(held.cells),
        "segments": formats.count(found.segments),
        "all": formats.count(held.segments),
    }
    yield Fact(
        key="memory",
        name=memory,
        value=f"≈ {formats.size(found.total_bytes)}",
        note=(parts, basis, _("Last estimated"), found.estimated_at),
    )
    each = held.bytes_a_job
    few = _("Told from %(n)s jobs on: room is made for %(rows)s at once.")
    few %= {"n": formats.count(ENOUGH_JOBS), "rows": formats.count(SEGMENT_ROWS)}
    note = few if each is None else _("All of that, divided by the jobs.")
    yield Fact(key="memory_job", name=a_job, value=formats.NOTHING if each is None else f"≈ {formats.size(round(each))}", note=(note,))


def _kept(examined: Examined) -> Fact:
    cache = examined.cache
    room = _("%(size)s of at most %(most)s, in the web process that made this page; each has its own.")
    said = [room % {"size": formats.size(cache.bytes), "most": formats.size(cache.max_bytes)}]
    if cache.hit_rate is not None:
        said.append(_("%(share)s of what it looked for was there.") % {"share": formats.share(cache.hits, cache.hits + cache.misses)})
    return Fact(key="cache", name=_("Answers kept"), value=formats.count(cache.entries), note=tuple(said))
