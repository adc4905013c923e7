"""The progress of a job inside any page of the project, whatever that page is made of: its own style, script and drawings."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from django.http import HttpRequest
from django.template import Context
from django.template.loader import get_template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

import statuses
from jobadmin import moments
from jobadmin.directions import shown_in_page
from jobadmin.mine import OwnJob, may_follow
from jobadmin.paths import quote, split_attempt
from statuses import Status

logger = logging.getLogger(__name__)

#: Where a request remembers what its page has already, and that the store was away when it was asked.
_BROUGHT, _AWAY = "_jobadmin_assets", "_jobadmin_away"
_SYMBOL = re.compile(r'<symbol id="j-(\w+)" (viewBox="[^"]*")>(.*?)</symbol>')


def progress(context: Context, job: Status | str | None) -> SafeString:
    """The bar of a job for whoever looks at the page of `context`; nothing where there is nothing for them to see."""
    request = _request(context)
    if not job or request is None or not getattr(getattr(request, "user", None), "is_authenticated", False):
        return mark_safe("")
    markup = _bar(request, job)
    return mark_safe(assets(context) + markup) if markup else mark_safe("")


def _bar(request: HttpRequest, job: Status | str) -> str:
    job_id, attempt = split_attempt(job.id if isinstance(job, Status) else str(job))
    try:
        if getattr(request, _AWAY, False):
            raise statuses.StoreUnavailable("a read", "it was away a moment ago")
        status = job if isinstance(job, Status) and attempt is None else statuses.find(job_id)
        if status is None or not may_follow(request, status):
            return ""
        return _rendered("_progress", {"job": OwnJob(status, moments.now())})
    except statuses.StatusNotFound:
        return ""
    except statuses.StatusesError as error:
        # The page is the project's own, and has more to say than how far a job is.
        if not isinstance(error, statuses.StoreUnavailable):
            logger.exception("the job store is not as expected")
        setattr(request, _AWAY, True)
        return _rendered("_away", {"url": reverse("jobadmin_user:progress", args=[quote(job_id)])})


def _rendered(name: str, context: dict[str, Any]) -> str:
    return shown_in_page(get_template(f"jobadmin/user/{name}.html").render(context).encode()).decode()


def assets(context: Context) -> SafeString:
    """Style and script, once a page; with the page's nonce where its content policy has one."""
    request = _request(context)
    if getattr(request, _BROUGHT, False):
        return mark_safe("")
    if request is not None:
        setattr(request, _BROUGHT, True)
    nonce = context.get("csp_nonce")  # Django's own; made when it is written, so it may not be asked whether there is one
    nonce = str(getattr(request, "csp_nonce", "") if nonce is None else nonce)
    mark = format_html(' nonce="{}"', nonce) if nonce else ""
    return format_html(
        '<link rel="stylesheet" href="{}"{}><script src="{}" defer{}></script>',
        static("jobadmin/user.css"), mark, static("jobadmin/user.js"), mark,
    )  # fmt: skip


def _request(context: Context) -> HttpRequest | None:
    return getattr(context, "request", None) or context.get("request")


@lru_cache(maxsize=64)
def drawing(name: str) -> SafeString:
    """A drawing of the dashboard's sprite by itself: pages of a project have no sprite to point into."""
    return _drawings().get(name, mark_safe(""))


@lru_cache(maxsize=1)
def _drawings() -> dict[str, SafeString]:
    sprite = get_template("jobadmin/_icons.html").render({})
    return {name: mark_safe(f'<svg class="ju-i" {box} aria-hidden="true">{inside}</svg>') for name, box, inside in _SYMBOL.findall(sprite)}
