"""The text of a script with its shared parts put in, and its SHA-1."""

import hashlib
import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


@cache
def text(name: str) -> str:
    """The script `<name>.lua`, every `-- include <part>` line replaced by `shared/<part>.lua`."""
    return _INCLUDE.sub(lambda found: _shared(found[1]), (FOLDER / f"{name}.lua").read_text())


def _shared(part: str) -> str:
    return (FOLDER / "shared" / f"{part}.lua").read_text()


@cache
def sha(name: str) -> str:
    """What EVALSHA calls the script."""
    return hashlib.sha1(text(name).encode(), usedforsecurity=False).hexdigest()


def names() -> list[str]:
    """Every script there is."""
    return sorted(path.stem for path in FOLDER.glob("*.lua"))
