"""Job logs in JSON Lines, as mappings for ``statuses.load``.

One job a line: ``source_id job_name queue user submitted_at started_at finished_at state resources exit parents``; times in
integer microseconds since 1970, ``state`` one of succeeded, failed, killed and running.
"""

import gzip
import io
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

#: What a log's states are called here.
STATES = {"succeeded": "succeeded", "failed": "failed", "killed": "killed", "running": "started", "started": "started", "queued": "queued"}

#: The moment that ``finished_at`` is, by state; a job that has not ended has none.
_END = {"succeeded": "succeeded_at", "failed": "failed_at", "killed": "killed_at"}

_decoder = json.JSONDecoder()
_GZIP = b"\x1f\x8b"
_BUFFER = 1 << 20


class BadLine(ValueError):
    """Raised when a line of a log cannot be read as a job."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


@dataclass(kw_only=True)
class Log:
    """An open log: its lines, and how much of it has been read."""

    stream: BinaryIO
    """Plain lines."""
    source: BinaryIO
    """The file itself, maybe packed."""
    size: int | None
    """Bytes of the file; None where nobody knows (a pipe)."""

    @property
    def share(self) -> float | None:
        """Share of the file that has been read, 0 to 1; None where its size is not known."""
        return min(1.0, self.source.tell() / self.size) if self.size else None


def open_log(path: str) -> Log:
    """Opens a file, plain or gzip (told by its first bytes), or standard input for ``-``. Raises: OSError."""
    if path == "-":
        source = io.BufferedReader(sys.stdin.buffer, _BUFFER)
        return Log(stream=_unpacked(source), source=source, size=None)
    file = Path(path).open("rb")  # noqa: SIM115 (read as the store takes it, closed with the process)
    return Log(stream=_unpacked(file), source=file, size=Path(path).stat().st_size)


def _unpacked(file: io.BufferedReader) -> BinaryIO:
    if file.peek(2)[:2] == _GZIP:
        return io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER)
    return file


def jobs(lines: Iterable[bytes], *, first: int = 1) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Line number and job (or what is wrong with the line), from line ``first`` on; empty lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if number < first or line.isspace():
            continue
        try:
            yield number, as_status(_value(line))
        except (ValueError, TypeError, KeyError) as error:
            yield number, BadLine(number, _why(error))


def _value(line: bytes) -> Any:
    """The JSON value of a line. Without the guess of an encoding that ``json.loads`` makes for each of a million lines."""
    text = line.decode().strip()
    value, end = _decoder.raw_decode(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def as_status(job: Any) -> dict[str, Any]:
    """One job of a log with the names of Status attributes. Raises: ValueError, KeyError, TypeError."""
    if not isinstance(job, dict):
        raise ValueError(f"expected an object, found {type(job).__name__}")
    get = job.get
    state = STATES.get(job["state"])
    if state is None:
        raise ValueError(f"state must be one of {', '.join(STATES)}, not {job['state']!r}")
    submitted, finished = _time(job, "submitted_at"), get("finished_at")
    found = {
        "state": state, "provider_job_id": _text(job, "source_id"), "recorded_at": submitted, "queued_at": submitted,
        "job_name": get("job_name"), "queue": get("queue"), "user": get("user"),
    }  # fmt: skip
    if get("started_at") is not None:
        found["started_at"] = job["started_at"]
    if finished is not None and state in _END:
        found[_END[state]] = finished
    if get("resources"):
        found["job_args"] = _arguments(job["resources"])
    if get("exit") is not None:
        found["errors"] = [job["exit"]]
    if get("parents"):
        found["depends_on"] = job["parents"]
    return found


def _arguments(resources: list[str]) -> dict[str, str | list[str]]:
    """Resources under the names of their types; several of a type become a list."""
    if not isinstance(resources, list) or not all(isinstance(text, str) for text in resources):
        raise ValueError(f"resources must be a list of texts, not {resources!r:.100}")
    found: dict[str, Any] = {}
    for text in resources:
        kind = text.partition(":")[0]
        if kind not in found:
            found[kind] = text
        elif isinstance(found[kind], list):
            found[kind].append(text)
        else:
            found[kind] = [found[kind], text]
    return found


def _text(job: dict[str, Any], name: str) -> str:
    value = job[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} must be a text, not {value!r}")
    return value


def _time(job: dict[str, Any], name: str) -> int:
    value = job[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} must be integer microseconds, not {value!r}")
    return value


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg} (column {error.colno})"
    if isinstance(error, UnicodeDecodeError):
        return "no UTF-8"
    return str(error)
