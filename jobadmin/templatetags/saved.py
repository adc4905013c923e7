"""The menu of saved views, in the head of every page with a filter."""

from typing import Any

from django import template

from jobadmin import savedviews
from jobadmin.filterbar import FilterBar

register = template.Library()


@register.inclusion_tag("jobadmin/_views.html", takes_context=True)
def views_menu(context: template.Context) -> dict[str, Any]:
    """``{% views_menu %}``.  Source: one query."""
    return {"menu": savedviews.menu(context["request"].user, context["bar"])}


@register.inclusion_tag("jobadmin/_views_here.html", takes_context=True)
def views_here(context: template.Context) -> dict[str, Any]:
    """``{% views_here %}``: what would be saved now; swapped with the filter."""
    bar: FilterBar = context["bar"]
    return {"page": bar.view, "querystring": savedviews.querystring(bar.jobs, bar.extras), "oob": context.get("oob")}
