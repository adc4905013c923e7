"""What the head of every page shows of operations: the one that runs."""

from typing import Any

from django import template

from jobadmin.models import Operation
from jobadmin.resolver import resolver
from jobadmin.results import Result

register = template.Library()


@register.inclusion_tag("jobadmin/_toast.html", takes_context=True)
def operation_toast(context: template.Context) -> dict[str, Any]:
    """``{% operation_toast %}``: the newest operation under way, for those who may see jobs.  Source: one small query, none
    where the view knows that there is none."""
    request = context.get("request")
    if request is None or not resolver().may(request.user, "view_job"):
        return {"running": None}
    standing = getattr(request, "operations", None)
    return {"running": None} if standing and not standing.active else toast()


def toast(finished: int | None = None) -> dict[str, Any]:
    """Context of ``_toast.html``; `finished` is the operation that was shown till now, whose end is worth a word."""
    found: list[Operation] = []
    if Operation.standing().active:
        found = list(Operation.objects.filter(state__in=Operation.ACTIVE).defer("ids", "undo_token")[:10])
    shown = next((operation for operation in found if operation.pk == finished), found[0] if found else None)
    ended = None
    if finished is not None and shown is None:
        ended = Operation.objects.filter(pk=finished).defer("ids", "undo_token").first()
    return {
        "running": Result(shown) if shown else None,
        "others": len(found) - 1,
        "ended": Result(ended) if ended else None,
    }
