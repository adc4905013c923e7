"""What somebody has to look after in the store, in sentences: for its page, and for a shell."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobadmin import formats
from statuses.holdings import Dictionary
from statuses.servers import OTHERS, Server

#: Memory this full is to be told loudly.
NEARLY_FULL = 0.9
#: What could not be written to disk -> what that means, and what comes of it.
BROKEN_WRITES: dict[str, tuple[Promise, Promise]] = {
    "snapshot": (
        gettext_lazy("The server could not write its last snapshot to disk."),
        gettext_lazy(
            "After a restart it would have what the one before had; as a rule it takes no more writes until it can, and no job is tracked."
        ),
    ),
    "append-only file": (
        gettext_lazy("The server cannot write its append-only file to disk."),
        gettext_lazy("It takes no more writes until it can, and no job is tracked."),
    ),
    "rewrite": (
        gettext_lazy("The server could not rewrite its append-only file."),
        gettext_lazy("What it wrote is whole; the file grows until it can."),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What somebody has to look after."""

    state: str
    """Whose colour it has: `failed`, or `unknown` where it is no harm yet."""
    title: str
    body: str
    where: str = ""
    """The server, where there are several."""

    @property
    def sentence(self) -> str:
        """For a shell."""
        return " ".join(filter(None, (self.title, self.where, self.body)))


def of_server(about: Server, where: str) -> Iterator[Trouble]:
    """Those of one server; `where`: its address, where there are several.  Source: nothing."""
    if about.away:
        body = _("Pages about jobs cannot be shown until it does. What workers write goes on.")
        yield Trouble(state="failed", title=_("The replica that answers queries is away."), body=body, where=where)
    if about.is_linked is False:
        title, body = (
            _("The replica that answers queries does not hear its primary."),
            _("What pages show is as old as what it heard last."),
        )
        if not about.is_reader:
            title = _("The server that is written to is a replica, and does not hear its primary.")
            body = _("It takes no writes, and no job is tracked.")
        yield Trouble(state="unknown" if about.is_reader else "failed", title=title, body=body, where=where)
    elif about.role == "replica" and not about.is_reader:
        body = _("It takes no writes, and no job is tracked.")
        yield Trouble(state="failed", title=_("The server that is written to is a replica."), body=body, where=where)
    for what in about.broken_writes:
        title, body = map(str, BROKEN_WRITES[what])
        yield Trouble(state="failed", title=title, body=body, where=where)
    yield from _of_memory(about, where)


def of_policy(about: Server, where: str) -> Iterator[Trouble]:
    """That it may drop statuses, in the words of the system checks: what the overview says of it, too.  Source: nothing."""
    if about.may_evict:
        title = _("The statuses' server has maxmemory-policy %(policy)s: when its memory is full it drops statuses, and parts of them.")
        body = _("Set maxmemory-policy noeviction, or give the statuses a server of their own.")
        state = "failed" if about.maxmemory_bytes else "unknown"
        yield Trouble(state=state, title=title % {"policy": about.policy}, body=f"{_evicted(about)} {body}".strip(), where=where)


def _evicted(about: Server) -> str:
    if not about.evicted:
        return ""
    said = ngettext("It dropped %(n)s key since it started.", "It dropped %(n)s keys since it started.", about.evicted)
    return said % {"n": formats.count(about.evicted)}


def _of_memory(about: Server, where: str) -> Iterator[Trouble]:
    yield from of_policy(about, where)
    if about.evicted and about.policy == "noeviction":
        body = _("Its maxmemory-policy was another one then. Statuses may be among them, or parts: manage.py check_jobs tells.")
        yield Trouble(state="unknown", title=_evicted(about), body=body, where=where)
    # A replica takes what its primary tells it, however full it is.
    if about.fill is not None and about.fill >= NEARLY_FULL and not about.may_evict and about.role != "replica":
        title = _("Of the memory that the server may take, %(share)s is taken.")
        share = formats.share(about.counted_bytes or 0, about.maxmemory_bytes or 0)
        body = _("When it is full every write is refused, and no job is tracked. Raise maxmemory, or keep jobs less long.")
        if about.drops == OTHERS:
            body = _(
                "When it is full it drops what expires, as no status does; when nothing is left that does, every write is refused, and no "
                "job is tracked. Raise maxmemory, or keep jobs less long."
            )
        yield Trouble(state="unknown", title=title % {"share": share}, body=body, where=where)


def of_dictionary(name: str, about: Dictionary) -> Trouble:
    """That it is nearly full, or full; `name`: what its texts are called.  Source: nothing."""
    words = {"field": name, "share": formats.share(about.texts, about.most), "most": formats.count(about.most)}
    body = _("A name that holds a number or a date makes a new text for every job: put that into an argument.")
    if about.fill >= 1:
        title = _("%(field)s: all %(most)s different texts are taken, and every new one counts as (other).") % words
        return Trouble(state="failed", title=title, body=body)
    title = _("%(field)s: %(share)s of the %(most)s different texts are taken. Then every new one counts as (other).") % words
    return Trouble(state="unknown", title=title, body=body)
