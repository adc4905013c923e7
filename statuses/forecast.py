"""When retention lets jobs go: how many are due by which moment.

Of most segments their age alone tells: whatever is in them ended between their opening and their last change. Only those in which a job
is due about now are read for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .census import DECIDING, FOR_EVER, expiry, kept_us, policies
from .evaluation import Answer, Evaluation, Hits, Look
from .segments import Array, Segment, pick

#: Moments at which jobs are due are told apart by so many microseconds.
STEP_US = 300_000_000


@dataclass(frozen=True)
class Moments:
    """At which moments something comes to how many jobs, of all segments together."""

    parts: Sequence[tuple[Array, Array]]
    """Microseconds, each once, and how many jobs."""

    def until(self, at_us: int) -> int:
        """Jobs to which it came up to a moment."""
        return sum(int(counts[moments <= at_us].sum()) for moments, counts in self.parts)

    def later_than(self, at_us: int) -> int:
        """Jobs to which it comes later."""
        return sum(int(counts[moments > at_us].sum()) for moments, counts in self.parts)


def counted(moments: Array) -> tuple[Array, Array] | None:
    """Each once, and how often; None where there is none."""
    return np.unique(moments, return_counts=True) if len(moments) else None


def due(evaluation: Evaluation, names: Sequence[Mapping[str, int]], now: int, soon: int) -> Answer[Moments]:
    """When jobs are due, of those that are by `soon`, microseconds. names: by family, job name -> code, of those the policy speaks of."""
    retention = evaluation.store.config.retention
    policy = (*retention.items(), *(item for known in names for item in known.items()))

    def spans(hits: Hits) -> tuple[Array, Array]:
        known = names[hits.view.segment.family]
        own, numbers = hits.take("keep_for"), hits.of(policies(hits.view, known))
        kept = kept_us(retention, known) // STEP_US
        jobs = np.bincount(numbers if not own.any() else numbers[own == 0], minlength=len(kept))
        steps, themselves = np.unique((own[own > 0] - 1) // STEP_US, return_counts=True)
        return np.concatenate((kept[jobs > 0], steps)), np.concatenate((jobs[jobs > 0], themselves))

    # Those that are read again while somebody writes are read whole at once: else they would be others between the two looks.
    columns = {"state", "keep_for", *(["job_name"] if any(names) else ())}
    kept = yield Look(("kept", policy), spans, frozenset(columns), ahead=frozenset(DECIDING), again=False)
    told = {segment.key: _told(segment, *found, now, soon) for segment, found in kept}

    def moments(hits: Hits) -> tuple[Array, Array] | None:
        at = hits.of(expiry(hits.view, retention, names[hits.view.segment.family]))
        return counted((pick(at, at < FOR_EVER) // STEP_US + 1) * STEP_US)

    read = yield Look(("due", policy), moments, frozenset(DECIDING), only=lambda segment: told.get(segment.key, 0) is None)
    parts = [part for _, part in read]
    return Moments([*parts, (np.array([now]), np.array([sum(number or 0 for number in told.values())]))])


def _told(segment: Segment, steps: Array, jobs: Array, now: int, soon: int) -> int | None:
    """How many jobs of a segment are due now, where its age tells, and that no other will be by `soon`; else None. steps: how long
    jobs are kept, in `STEP_US`; jobs: how many are."""
    # Of one that was loaded with a past of its own the time counts from the loading.
    opened = segment.zone[0] if segment.zone else 0
    are_due = segment.version_us + (steps + 1) * STEP_US <= now
    are_later = opened + steps * STEP_US > soon
    return int(jobs[are_due].sum()) if (are_due | are_later).all() else None
