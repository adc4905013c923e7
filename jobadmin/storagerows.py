"""The store as plain rows: what its page shows, for a shell and for programs."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext

from jobadmin import fleetrows, storage


@dataclass(frozen=True, kw_only=True)
class StorageRows:
    """What is told of the store."""

    servers: list[dict[str, Any]]
    """In words, as the page has them."""
    facts: list[dict[str, Any]]
    """Likewise what there is, and what it takes."""
    dictionaries: list[dict[str, Any]]
    """How many different texts there are, and may be; none while nobody can tell."""
    upkeep: list[dict[str, Any]]
    """Who keeps it in order."""
    warnings: list[str]
    """What somebody has to look after, and what may not be asked."""
    plain: dict[str, Any]
    """All of it as numbers, for programs: bytes, seconds, counts."""


def read() -> StorageRows:
    """How the store is.  Source: see `storage.read`.  Raises: StoreUnavailable."""
    found = storage.read()
    chores = [fleetrows.of_upkeep(row) for row in found.upkeep.rows]
    warnings = [trouble.sentence for trouble in found.troubles] + found.upkeep.warnings
    if found.forbidden:
        warnings.append(gettext("What only %(commands)s would tell is left out: this user may not ask.") % {"commands": found.forbidden})
    return StorageRows(
        servers=[_of_server(row) for row in found.servers],
        facts=[{"what": fact.name, "how_much": fact.value, "note": fact.told} for fact in found.facts],
        dictionaries=[{"texts_of": row.name, "texts": row.texts, "of_at_most": row.room} for row in found.dictionaries],
        upkeep=chores,
        warnings=warnings,
        plain={**_plain(asdict(found.examined)), "chores": chores, "forbidden": found.examined.forbidden, "warnings": warnings},
    )


def _of_server(row: storage.ServerRow) -> dict[str, Any]:
    about = row.about
    return {
        "server": about.address,
        "product": row.product or None,
        "role": row.role or None,
        "round_trip": row.latency or None,
        "memory": ", ".join(filter(None, (row.memory, row.room))) or None,
        "when_full": ": ".join(filter(None, (about.policy, row.spared))) or None,
        "on_disk": gettext("Nothing") if about.is_kept is False else row.disk or None,
        "clients": row.clients or None,
        "per_second": about.operations_per_second,
        "dropped": about.evicted,
        "up_since": about.started_at,
    }


def _plain(value: Any) -> Any:
    """Times as seconds, under the names that say so."""
    if isinstance(value, dict):
        return {f"{name}_seconds" if isinstance(part, timedelta) else name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.total_seconds() if isinstance(value, timedelta) else value
