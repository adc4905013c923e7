"""What the parameters `workflow` and `step` of a filter mean: which jobs, and in which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from jobadmin.formats import count
from jobadmin.parameters import STOPPED
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token
from statuses import Query, Workflow


def narrowed(query: Query, workflows: Mapping[str, Workflow], tokens: Sequence[Token], step: str) -> Query:
    """The jobs of `query` that are in the workflows asked for, and not in those left out."""
    wanted = [id for token in tokens if not token.negative for id in _ids(workflows[token.value], step)]
    unwanted = [id for token in tokens if token.negative for id in _ids(workflows[token.value], step)]
    if any(not token.negative for token in tokens):
        query = query.where(id=wanted)
    return query.exclude(id=unwanted) if unwanted else query


def _ids(found: Workflow, step: str) -> list[str]:
    """Ids of the jobs of one workflow, as far as `step` asks for them."""
    if not step:
        return [job.id for job in found.jobs]
    if step == STOPPED:
        return [job.id for job in found.stopped]
    first, last = _depths(step)
    return [job.id for job, depth in zip(found.jobs, found.depths, strict=True) if first <= depth <= last]


def _depths(step: str) -> tuple[int, int]:
    """The depths that `step` names, from and to."""
    first, _dash, last = step.partition("-")
    return int(first), int(last or first)


def words(name: str, found: Workflow, step: str) -> str:
    """One workflow in words: the name of the job it is named after, the step, and what is missing of a large one."""
    text = redact_text(next((job.job_name for job in found.jobs if job.id == name and job.job_name), name))
    if step == STOPPED:
        text = _("%(workflow)s, where it stopped") % {"workflow": text}
    elif step:
        text = _("%(workflow)s, step %(step)s") % {"workflow": text, "step": _shown(step)}
    if not found.is_whole:
        text = _("%(workflow)s (the nearest %(n)s jobs)") % {"workflow": text, "n": count(len(found.jobs))}
    return text


def _shown(step: str) -> str:
    """Depths as people count, from one."""
    return "–".join(str(int(depth) + 1) for depth in step.split("-"))
