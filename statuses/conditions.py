"""Why a server that is there does not do what it is asked, as it says itself: what each of its words means, and what helps."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One of them."""

    code: str
    """The server's own word, as its errors begin with it; `CLIENTS`, which has none, for one that takes no more clients."""
    means: str
    """What is wrong, after "the status store refused ...: "."""
    remedy: str
    """What to do, or that time does it."""
    only_writes: bool = False
    """Whether reads are answered all the same."""
    passes: bool = False
    """Whether it ends by itself."""


CONDITIONS: dict[str, Condition] = {
    condition.code: condition
    for condition in (
        Condition(
            code="LOADING", means="it still reads its file", remedy="Wait: it answers once it has, and nothing is lost.", passes=True
        ),
        Condition(
            code="MASTERDOWN",
            means="it is a replica that does not hear its primary, and was told to give no old answers",
            remedy="Bring back the primary or the line to it, make this one the primary, or let it answer with what it heard last "
            "(replica-serve-stale-data yes).",
        ),
        Condition(
            code="BUSY",
            means="a script or a function runs there that does not end, as a rule somebody else's",
            remedy="SCRIPT KILL (or FUNCTION KILL) on that server ends it, unless it has written something: then wait.",
        ),
        Condition(
            code="READONLY",
            means="it is a replica, which takes no writes",
            remedy="Lead the statuses to the primary, or make this one the primary (REPLICAOF NO ONE).",
            only_writes=True,
        ),
        Condition(
            code="OOM",
            means="its memory is full",
            remedy="Raise maxmemory, or take away what else is kept there; then keep jobs less long.",
            only_writes=True,
        ),
        Condition(
            code="MISCONF",
            means="it cannot write its file to disk, and takes no writes until it can",
            remedy="Its log says why: the disk is full as a rule, or its folder is not its own.",
            only_writes=True,
        ),
        Condition(
            code="NOREPLICAS",
            means="too few replicas follow it",
            remedy="Bring them back, or ask for fewer (min-replicas-to-write).",
            only_writes=True,
        ),
        Condition(
            code="CLUSTERDOWN",
            means="a part of the cluster is served by no node",
            remedy="Bring its nodes back; redis-cli --cluster check says which slots are not served.",
        ),
        Condition(code="TRYAGAIN", means="a part of the cluster moves to another node", remedy="Wait: it has moved soon.", passes=True),
        Condition(
            code="AUTH",
            means="it does not know the user or the password",
            remedy="Give them in the address of the statuses, or its client.",
        ),
        Condition(
            code="NOPERM",
            means="its user may not do that",
            remedy="Grant it: docs/redis.md lists the rights that are needed.",
        ),
        Condition(
            code="CLIENTS",
            means="it has as many clients as it takes",
            remedy="Raise maxclients, or have fewer processes connect.",
        ),
    )
}
