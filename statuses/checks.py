"""System checks: settings that would lose statuses, or that nobody reads, are told when Django starts."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from importlib import metadata
from itertools import chain
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

from . import health
from .engines import versions
from .errors import ConfigurationError, StoreUnavailable
from .refusals import is_refusal
from .servers import OTHERS, Server, addresses
from .store import current

#: Keys of `settings.JOBADMIN` that the dashboard reads.
DASHBOARD_KEYS = ("RESOLVER", "REDACT", "KEEP_OPERATIONS")
#: An operation is kept for so long at least: while it can be taken back, and those who are at work may look at it.
_LEAST_KEPT = timedelta(days=1)
_BACKEND = "django_redis.cache.RedisCache"
#: Versions of redis-py whose connections to a unix socket end with an AttributeError.
_NO_SOCKETS = frozenset({"7.2.0"})
#: The settings lead to no server at all.
_NO_HOME = ("statuses.E002", "statuses.E003")
_FLUSHES = "its clear() is a FLUSHDB, which takes every status with it."


def check_settings(known: Iterable[str], refused: str = "") -> list[checks.CheckMessage]:
    """What `statuses` refused when it was configured, keys nobody reads (`known`: those that are read), and caches that share the
    statuses' home."""
    given = getattr(settings, "JOBADMIN", {})
    wrong: list[checks.CheckMessage] = [checks.Error(f"JOBADMIN: {refused}", id="statuses.E008")] if refused else []
    return wrong if not isinstance(given, Mapping) else [*wrong, *_given(given, known)]


def _given(given: Mapping[str, Any], known: Iterable[str]) -> list[checks.CheckMessage]:
    found = [*_unknown(given, [*known, "CACHE", *DASHBOARD_KEYS]), *_dashboard(given)]
    return found if given.get("URL") else [*found, *_home(given.get("CACHE", "default"), settings.CACHES)]


def _unknown(given: Mapping[str, Any], known: list[str]) -> Iterator[checks.CheckMessage]:
    for key in given:
        if key not in known:
            yield checks.Error(f"JOBADMIN knows no setting {key!r}.", hint=_nearest(key, known), id="statuses.E001")


def _dashboard(given: Mapping[str, Any]) -> Iterator[checks.CheckMessage]:
    """What the dashboard would find out with its first page."""
    named, words, kept = given.get("RESOLVER"), given.get("REDACT", ()), given.get("KEEP_OPERATIONS")
    try:
        made = import_string(named) if isinstance(named, str) else named
    except ImportError as error:
        yield checks.Error(f"JOBADMIN['RESOLVER'] is {named!r}, which cannot be imported: {error}", id="statuses.E006")
    else:
        if named is not None and not isinstance(made, type):
            yield checks.Error(
                f"JOBADMIN['RESOLVER'] must name a subclass of jobadmin.resolver.Resolver, not {named!r:.100}", id="statuses.E006"
            )
    if isinstance(words, str) or not isinstance(words, Collection) or not all(isinstance(word, str) for word in words):
        yield checks.Error(f"JOBADMIN['REDACT'] must be a list of words, not {words!r:.100}", id="statuses.E007")
    if kept is not None and not (isinstance(kept, timedelta) and kept >= _LEAST_KEPT):
        said = f"JOBADMIN['KEEP_OPERATIONS'] must be a timedelta of at least a day, or None for ever, not {kept!r:.100}"
        yield checks.Error(said, id="statuses.E010")


def _nearest(word: object, known: Iterable[str]) -> str | None:
    if not isinstance(word, str):
        return None
    near = difflib.get_close_matches(word.upper(), {name.upper(): name for name in known}, n=1)
    return next((f"Did you mean {name!r}?" for name in known if near and name.upper() == near[0]), None)


def _home(alias: Any, caches: Mapping[str, Mapping[str, Any]]) -> Iterator[checks.CheckMessage]:
    if not isinstance(alias, str) or alias not in caches:
        yield checks.Error(f"JOBADMIN['CACHE'] is {alias!r}, which CACHES does not have.", hint=_nearest(alias, caches), id="statuses.E002")
        return
    if not _is_django_redis(caches[alias]):
        yield checks.Error(
            f"JOBADMIN['CACHE'] is {alias!r}, which is no cache of django-redis.",
            hint=f"Give the statuses an alias of their own with the backend {_BACKEND}, or a URL.",
            id="statuses.E003",
        )
        return
    sharing = [name for name, cache in caches.items() if name != alias and _place(cache) == _place(caches[alias])]
    for name in sharing:
        yield checks.Error(
            f"The cache {name!r} shares server and database with the statuses: {_FLUSHES}",
            hint=f"Give {alias!r} a database of its own: another number at the end of its LOCATION.",
            id="statuses.E004",
        )
    users = _users(alias)
    if users and not sharing:
        yield checks.Warning(
            f"The statuses live in the cache {alias!r}, which {' and '.join(users)}: {_FLUSHES}",
            hint="Give the statuses an alias of their own with another database number, and name it in JOBADMIN['CACHE'].",
            id="statuses.W001",
        )


