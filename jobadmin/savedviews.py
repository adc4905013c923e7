"""Saved views: filters by name, a viewer's own and those that others share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Q, When
from django.http import QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from jobadmin.filterbar import FilterBar
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.models import SavedView

#: Views the menu lists, and one viewer may have.
MOST_VIEWS = 100
#: Parameters of a page, beside the filter, that belong to a view.
PAGE_EXTRAS = ("chart", "rank")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One view in the menu."""

    view: SavedView
    url: str
    """Where it leads; empty when its filter is no longer valid."""
    words: str
    """What it shows, or why it is no longer valid."""
    is_own: bool
    is_here: bool
    """True for the view one looks at."""


@dataclass(frozen=True, kw_only=True)
class Menu:
    """What the menu of saved views shows."""

    rows: Sequence[Row]
    page: str
    """Page that would be saved; empty where there is none to save."""
    querystring: str


def menu(user: Any, bar: FilterBar) -> Menu:
    """The views `user` may open, their own first.  Source: one query."""
    here = querystring(bar.jobs, bar.extras)
    can_save = bar.view in SavedView.Page.values and not bar.path_args
    own_first = Case(When(owner_id=user.pk, then=0), default=1)
    found = SavedView.objects.filter(Q(owner_id=user.pk) | Q(shared=True)).select_related("owner").order_by(own_first, "name", "pk")
    rows = [_row(view, user, bar.view, here) for view in found[:MOST_VIEWS]]
    return Menu(rows=rows, page=bar.view if can_save else "", querystring=here)


def querystring(jobs: JobFilter, extras: Any) -> str:
    """The filter and what belongs to the page as a link carries them; the position in a list does not belong to a view."""
    kept = {name: extras.get(name) for name in PAGE_EXTRAS}
    return jobs.with_(after=None).querystring(**kept)


def save(user: Any, *, name: str, page: str, query: str, shared: bool) -> tuple[SavedView, bool]:
    """Keep a view; one of the same name and owner is replaced. Gives the view, and whether it is new.

    Raises: BadFilter for a name, page or filter that cannot be kept.
    """
    name = " ".join(name.split())
    longest = SavedView._meta.get_field("name").max_length or 0
    if not 0 < len(name) <= longest:
        raise BadFilter("name", name[:100], _("a name of 1 to %d characters") % longest)
    if unseen := [letter for letter in dict.fromkeys(name) if not letter.isprintable()]:
        codes = ", ".join(f"U+{ord(letter):04X}" for letter in unseen)
        raise BadFilter("name", name, _("a name of characters that can be seen, without %(codes)s") % {"codes": codes})
    if page not in SavedView.Page.values:
        raise BadFilter("page", page[:100], ", ".join(SavedView.Page.values))
    kept = querystring(JobFilter.from_querystring(query), QueryDict(query))
    own = SavedView.objects.filter(owner_id=user.pk)
    if own.count() >= MOST_VIEWS and not own.filter(name=name).exists():
        raise BadFilter("name", name[:100], _("the name of a view you have: there may be %d") % MOST_VIEWS)
    return SavedView.objects.update_or_create(owner_id=user.pk, name=name, defaults={"page": page, "querystring": kept, "shared": shared})


def remove(user: Any, pk: str) -> SavedView | None:
    """Forget an own view; None when there is none of this number that is theirs."""
    found = SavedView.objects.filter(owner_id=user.pk, pk=int(pk)).first() if pk.isascii() and pk.isdigit() and len(pk) < 18 else None
    if found is not None:
        found.delete()
    return found


def _row(view: SavedView, user: Any, page: str, here: str) -> Row:
    try:
        jobs = JobFilter.from_querystring(view.querystring)
        words = jobs.describe()
        url = reverse(f"jobadmin:{view.page}") + (f"?{view.querystring}" if view.querystring else "")
    except BadFilter as error:
        url, words = "", _("No longer valid: %(parameter)s cannot be “%(value)s”.") % {"parameter": error.parameter, "value": error.value}
    return Row(
        view=view, url=url, words=words, is_own=view.owner_id == user.pk, is_here=view.page == page and _same(view.querystring, here)
    )


def _same(one: str, other: str) -> bool:
    """Whether two query strings say the same, however they are written."""
    return urlencode(QueryDict(one).lists(), doseq=True) == urlencode(QueryDict(other).lists(), doseq=True)
