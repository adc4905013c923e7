"""Saved views: filters by name, a viewer's own and those that others share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, connections, router, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.http import QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from jobadmin import migrated
from jobadmin.filterbar import FilterBar
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.models import SavedView
from jobadmin.parameters import whole

#: Views the menu lists, and one viewer may have.
MOST_VIEWS = 100
#: Parameters of a page, beside the filter, that belong to a view.
PAGE_EXTRAS = ("chart", "rank")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One view in the menu."""

    view: SavedView
    owner: str
    """What its owner is called."""
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
    """The views `user` may open, their own first.  Source: one query, which is put together once for each of them: that takes
    ten times as long as asking it, and every page has this menu."""
    here = querystring(bar.jobs, bar.extras)
    can_save = bar.view in SavedView.Page.values and not bar.path_args
    alias = router.db_for_write(SavedView)
    found = []
    if not migrated.is_lacking(alias):
        with connections[alias].cursor() as cursor:
            cursor.execute(*_question(alias, user.pk))
            found = cursor.fetchall()
    rows = [_row(dict(zip(_COLUMNS, values, strict=True)), bar.view, here) for values in found]
    return Menu(rows=rows, page=bar.view if can_save else "", querystring=here)


#: What is asked of each view.
_COLUMNS = ("pk", "name", "page", "querystring", "shared", "is_others", "owner_name")


@lru_cache(maxsize=256)
def _question(alias: str, viewer: Any) -> tuple[str, tuple[Any, ...]]:
    """The query for the views of `viewer`, and its parameters, in the words of the database."""
    called = {"is_others": Case(When(owner_id=viewer, then=0), default=1), "owner_name": F(f"owner__{get_user_model().USERNAME_FIELD}")}
    seen = SavedView.objects.using(alias).filter(Q(owner_id=viewer) | Q(shared=True)).annotate(**called)
    return seen.order_by("is_others", "name", "pk").values_list(*_COLUMNS)[:MOST_VIEWS].query.sql_with_params()


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
    return _kept(own.filter(name=name), {"page": page, "querystring": kept, "shared": shared}, owner_id=user.pk, name=name)


def _kept(same: QuerySet[SavedView], values: dict[str, Any], **of: Any) -> tuple[SavedView, bool]:
    """Write it, whether it is there or not. No row is locked before it is there: of several saved at once MySQL would break most off."""
    is_new = False
    if not same.update(**values):
        try:
            with transaction.atomic(using=router.db_for_write(SavedView)):
                SavedView.objects.create(**of, **values)
            is_new = True
        except IntegrityError:  # the other one of two clicks was quicker
            same.update(**values)
    return same.get(), is_new


def remove(user: Any, pk: str) -> SavedView | None:
    """Forget an own view; None when there is none of this number that is theirs."""
    number = whole(pk, digits=17)
    found = None if number is None else SavedView.objects.filter(owner_id=user.pk, pk=number).first()
    if found is not None:
        found.delete()
    return found


def _row(values: dict[str, Any], page: str, here: str) -> Row:
    is_own, owner, shared = not values.pop("is_others"), values.pop("owner_name"), bool(values.pop("shared"))
    view = SavedView(**values, shared=shared)
    try:
        jobs = JobFilter.from_querystring(view.querystring)
        words = jobs.describe()
        if view.page not in SavedView.Page.values:  # of a newer version, which another process runs, or ran before one went back
            raise BadFilter("page", view.page, "")
        url = reverse(f"jobadmin:{view.page}") + (f"?{view.querystring}" if view.querystring else "")
    except BadFilter as error:
        url, words = "", _("No longer valid: %(parameter)s cannot be “%(value)s”.") % {"parameter": error.parameter, "value": error.value}
    is_here = view.page == page and _same(view.querystring, here)
    return Row(view=view, owner=owner, url=url, words=words, is_own=is_own, is_here=is_here)


def _same(one: str, other: str) -> bool:
    """Whether two query strings say the same, however they are written."""
    return urlencode(QueryDict(one).lists(), doseq=True) == urlencode(QueryDict(other).lists(), doseq=True)
