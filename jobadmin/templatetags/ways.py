"""What stands beside the dashboard: the API, and the page of one's own jobs where the project has it."""

from typing import Any

from django import template
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from jobadmin.resolver import resolver

register = template.Library()


@register.inclusion_tag("jobadmin/_ways.html", takes_context=True)
def ways(context: template.Context) -> dict[str, Any]:
    """``{% ways %}``: links for the head of the admin, each to who may go there.  Source: nothing."""
    request = context.get("request")
    if request is None or not request.user.is_authenticated:
        return {}
    return {"mine": _mine(), "may_ask": resolver().may(request.user, "view_job")}


@register.filter
def ticked(text: str) -> SafeString:
    """``{{ call.says|ticked }}``: what stands between ` as code."""
    parts = (format_html("<code>{}</code>", part) if place % 2 else part for place, part in enumerate(text.split("`")))
    return format_html_join("", "{}", ((part,) for part in parts))


def _mine() -> str:
    try:
        return reverse("jobadmin_user:mine")
    except NoReverseMatch:
        return ""
