"""The admin site whose frame the pages stand in: Django's own, or whichever a project put above them."""

from functools import lru_cache
from typing import cast

from django.conf import settings
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.urls import Resolver404, get_resolver, get_script_prefix, get_urlconf, resolve, reverse


def admin_site() -> AdminSite:
    """The admin site that is mounted nearest above the dashboard; where none is above it, the one that ``admin:`` means."""
    return _nearest(get_urlconf() or settings.ROOT_URLCONF)


def login_url() -> str:
    """Where people of that site sign in."""
    return reverse("admin:login", current_app=admin_site().name)


@lru_cache(maxsize=8)
def _nearest(urlconf: str) -> AdminSite:
    home = reverse("jobadmin:overview", urlconf)
    indexes = [reverse(f"{name}:index", urlconf) for name in get_resolver(urlconf).app_dict.get("admin", ())]
    above = [index for index in indexes if home.startswith(index)]
    return _site_at(max(above, key=len, default="") or reverse("admin:index", urlconf), urlconf)


def _site_at(index: str, urlconf: str) -> AdminSite:
    """Every page of an admin site names its site; a project may have wrapped the index into something that does not."""
    try:
        view = resolve("/" + index.removeprefix(get_script_prefix()), urlconf).func
    except Resolver404:
        view = None
    return cast(AdminSite, getattr(view, "admin_site", admin.site))
