"""Verifying what is stored, and mending it: every segment against its hashes, every key against what it belongs to.

Safe while others write. What looks wrong is read once more, all of one moment, before it counts; a repair is applied by
a script, and only while the segment is still in the version that was looked at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import upkeep
from .arguments import callback
from .store import current

if TYPE_CHECKING:
    from .faults import Fault

#: (segments done, segments there are) along the way.
Progress = Callable[[int, int], Any]
#: Called before things are mended, with how many; what it raises ends the check, and they stay as they are.
Announce = Callable[[int], Any]

#: What can be wrong, and what is done about it.
KINDS: dict[str, str] = {
    "meta": "a segment that the family does not know of; becomes its present one",
    "dictionary": "the two halves of a dictionary disagree; the missing half is written",
    "rows": "a packed segment without the rows of its cells; cannot be mended",
    "version": "a segment without its version; a new one is written",
    "count": "a job in a row that was never handed out; the row counts as handed out, or the job as none",
    "zone": "bounds of a segment that leave a moment out; they are widened",
    "length": "a column of a wrong length, as a copy that broke off leaves it; filled with nothing, or cut",
    "state": "a state that is none, is lost, or was never entered; becomes what the moments say",
    "recorded": "a job that was never recorded; counts as recorded at its first moment",
    "span": "a run or wait time that does not follow from the moments; computed again",
    "code": "a code that stands for no text, or for one with another code; none, or that one, is written",
    "field": "arguments that cannot be read; removed",
    "tag": "a job not found by what it has, or found by what it has not; its tags are written again",
    "id": "a job with neither an own nor a generated id, or with both; gets what its alias says, else a new one",
    "alias": "an own id that does not lead to its job, or leads to none; points there, or is removed",
    "attempt": "an attempt that was counted and is not there; a stand-in of unknown state is written",
    "leftover": "keys of jobs and segments that are no more; removed",
    "unknown": "keys that nothing here writes; left alone",
}
#: Examples kept of each kind.
EXAMPLES = 5


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What was found of one kind."""

    kind: str
    """See `KINDS`."""
    count: int
    repaired: int
    examples: tuple[str, ...]
    """The first few: the id of a job, else a key, and what is wrong with it."""

    @property
    def meaning(self) -> str:
        """What is wrong; and what mends it."""
        return KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found, and what it repaired."""

    segments: int
    jobs: int
    """Jobs looked at, those that can be restored too."""
    problems: tuple[Problem, ...]
    """In the order of `KINDS`; kinds that were not met are left out."""

    @property
    def found(self) -> int:
        """Problems of all kinds."""
        return sum(problem.count for problem in self.problems)

    @property
    def repaired(self) -> int:
        """Problems that are no more."""
        return sum(problem.repaired for problem in self.problems)


def check(*, repair: bool = False, announce: Announce | None = None, progress: Progress | None = None) -> Checked:
    """Verify every segment against its hashes, tags, ids and dictionaries, and every key against what it belongs to;
    with `repair` mend what can be mended (`KINDS` says how). `announce(number)` is called before that is done to so many things, once more
    for the same where somebody wrote meanwhile; `progress(segments done, segments)` after each segment.

    Source: all of a segment as of one version, the hashes of its jobs in pipelines, SCAN over the database. About five
    seconds of Redis' time a million jobs, in calls of a few milliseconds; one round trip at the end, that says so (`upkeep`).
    Raises: StoreUnavailable, StoreFormat."""
    callback("announce", announce)
    callback("progress", progress)
    with upkeep.doing(upkeep.CHECK) as did:
        checked = _check(repair, announce, progress)
        did |= {"checked": checked.jobs, "wrong": checked.found, "repaired": checked.repaired}
    return checked


def _check(repair: bool, announce: Announce | None, progress: Progress | None) -> Checked:
    from . import inspection, keycheck, segmentcheck, textcheck

    here, tally = current(), Tally(announce)
    families = [inspection.Family(here, number, repair, tally) for number in range(len(here.families))]
    total = sum(len(family.span) for family in families)
    for family in families:
        if not family.span:
            continue
        texts = textcheck.Texts(family)
        texts.check()
        for _ in segmentcheck.Segments(family, texts).check():
            tally.segments += 1
            if progress is not None:
                progress(tally.segments, total)
        keycheck.Keys(family).check()
    return tally.checked()


@dataclass
class Tally:
    """What was found so far."""

    announce: Announce | None = None
    segments: int = 0
    jobs: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def mends(self, number: int) -> None:
        """So many things are about to be mended."""
        if self.announce is not None and number:
            self.announce(number)

    def note(self, fault: "Fault", repaired: bool) -> None:
        counted = self.counts.setdefault(fault.kind, [0, 0])
        counted[0] += 1
        counted[1] += repaired
        shown = self.examples.setdefault(fault.kind, [])
        if len(shown) < EXAMPLES:
            shown.append(f"{fault.where}: {fault.what}")

    def checked(self) -> Checked:
        problems = [
            Problem(kind=kind, count=self.counts[kind][0], repaired=self.counts[kind][1], examples=tuple(self.examples[kind]))
            for kind in KINDS
            if kind in self.counts
        ]
        return Checked(segments=self.segments, jobs=self.jobs, problems=tuple(problems))
