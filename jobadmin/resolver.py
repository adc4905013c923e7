"""What the host project has a say in: who may do what, what is hidden, where a resource lives, what end users are told.

JOBADMIN = {"RESOLVER": "planning.jobs.PlanningResolver", "REDACT": ["iban", "patient"]}

class PlanningResolver(jobadmin.resolver.Resolver):
    def resource_url(self, resource): ...
"""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from jobadmin.redaction import Redactor
from jobadmin.titles import titled


class Resolver:
    """The dashboard's defaults; a project overrides the methods it has an opinion on."""

    #: Lines of arguments, data or a traceback shown at once; the rest is one click away.
    shown_lines = 300
    #: Characters of one string shown at once.
    shown_characters = 4_000
    #: Seconds between two looks of an open job page while something can still change.
    poll_seconds = 2
    #: Rows of a job's children, and of each list of related jobs, on its page.
    shown_children = 20
    shown_related = 5
    #: What an answer 401 of the API says of how to sign in (`WWW-Authenticate`).
    api_challenge = "Session"

    def __init__(self) -> None:
        self.redactor = Redactor(_setting("REDACT", ()))

    def may(self, user: Any, right: str, status: Any = None) -> bool:
        """Whether the user has a right (``view_job``, ``kill_job`` …), in general or for one job, whose `status` is given then.

        A rule for each job guards a job's own page, the actions on it, and what operations on many jobs do to it. It hides no row:
        lists, counts, charts, suggestions and exports ask in general, once, and show every job to whoever has ``view_job`` in general.
        Asked of people who may enter the admin site: who that is, the site says (``AdminSite.has_permission``).
        """
        return user.is_active and user.has_perm(f"jobadmin.{right}")

    @property
    def asks_each_job(self) -> bool:
        """Whether operations over a filter ask `may` about each job before they touch it: where a project has a `may` of its own.

        It is asked in the background then, without a request, about the account as the database has it. Every job is loaded for that:
        where `may` never looks at `status`, ``asks_each_job = False`` spares it. Rows picked one by one are asked about in any case.
        """
        return type(self).may is not Resolver.may

    def redact(self, value: Any) -> Any:
        """A JSON value a job carries, without its secrets."""
        return self.redactor.value(value)

    def redact_text(self, text: str) -> str:
        """A text a job carries, without its secrets."""
        return self.redactor.text(text)

    def resource_url(self, resource: str) -> str | None:
        """Where the thing itself lives (``Book:53`` → its page in the product), if it has an address."""
        return None

    def job_title(self, status: Any) -> str:
        """What a job is called for the person who started it: ``reports.monthly_summary`` → ``Monthly summary``."""
        return titled(self.redact_text(status.job_name or ""))  # in pieces a secret would not be known for one

    def failure_text(self, status: Any) -> str:
        """What that person is told of a job that failed. The dashboard tells why; they are no part of it."""
        return _("It could not be finished.")

    def api_user(self, request: HttpRequest) -> Any:
        """The account that a program acts as which calls the API, or None: then the session of the admin site counts.

        A project that has tokens looks one up here, by a header that no browser sends by itself: such a request needs no CSRF
        token. The account needs the same as a person's: it may enter the admin site, and has rights. A token that is wrong is
        refused by `django.core.exceptions.PermissionDenied`."""
        return None

    def address_of(self, request: HttpRequest) -> str:
        """The address an action came from, for the record; a project behind a proxy knows better."""
        return request.META.get("REMOTE_ADDR") or ""


def _setting(name: str, default: Any) -> Any:
    return (getattr(settings, "JOBADMIN", None) or {}).get(name, default)


@lru_cache(maxsize=1)
def resolver() -> Resolver:
    """The project's resolver, made once; ``JOBADMIN["RESOLVER"]`` names another class."""
    named = _setting("RESOLVER", None)
    return (import_string(named) if isinstance(named, str) else named or Resolver)()


def may_do(user: Any, right: str, status: Any) -> bool:
    """Whether the user may see this very job, and do to it what takes the right."""
    say = resolver()
    return bool(say.may(user, "view_job", status) and say.may(user, right, status))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "JOBADMIN":
        resolver.cache_clear()


setting_changed.connect(_forget)
