"""What a finished job gives, made presentable when someone looks: data in, parts out, never HTML."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .status import Status

log = logging.getLogger("statuses")


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under column heads; cells are texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Link:
    """An address; only http, https and relative ones are shown as a link."""

    url: str
    text: str = ""
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file to fetch at an address."""

    url: str
    name: str
    size_bytes: int | None = None
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Image:
    """A picture at an address, with what it shows in words."""

    url: str
    alt: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Stands where a processor raised: which one, and what it said."""

    processor: str
    error: str
    title: str = ""


Part = Text | Table | Link | File | Image | Broken
#: Takes the job and its children (a Query), gives parts.
Processor = Callable[[Status], Iterable[Part] | Part | None]
P = TypeVar("P", bound=Processor)
_PARTS = (Text, Table, Link, File, Image, Broken)
_processors: dict[str, list[Processor]] = {}


def register(*job_names: str) -> Callable[[P], P]:
    """Let a function make the output of jobs with these names; a name that ends in `*` is a prefix.

    It is called with the status when someone looks, and reads `status.data` and `status.children`.
    Raises: ValueError without a name."""
    if not job_names or not all(isinstance(name, str) and name for name in job_names):
        raise ValueError("register needs the names of the jobs whose output the function makes")

    def remember(processor: P) -> P:
        for name in job_names:
            _processors.setdefault(name, []).append(processor)
        return processor

    return remember


def unregister(processor: Processor) -> None:
    """Forget a function."""
    for known in _processors.values():
        if processor in known:
            known.remove(processor)


def of(status: Status) -> list[Part]:
    """The parts of an ended job's output, from every function that fits its name; a function that raises gives a Broken part."""
    if not status.is_ended or status.job_name is None:
        return []
    name = status.job_name
    found = [one for key, known in _processors.items() if key == name or (key.endswith("*") and name.startswith(key[:-1])) for one in known]
    return [part for processor in dict.fromkeys(found) for part in _parts(processor, status)]


def _parts(processor: Processor, status: Status) -> list[Part]:
    name = getattr(processor, "__qualname__", repr(processor))
    try:
        made = processor(status)
        parts = [] if made is None else [made] if isinstance(made, _PARTS) else list(made)
        strange = [part for part in parts if not isinstance(part, _PARTS)]
        if strange:
            raise TypeError(f"gave a {type(strange[0]).__name__}, expected parts of statuses.outputs")
        return parts
    except Exception as error:
        log.warning("the output of job %s could not be made by %s: %s", status.id, name, error)
        return [Broken(processor=name, error=f"{type(error).__name__}: {error}")]
