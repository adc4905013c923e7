"""What a job's own hash in RQ says of its status, so that no event looks it up by RQ's id.

One field, `job_status`: our id, the attempt, and the moment the RQ job was made. RQ's ids are chosen by projects and
used again; the moment tells that a mark left in such a hash is about an earlier job. RQ writes fields and removes
none, so the mark outlives writers that do not know it, such as RQ's own scheduler.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

#: The field of the job's hash with the mark.
FIELD = "job_status"
#: The field with the mark of the attempt that a worker began with last: where the job waits with this very mark, what has put it back did
#: not know of marks.
BEGUN_FIELD = "job_status_begun"
#: The field with the process that runs the job.
PID_FIELD = "job_status_pid"
#: The field with what its workflow began with: our id of the first job; absent in that one.
ROOT_FIELD = "job_status_root"
#: What the mark says in place of an id where the publisher decided that the job is not tracked.
_UNTRACKED = "-"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Which status, and which attempt of it, an RQ job is."""

    status_id: str | None
    """Our id; None: not tracked."""
    attempt: int = 0
    """The attempt it is in, or waits for."""

    def text(self, created_at: str) -> str:
        """As it stands in the hash."""
        return f"{self.status_id or _UNTRACKED} {self.attempt} {created_at}"

    def next(self) -> "Mark":
        """The attempt after this one."""
        return replace(self, attempt=self.attempt + 1)


def read(fields: Mapping[Any, Any], field: str = FIELD) -> Mark | None:
    """The mark among the raw fields of a job's hash; None where there is none for this job."""
    parts = _text(fields.get(field.encode(), fields.get(field))).split(" ")
    created_at = _text(fields.get(b"created_at", fields.get("created_at")))
    if len(parts) != 3 or parts[2] != created_at or not parts[1].isdigit():
        return None
    return Mark(status_id=None if parts[0] == _UNTRACKED else parts[0], attempt=int(parts[1]))


def read_begun(fields: Mapping[Any, Any]) -> tuple[Mark | None, bool]:
    """The mark, and whether a worker has begun with this attempt; where it has with a later one, the mark of that: whoever has written the
    job since held an old copy of it."""
    mark, begun = read(fields), read(fields, BEGUN_FIELD)
    if mark is None or begun is None or begun.status_id != mark.status_id or begun.attempt < mark.attempt:
        return mark, False
    return begun, True


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
