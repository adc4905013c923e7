"""The workflow of one job: its graph, its steps as a table, and what can be done to all of it."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from jobadmin.resolver import resolver
from jobadmin.views import failures
from jobadmin.views.base import job_at, needs, page, render
from jobadmin.workflowpage import WorkflowPage

#: Answer to a look that found nothing new.
UNCHANGED = 204


@require_safe
@needs("view_job")
@page
def workflow(request: HttpRequest, quoted: str) -> HttpResponse:
    """One job's workflow.

    ``open=<step>``, repeated, draws the jobs of a step one by one; ``part=graph`` answers with the drawing alone, for the
    job's own page; ``live=<fingerprint>`` with the changed page's inside, or with nothing when nothing changed.
    """
    status, _attempt = job_at(quoted)
    if not resolver().may(request.user, "view_job", status):
        return failures.forbidden(request, right="view_job")
    shown = WorkflowPage(status, opened=request.GET.getlist("open"), user=request.user)
    if request.GET.get("live") == shown.fingerprint:
        return HttpResponse(status=UNCHANGED)
    template = "workflow.html"
    if request.GET.get("part") == "graph":
        template = "workflow/_graph.html"
    elif "live" in request.GET:
        template = "workflow/_inside.html"
    context = {"title": shown.title, "page": shown, "status": status, "back": reverse("jobadmin:list")}
    return render(request, f"jobadmin/{template}", context)
