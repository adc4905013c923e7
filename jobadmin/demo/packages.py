"""The packages installed in this environment: what the demo's jobs work on."""

import functools
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path

#: File endings of Python source, and of its near relatives: templates and Cython, which do not parse.
SOURCES = frozenset({".py", ".pyi"})
NEAR_SOURCES = frozenset({".py-tpl", ".pyx", ".pxd"})
#: What somebody may take for text; the last three are not.
TEXTS = frozenset({".py", ".txt", ".md", ".rst", ".html", ".css", ".js", ".po", ".csv", ".json", ".mo", ".png", ".gz"})
#: A file of more bytes is left to the long jobs.
BIG_BYTES = 2_000_000

_WORD = re.compile(rb"[A-Za-z_]{3,}")


@dataclass(frozen=True, kw_only=True)
class Package:
    """One installed distribution."""

    name: str
    """Lower case, as in the resource `Package:django`."""
    version: str
    root: Path
    """Where its files are counted from."""
    files: tuple[str, ...]
    """Paths relative to `root`, without compiled ones and without what lies elsewhere (scripts)."""

    @property
    def resource(self) -> str:
        return f"Package:{self.name}"

    def ending_in(self, suffixes: frozenset[str]) -> list[str]:
        """Its files with one of these endings, none of them big."""
        return [f for f in self.files if Path(f).suffix in suffixes and (self.root / f).stat().st_size <= BIG_BYTES]

    def read(self, path: str) -> bytes:
        """One file. Raises: OSError."""
        return (self.root / path).read_bytes()


@functools.cache
def installed() -> dict[str, Package]:
    """All packages of this environment by name; read once a process."""
    found = (_package(distribution) for distribution in importlib.metadata.distributions())
    return {package.name: package for package in sorted(found, key=lambda p: p.name) if package.files}


def _package(distribution: importlib.metadata.Distribution) -> Package:
    files = [str(f) for f in distribution.files or () if ".." not in f.parts and "__pycache__" not in f.parts]
    root = Path(str(distribution.locate_file("")))
    kept = tuple(sorted(f for f in files if (root / f).is_file()))
    return Package(name=distribution.metadata["Name"].lower(), version=distribution.version, root=root, files=kept)


def find(resource: str) -> Package:
    """The package that `Package:<name>` speaks of. Raises: LookupError when it is not installed."""
    name = resource.removeprefix("Package:")
    try:
        return installed()[name]
    except KeyError:
        raise LookupError(f"package {name!r} is not installed") from None


def module_of(path: str) -> str:
    """`Module:django.http` for `django/http/__init__.py`."""
    parts = Path(path).with_suffix("").parts
    return "Module:" + ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def words(content: bytes) -> dict[str, int]:
    """How often each word of three letters or more stands in `content`."""
    counts: dict[bytes, int] = {}
    for word in _WORD.findall(content):
        counts[word] = counts.get(word, 0) + 1
    return {word.decode(): count for word, count in counts.items()}