def _is_django_redis(cache: Mapping[str, Any]) -> bool:
    try:
        return issubclass(import_string(cache["BACKEND"]), import_string(_BACKEND))
    except (ImportError, KeyError, TypeError):
        return False


def _place(cache: Mapping[str, Any]) -> object:
    """Server and database of a cache; something unlike everything else where that cannot be told."""
    location = cache.get("LOCATION")
    first = location[0] if isinstance(location, list | tuple) and location else location
    if not isinstance(first, str) or "://" not in first:
        return object()
    found = urlsplit(first.split(",")[0])
    numbers = parse_qs(found.query).get("db", [""])
    if found.scheme == "unix":
        return found.path, int(numbers[0] or 0)
    in_path = found.path.strip("/")
    number = numbers[0] or (in_path if in_path.isdigit() else "0")
    return (found.hostname or "localhost").replace("127.0.0.1", "localhost"), found.port or 6379, int(number)


def _users(alias: str) -> list[str]:
    """Who else in the project uses a cache, as far as settings tell."""
    found = ["every caching part of Django uses"] if alias == "default" else []
    if "cache" in settings.SESSION_ENGINE and alias == settings.SESSION_CACHE_ALIAS:
        found.append("sessions are kept in")
    if settings.CACHE_MIDDLEWARE_ALIAS == alias != "default" and any("UpdateCacheMiddleware" in name for name in settings.MIDDLEWARE):
        found.append("pages are kept in")
    return found


def check_engines() -> list[checks.CheckMessage]:
    """Whether the engines that this process tracks are of versions that tracking was tried with. Asks nobody."""
    hint = "Install it by the extra of its engine, as jobadmin[rq], which names the versions."
    return [checks.Warning(f"{text}.", hint=hint, id="statuses.W004") for text in versions.warnings()]


def check_policy() -> list[checks.CheckMessage]:
    """Whether the store is one that this library and these settings can read and write, whether it is spoken to as the cluster that it is,
    and whether its server may drop statuses when its memory is full. Says nothing while the store is away: pages do; nor where the
    settings lead to none: that is told already."""
    given = getattr(settings, "JOBADMIN", {})
    if not given.get("URL") and any(found.id in _NO_HOME for found in _home(given.get("CACHE", "default"), settings.CACHES)):
        return []
    try:
        if faulty := _client():
            return faulty
        found = health.primaries()
        current().check_layout(anew=True)
    except StoreUnavailable as error:
        return _refused(error)
    except ConfigurationError as error:
        return [checks.Error(f"JOBADMIN: {error}", id="statuses.E009")]
    policies = list({str(told): told for told in chain.from_iterable(map(_policy, found))}.values())  # nodes of a cluster say the same
    refused = health.no_writes()
    policies += _refused(refused) if refused else []
    if any(server.is_node for server in found) and not current().is_cluster:
        message = (
            "The statuses' server is a node of a Redis Cluster, spoken to as one server: while a slot moves writes break off half way."
        )
        return [*policies, checks.Warning(message, hint="Set CLUSTER to True, and FAMILIES for a new store.", id="statuses.W003")]
    return policies


def _client() -> list[checks.CheckMessage]:
    """A client that cannot connect to where the statuses are, whatever is done: each call raises what is no outage."""
    present = metadata.version("redis")
    if present not in _NO_SOCKETS or not any(address.startswith("unix://") for address in addresses(current().writer)):
        return []
    message = f"redis-py {present} connects to no unix socket, and there the statuses are. No job is tracked."
    return [checks.Warning(message, hint="Install another version of redis.", id="statuses.W006")]


def _refused(error: StoreUnavailable) -> list[checks.CheckMessage]:
    """What does not pass by itself, as an outage does."""
    if not is_refusal(error.__cause__):
        return []
    message = f"The statuses' server is there and refuses: {error.__cause__}. No job is tracked."
    hint = error.condition.remedy if error.condition else "An own authority is given as ssl_ca_certs; docs/redis.md says what is needed."
    return [checks.Warning(message, hint=hint, id="statuses.W005")]


def _policy(server: Server) -> list[checks.CheckMessage]:
    """What the page of the store says of it, too (`jobadmin.troubles`), in the same words."""
    if server.drops == OTHERS:
        message = f"The statuses' server has maxmemory-policy {server.policy}: it drops what expires. No status does, but others' keys."
        return [checks.Info(message, hint="noeviction says what is meant.", id="statuses.I001")]
    if not server.may_evict:
        return []
    kind, number = (checks.Error, "E005") if server.maxmemory_bytes else (checks.Warning, "W002")
    message = f"The statuses' server has maxmemory-policy {server.policy}: when its memory is full it drops statuses, and parts of them."
    return [kind(message, hint="Set maxmemory-policy noeviction, or give the statuses a server of their own.", id=f"statuses.{number}")]
