"""The text of a script with its shared parts put in, its SHA-1, and the command that runs it."""

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r"^-- include (\w+)$", re.MULTILINE)


def _whole(path: Path) -> str:
    return _INCLUDE.sub(lambda found: _whole(FOLDER / "shared" / f"{found[1]}.lua"), path.read_text())


#: Read once, with the module: a process whose package is exchanged under it goes on with the scripts it was started with.
_TEXTS = {path.stem: _whole(path) for path in sorted(FOLDER.glob("*.lua"))}


def text(name: str) -> str:
    """The script `<name>.lua`, every `-- include <part>` line replaced by `shared/<part>.lua`, in these too."""
    return _TEXTS[name]


@cache
def sha(name: str) -> str:
    """What EVALSHA calls the script."""
    return hashlib.sha1(text(name).encode(), usedforsecurity=False).hexdigest()


def names() -> list[str]:
    """Every script there is."""
    return list(_TEXTS)


def evaluating(name: str, script_keys: Sequence[str], arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The command that runs a script."""
    return ("EVALSHA", sha(name), str(len(script_keys)), *script_keys, *arguments)


def again(arguments: Sequence[Any], retry_flag: int) -> list[Any]:
    """The arguments of a second sending: the flag is one of them, or what a packed one begins with."""
    again = [*arguments]
    again[retry_flag] = b"1" + (again[retry_flag] or b"")[1:]
    return again
