"""What the demo's jobs give to look at: made when somebody opens the page of one that has ended."""

from statuses import Status
from statuses.outputs import Part, Table, Text, register

#: A check of `packages.audit` by its name -> what it is called in the table, and which of its data say what it found.
CHECKS = {
    "packages.audit.measure_sources": ("Sources", ("files", "lines", "bytes")),
    "packages.audit.compile_package": ("Compiled", ("compiled",)),
    "packages.audit.read_licence": ("Licence", ("licence",)),
    "packages.audit.list_entry_points": ("Entry points", ("entry_points",)),
}


@register("packages.audit")
def audit(status: Status) -> list[Part]:
    """What each check of a package found, from the data of the children."""
    rows = []
    for child in status.children.order_by("recorded_at").limit(50):
        name, fields = CHECKS.get(child.job_name or "", (child.job_name or child.id, ()))
        rows.append((name, str(child.state), _found(child, fields)))
    if not rows:
        return []
    failed = sum(state == "failed" for _, state, _ in rows)
    words = f"{len(rows)} checks, {failed} failed" if failed else f"{len(rows)} checks, none failed"
    return [Table(columns=("Check", "State", "Found"), rows=rows), Text(text=words)]


@register("search.rebuild")
def rebuild(status: Status) -> list[Part]:
    """How much there is to search in, and the words that come most often."""
    found = status.data.get("result") if isinstance(status.data, dict) else None
    if not isinstance(found, dict):
        return []
    return [
        Text(text=f"{found['words']:,} words in {found['packages']:,} packages"),
        Table(columns=("Most frequent",), rows=[(word,) for word in found["most"]]),
    ]


def _found(child: Status, fields: tuple[str, ...]) -> str:
    """The data of a check in a few words, or why it has none."""
    if child.is_failed:
        return child.error_summary or ""
    data = child.data if isinstance(child.data, dict) else {}
    given = data.get("result", data)
    given = given if isinstance(given, dict) else {}
    return ", ".join(_words(name, given[name]) for name in fields if name in given)


def _words(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} {name.replace('_', ' ')}"
    return f"{value:,} {name}" if isinstance(value, int) else str(value)
