"""What was counted of all jobs, for Prometheus."""

from __future__ import annotations

from django.http import HttpResponse

from jobadmin.api.calls import Asked
from jobadmin.api.errors import Refused
from jobadmin.api.rows import redact_text
from statuses import metrics

#: What Prometheus reads, and says that it takes.
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
_OFF = "No metrics are counted: METRICS in JOBADMIN has to be True, in workers as in web processes."


def answer(asked: Asked) -> HttpResponse:
    """The sums over all processes, and how many jobs there are. Raises: Refused where nobody counts.  Source: `metrics.exposition`."""
    if not metrics.is_on():
        raise Refused(404, "not_found", _OFF)
    return HttpResponse(metrics.exposition(redact_text), content_type=TEXT_FORMAT)
