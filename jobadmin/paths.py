"""Ids and resources as parts of a path, and safe ways back.

Quoting is Django admin's own (``_3A`` for a colon), with one addition: an id that spells a page of ours (``list``) or is made
of dots alone (a browser would resolve ``..``) gets its first character escaped too. ``unquote`` therefore reads every
``_XX``; as ``_`` itself is always written ``_5F``, that is never ambiguous.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from urllib.parse import quote as percent_quote

from django.conf import settings
from django.contrib.admin.utils import quote as admin_quote
from django.http import HttpRequest
from django.urls import get_script_prefix, get_urlconf, register_converter, reverse
from django.urls.converters import PathConverter
from django.utils.http import url_has_allowed_host_and_scheme

#: First path segments that are pages, now or in a later step: an id may never shadow them.
RESERVED = frozenset({
    "list", "export.csv", "export.json", "names", "errors", "resources", "suggest", "bulk", "operations", "queues", "workers",
    "redis", "api", "times", "views", "control", "schedules", "pulse",
})  # fmt: skip

#: Stands for an id or resource in an address that is kept; no address of a project holds it.
HERE = "-text-goes-here-"
#: Characters that stand in a path as they are (RFC 3986), as `reverse` has it.
_SAFE = "!$&'()*+,;=~:@"
_ATTEMPT = re.compile(r"(.+):(\d{1,9})", re.DOTALL)
_BLANK = re.compile(r"\s")
_ESCAPED = re.compile(r"_([0-9A-F]{2})")


#: What the converter is called in routes.
TEXT = "jobadmin_text"


class TextConverter(PathConverter):
    """Whatever a name may hold. Django's ``path`` ends at a line's end, which an address that somebody else wrote has as ``%0A``."""

    regex = r"[\s\S]+"


register_converter(TextConverter, TEXT)


def quote(text: str) -> str:
    """One path segment for any id or resource: no slash, no reserved word, nothing a browser would resolve."""
    quoted = admin_quote(text)
    if quoted in RESERVED or not quoted.strip("."):
        return f"_{ord(quoted[0]):02X}{quoted[1:]}" if quoted else quoted
    return quoted


def unquote(segment: str) -> str:
    """The id or resource that ``quote`` wrote; text that was never quoted comes back as it is."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), segment)


def split_attempt(job_id: str) -> tuple[str, int | None]:
    """The job and the attempt that an id names: ``"a7:2"`` is attempt 2 of ``"a7"``; no job's own id ends like that."""
    found = _ATTEMPT.fullmatch(job_id)
    return (found[1], int(found[2])) if found else (job_id, None)


def page_url(name: str, *args: str) -> str:
    """Address of a page of the dashboard, by the name of its URL."""
    return _page_url(name, args, *place())


def place() -> tuple[str, str]:
    """Where the pages stand for this request: all that their addresses depend on beside what they are about."""
    return _place.get() or _asked_place()


def _asked_place() -> tuple[str, str]:
    return get_script_prefix(), get_urlconf() or settings.ROOT_URLCONF


_place: ContextVar[tuple[str, str] | None] = ContextVar("jobadmin_place", default=None)


@contextmanager
def in_one_place() -> Generator[None]:
    """Inside, the pages stand where they stand now: a page has hundreds of addresses, and Django looks up the place for each."""
    token = _place.set(_asked_place())
    try:
        yield
    finally:
        _place.reset(token)


@lru_cache(maxsize=1024)
def _page_url(name: str, args: tuple[str, ...], prefix: str, urlconf: str) -> str:
    # What `reverse` itself looks at beside its arguments; a page asks for the same address hundreds of times.
    return reverse(f"jobadmin:{name}", args=args)


def job_url(job_id: str) -> str:
    """Address of one job's page; of an attempt's, when the id is ``<id>:<n>``."""
    return _with_segment("job", job_id)


def action_url(job_id: str, action: str) -> str:
    """Where a job's action is posted to; ``action`` is one of kill, kill-now, retry, remove."""
    return _with_segment("job_action", job_id, action)


def api_job_url(job_id: str) -> str:
    """Address of one job, or one attempt, in the API."""
    return _with_segment("api_job", job_id)


def api_action_url(job_id: str, action: str) -> str:
    """Where a program posts a job's action to."""
    return _with_segment("api_job_action", job_id, action)


def workflow_url(job_id: str) -> str:
    """Address of the page with the workflow that a job belongs to."""
    return _with_segment("workflow", job_id)


def resource_url(resource: str) -> str:
    """Address of one resource's page, ``Book:53``."""
    return _with_segment("resource", resource)


def _with_segment(name: str, text: str, *more: str) -> str:
    """Address of a page about `text`: that of the page about `HERE`, with another segment in that one's place."""
    return page_url(name, HERE, *more).replace(HERE, segment(text), 1)


def segment(text: str) -> str:
    """An id or resource as it stands in an address."""
    return percent_quote(quote(text), safe=_SAFE)


def anchor(job_id: str) -> str:
    """The job's id as part of an element's id: no blank in it, nothing that needs escaping, never the same for two jobs."""
    return _BLANK.sub(lambda blank: f"_{ord(blank[0]):02X}", quote(job_id))


def queue_url(queue: str) -> str:
    """Address of one queue's page."""
    return reverse("jobadmin:queue", args=[quote(queue)])


def safe_next(request: HttpRequest, fallback: str) -> str:
    """The ``next`` address the request carries if it stays on this site, else ``fallback``."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    stays = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    # Any other text would be a page beside the one that sends there, and `redirect` takes it for the name of a view.
    return wanted if stays and wanted.startswith(("/", "http://", "https://")) else fallback
