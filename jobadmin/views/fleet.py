"""The pages of queues, workers and the store: what stands and runs now, whatever the filter; and the orders given there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin import controls, depths, fleet, moments, operations, storage
from jobadmin import queues as queues_page
from jobadmin import schedules as schedules_page
from jobadmin import workers as workers_page
from jobadmin.acting import untold
from jobadmin.answers import NOW, NoAnswer
from jobadmin.controls import CONTROLS, Control, Target
from jobadmin.filterbar import FilterBar, every
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.paths import queue_url, quote, safe_next, unquote
from jobadmin.queues import QueueRow
from jobadmin.records import NotRecorded, committed, recorded, who
from jobadmin.redaction import redact_text
from jobadmin.resolver import resolver
from jobadmin.views import failures
from jobadmin.views.base import needs, page, page_without_store, posted, render, wants_part
from statuses import Changed
from statuses.engines import registry
from statuses.engines.base import Engine, Worker

#: Seconds between two looks of a page that is live.
REFRESH_SECONDS = 5


@needs("view_job")
@page
@require_safe
def queues(request: HttpRequest) -> HttpResponse:
    """Every queue: what waits, since when, who takes it, how fast."""
    jobs = _unfiltered(request)
    return _render(request, "queues", jobs, {"title": _("Queues"), "shown": queues_page.read(jobs)})


@needs("view_job")
@page
@require_safe
def queue(request: HttpRequest, queue: str) -> HttpResponse:
    """One queue: what it is now, and how deep it was."""
    name, jobs = unquote(queue), _unfiltered(request)
    span = request.GET.get("span", depths.DEFAULT)
    if span not in depths.LENGTHS:
        raise BadFilter("span", span[:100], ", ".join(depths.LENGTHS))
    ever = jobs.with_(queue=name, span="all")
    shown = queues_page.read(jobs, name)
    chart = depths.chart(name, depths.LENGTHS[span], *_now(shown.rows))
    if not shown.rows and chart is None and not queues_page.is_known(name):
        raise Http404
    context = {
        "title": redact_text(name),
        "queue": name,
        "here": queue_url(name),
        "shown": shown,
        "chart": chart,
        "jobs_ever": 0 if shown.rows else ever.query.count(),
        "jobs_ever_url": ever.url("list"),
        "span": depths.LENGTHS[span],
        "lengths": depths.LENGTHS.values(),
        "as_table": request.GET.get("chart") == "table",
    }
    return _render(request, "queue", jobs, context)


def _now(rows: Sequence[QueueRow]) -> tuple[int, int]:
    """How many jobs wait in the queue of the page, and for how many seconds the first of them."""
    waiting, first = sum(row.waiting for row in rows), min((row.oldest_at for row in rows if row.oldest_at), default=None)
    return waiting, max(0, int((moments.now() - first).total_seconds())) if first else 0


@needs("view_job")
@page
@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """Every worker, or those that take from one queue."""
    tokens = JobFilter.from_request(request).tokens("queue")
    queue = tokens[0].value if len(tokens) == 1 and not tokens[0].negative and not tokens[0].prefix else ""
    jobs = JobFilter().with_(queue=queue or None)
    context = {
        "title": _("Workers"),
        "shown": workers_page.read(jobs, queue),
        "paused": fleet.paused(jobs, fleet.of(jobs, workers=False, manner=NOW)),
    }
    if not queue:
        context["suspended"] = fleet.suspended()
    return _render(request, "workers", jobs, context)


@needs("view_job")
@page
@require_safe
def schedules(request: HttpRequest) -> HttpResponse:
    """Every periodic job: its rule, when it comes next, what became of the last."""
    jobs = _unfiltered(request)
    return _render(request, "schedules", jobs, {"title": _("Schedules"), "shown": schedules_page.read(jobs)})


@needs("view_job")
@page
@require_safe
def redis(request: HttpRequest) -> HttpResponse:
    """The store of the statuses: how its servers are, what the statuses take, who keeps it in order."""
    jobs = _unfiltered(request)
    return _render(request, "redis", jobs, {"title": _("Redis"), "shown": storage.read()})


@committed
@needs("view_job", "control_workers")
@page_without_store
@posted
def control(request: HttpRequest, verb: str) -> HttpResponse:
    """Give one order to a worker or a queue, say what happened, and go back to where it was asked for.

    One that asks before it acts answers with its confirm page until ``confirmed`` is sent along; and again where it could not be
    written down, with the reason as it was typed.
    """
    if verb not in CONTROLS:
        raise Http404
    chosen = CONTROLS[verb]
    engine_name, name = request.POST.get("engine", ""), request.POST.get("name", "")
    back = safe_next(request, reverse(f"jobadmin:{chosen.kind}s"))
    try:
        found = controls.find(chosen, engine_name, name)
    except NoAnswer:
        messages.warning(request, _("The engine %(engine)s does not answer. Nothing was changed.") % {"engine": engine_name})
        return redirect(back)
    if found is None:
        messages.warning(request, _("Not there any more: %(name)s. Nothing was changed.") % {"name": name[:100]})
        return redirect(back)
    engine, target = found
    if chosen.confirms and not chosen.why_not(engine, target) and "confirmed" not in request.POST:
        return _confirm(request, chosen, target, back)
    reason = request.POST.get("reason", "").strip()
    try:
        is_done, message = _order(request, chosen, engine, target, reason)
    except NotRecorded as error:
        if not chosen.confirms:
            raise
        return _confirm(request, chosen, target, back, refused=error, reason=reason)
    messages.add_message(request, messages.SUCCESS if is_done else messages.WARNING, message)
    return redirect(back)


def _order(request: HttpRequest, chosen: Control, engine: Engine, target: Target, reason: str) -> tuple[bool, str]:
    """Give the order, on record before it is given; whether anything changed, and what is said.  Raises: NotRecorded; as `give`."""
    about = f"{engine.name}: {target.name}"
    with recorded(who(request), action=chosen.slug, description=about, reason=reason) as record:
        outcome = controls.give(chosen, engine, target, request.user.get_username())
        why = "ordered" if outcome.is_done else "cannot" if outcome.error else "already"
        changed = Changed(changed=int(outcome.is_done), skipped=int(not outcome.is_done), by_reason={why: 1})
        is_told = record.complete(changed, error=outcome.error)
    return outcome.is_done, outcome.message if is_told else f"{outcome.message} {untold()}"


def _confirm(
    request: HttpRequest, chosen: Control, target: Target, back: str, *, refused: NotRecorded | None = None, reason: str = ""
) -> HttpResponse:
    """The page that asks first; nothing has happened yet."""
    engine = registry.get(target.engine)
    context = {
        "title": chosen.verb.question,
        "control": chosen,
        "target": target,
        "holds_all": chosen is controls.PAUSE and engine is not None and engine.pauses_all_queues,
        "with_siblings": isinstance(target, Worker) and engine is not None and engine.acts_on_siblings,
        "explanation": controls.explained(chosen, engine, chosen.verb.explanation),
        "runs": len(target.running) if isinstance(target, Worker) else 0,
        "next": back,
        "reason": reason[: operations.REASON_LENGTH],
        "reason_length": operations.REASON_LENGTH,
        "refused": failures.not_recorded_words(refused) if refused else "",
    }
    return render(request, "jobadmin/control.html", context, status=failures.not_recorded_status(refused) if refused else 200)


def _unfiltered(request: HttpRequest) -> JobFilter:
    """All jobs, whatever is filtered by: that changes nothing here. What nobody can read is said, as on every page.  Raises: BadFilter."""
    JobFilter.from_request(request)
    return JobFilter()


def _render(request: HttpRequest, name: str, jobs: JobFilter, context: Mapping[str, Any]) -> HttpResponse:
    path_args = (quote(context["queue"]),) if name == "queue" else ()
    bar = FilterBar(jobs=jobs, view=name, path_args=path_args, matched=0, total=0)
    frame = {
        "filter": jobs,
        "bar": bar,
        "view": name,
        "main": f"jobadmin/_{name}_main.html",
        "refresh_seconds": REFRESH_SECONDS,
        "live_every": every(REFRESH_SECONDS),
        "may_control": resolver().may(request.user, controls.RIGHT),
    }
    template = "jobadmin/_now_swap.html" if wants_part(request) else f"jobadmin/{name}.html"
    return render(request, template, {**frame, **context})
