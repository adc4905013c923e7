"""What the children of a job do, rolled up."""

from dataclasses import dataclass

from .query import Query
from .states import ENDED, State

#: Children whose progress is read one by one; of more only the states count.
MOST_READ = 1000


@dataclass(frozen=True, kw_only=True)
class RollUp:
    """All children of one job."""

    total: int
    counts: dict[State, int]
    """All seven states, zeros included."""
    progress: float | None
    """0.0 to 1.0: the mean of the children's, an ended child counts as 1; None without children."""

    @property
    def ended(self) -> int:
        """Children that succeeded, failed or were killed."""
        return sum(self.counts[state] for state in ENDED)


def roll_up(children: Query) -> RollUp:
    """States and progress of some jobs together. Source: one count; and one read of those that run, up to 1,000."""
    counts = children.counts()
    total = sum(counts.values())
    if not total:
        return RollUp(total=0, counts=counts, progress=None)
    done = float(sum(counts[state] for state in ENDED))
    if counts[State.started]:
        done += sum(child.progress or 0.0 for child in children.where(state=State.started).limit(MOST_READ))
    return RollUp(total=total, counts=counts, progress=done / total)
