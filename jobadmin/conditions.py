"""What a server says that is there and refuses, in the words of the pages, and what helps."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import formats
from statuses import health

#: Code of `statuses.conditions` -> what the server is, and what to do about it.
WORDS: dict[str, tuple[Promise, Promise]] = {
    "LOADING": (gettext_lazy("Redis is reading its file"), gettext_lazy("It answers once it has, and nothing is lost.")),
    "MASTERDOWN": (
        gettext_lazy("Redis is a replica that does not hear its primary"),
        gettext_lazy("It was told to give no old answers. Bring back the primary or the line to it, or make this one the primary."),
    ),
    "BUSY": (
        gettext_lazy("Redis is held up by a script"),
        gettext_lazy(
            "A script or a function runs there that does not end, as a rule somebody else's. SCRIPT KILL (or FUNCTION KILL) on that server "
            "ends it, unless it has written something: then wait."
        ),
    ),
    "READONLY": (
        gettext_lazy("Redis is a replica, which takes no writes"),
        gettext_lazy("Lead the statuses to the primary, or make this one the primary."),
    ),
    "OOM": (
        gettext_lazy("The memory of Redis is full"),
        gettext_lazy("It takes no writes, and no job is tracked. Raise maxmemory, or take away what else is kept there."),
    ),
    "MISCONF": (
        gettext_lazy("Redis cannot write its file to disk"),
        gettext_lazy("It takes no writes until it can, and no job is tracked. Its log says why: the disk is full, as a rule."),
    ),
    "NOREPLICAS": (
        gettext_lazy("Too few replicas follow Redis"),
        gettext_lazy("It takes no writes, and no job is tracked. Bring them back, or ask for fewer (min-replicas-to-write)."),
    ),
    "CLUSTERDOWN": (
        gettext_lazy("A part of the cluster is served by no node"),
        gettext_lazy("Bring its nodes back; “redis-cli --cluster check” says which slots are not served."),
    ),
    "TRYAGAIN": (gettext_lazy("A part of the cluster moves to another node"), gettext_lazy("Wait: it has moved soon.")),
    "AUTH": (
        gettext_lazy("Redis does not know the user or the password"),
        gettext_lazy("Whoever runs the site gives them in the address of the statuses, or its client."),
    ),
    "NOPERM": (
        gettext_lazy("Redis does not permit that to its user"),
        gettext_lazy("Whoever runs the site grants it: docs/redis.md lists the rights that are needed."),
    ),
    "CLIENTS": (
        gettext_lazy("Redis has as many clients as it takes"),
        gettext_lazy("Raise maxclients, or have fewer processes connect."),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a server says of itself."""

    title: str
    """What it is, without a full stop."""
    body: str
    """What that means, how long it lasts, what to do: sentences."""
    only_writes: bool
    """Whether pages that only read are shown."""
    left_seconds: int | None = None
    """How long it will last, where that is known."""

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.title}. {self.body}"


def said(error: BaseException | None) -> Said | None:
    """What the server said that refused; None where it is away, or silent.
    Source: nothing; of one that reads its file `health.loading`, one round trip."""
    condition = error.condition if isinstance(error, statuses.StoreUnavailable) else None
    if condition is None:
        return None
    title, body = map(str, WORDS[condition.code])
    found = health.loading() if condition.code == "LOADING" else None
    if found is None or found.share is None or found.left is None:
        return Said(title=title, body=body, only_writes=condition.only_writes)
    seconds = int(found.left.total_seconds())
    done = _("%(share)s of it is read; the rest takes about %(time)s.") % {
        "share": formats.share(round(found.share * 1000), 1000),
        "time": formats.landmark(seconds),
    }
    return Said(title=title, body=f"{done} {body}", only_writes=condition.only_writes, left_seconds=seconds)
