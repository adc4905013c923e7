"""What the database keeps: the rights on jobs, and a record of every action.

The jobs themselves live in Redis and are read through `statuses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from django.conf import settings
from django.db import connections, models, router
from django.utils.translation import gettext_lazy as _

from jobadmin import migrated, moments
from jobadmin.columns import DataField, LineField, LongField
from jobadmin.directions import shown
from jobadmin.moments import MomentField
from jobadmin.redaction import redact_text

#: The outcome, in `by_reason`, of an action that an exception ended: perhaps it is done, perhaps not.
UNSURE = "unsure"

#: The outcome, in `by_reason`, of jobs that whoever asked may not do this to.
FORBIDDEN = "forbidden"

#: Those of its selected rows that it did nothing to, in `plan`: id -> outcome, as in `by_reason`.
SKIPPED = "skipped"

#: What a cleaning was narrowed to, in `plan`: it removes what is due, and no filter of the pages says which jobs that were.
RETENTION = "retention"

#: The operations, in `by_reason`, that a cleaning removed beside jobs.
OPERATIONS = "operations"

#: What came of an action that is done at once is written down within this time, or by nobody any more.
TOLD_WITHIN = timedelta(minutes=1)


class Job(models.Model):
    """Stands for the jobs in Django's admin: the index entry, and the rights. Has no table."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions = (
            ("kill_job", _("Can kill jobs")),
            ("retry_job", _("Can retry jobs")),
            ("remove_job", _("Can remove jobs")),
            ("submit_job", _("Can submit jobs")),
            ("control_workers", _("Can control workers")),
        )
        verbose_name = _("job")
        verbose_name_plural = _("jobs")


class Operation(models.Model):
    """One action on one job, on many, on a worker or a queue: who, from where, on what, why, and what came of it."""

    class Action(models.TextChoices):
        KILL = "kill", _("Request kill")
        KILL_NOW = "kill-now", _("Kill now")
        RETRY = "retry", _("Retry")
        REMOVE = "remove", _("Remove")
        RESTORE = "restore", _("Undo removal")
        STOP_WORKER = "stop-worker", _("Stop worker")
        RESTART_POOL = "restart-pool", _("Restart pool")
        PAUSE_QUEUE = "pause-queue", _("Pause queue")
        RESUME_QUEUE = "resume-queue", _("Resume queue")
        SUBMIT = "submit", _("Submit job")
        REPAIR = "repair", _("Mend what is kept")
        LOAD = "load", _("Load jobs")

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        STOPPING = "stopping", _("Stopping")
        STOPPED = "stopped", _("Stopped")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        #: Of an action that is done at once, from before it is done until what came of it is written down.
        UNKNOWN = "unknown", _("Outcome not known")

    #: States of one that is under way.
    ACTIVE = (State.WAITING, State.RUNNING, State.STOPPING)

    action = models.CharField(_("action"), max_length=16, choices=Action.choices)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("user"),
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    #: Kept beside the user, who may be deleted.
    username = LineField(_("user name"), max_length=150, blank=True)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    reason = LongField(_("reason"), blank=True)

    #: Of the confirmation it began with, which begins one operation however often it is sent; null: begun without one.
    promise = models.CharField(_("promise"), max_length=32, null=True, blank=True, unique=True, editable=False)
    #: Query string of the filter, spans absolute; empty for selected rows and single jobs.
    filter = LongField(_("filter"), blank=True)
    description = LongField(_("which jobs"), blank=True)
    #: Ids of the selected rows; null: whatever the filter matches.
    ids = DataField(_("selected jobs"), null=True, blank=True)
    announced = models.PositiveIntegerField(_("announced"), default=0)
    #: Counts by state, as announced before the confirmation.
    plan = DataField(_("plan"), default=dict, blank=True)

    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.WAITING, db_index=True)
    #: Jobs looked at so far; changed + skipped + missing once it is over.
    done = models.PositiveIntegerField(_("done"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    skipped = models.PositiveIntegerField(_("skipped"), default=0)
    missing = models.PositiveIntegerField(_("missing"), default=0)
    by_reason = DataField(_("by reason"), default=dict, blank=True)
    error = LongField(_("error"), blank=True)

    #: Who asked it to stop, if anybody did.
    stopped_by = LineField(_("stopped by"), max_length=150, blank=True, default="", db_default="")

    undo_token = models.TextField(_("undo token"), blank=True)
    undo_until = MomentField(_("undo until"), null=True, blank=True)
    undone_at = MomentField(_("undone"), null=True, blank=True)

    created_at = MomentField(_("created"), auto_now_add=True, db_index=True)
    started_at = MomentField(_("started"), null=True, blank=True)
    ended_at = MomentField(_("ended"), null=True, blank=True)
    #: Last sign of life of the process that carries it out; another one takes over when it stops, but for what is done at once.
    heartbeat_at = MomentField(_("heartbeat"), null=True, blank=True)

    objects = migrated.KeptManager()

    class Meta:
        default_permissions = ()  # who may view jobs may view what was done to them
        ordering = ("-created_at", "-pk")
        verbose_name = _("operation")
        verbose_name_plural = _("operations")

    def __str__(self) -> str:
        return shown(redact_text(f"{self.get_action_display()}: {self.description or unquote_plus(self.filter)}"))

    def refresh_from_db(self, using: str | None = None, **more: Any) -> None:
        """As Django's, from where it is written: see `KeptManager`."""
        super().refresh_from_db(using=using or router.db_for_write(type(self)), **more)

    @property
    def is_over(self) -> bool:
        """True when nothing will change any more."""
        return self.state in {self.State.STOPPED, self.State.DONE, self.State.FAILED} or self.is_lost

    @property
    def is_active(self) -> bool:
        """True while a process carries it out in the background, or is to."""
        return self.state in self.ACTIVE

    @property
    def is_lost(self) -> bool:
        """True when nobody will write down any more what came of it: the process was ended in that moment, or the database was away."""
        if self.state != self.State.UNKNOWN:
            return False
        heard = self.heartbeat_at or self.started_at or self.created_at
        return moments.now() - heard > TOLD_WITHIN

    @property
    def is_unsure(self) -> bool:
        """True when it is over and nobody knows whether it was done."""
        return self.is_lost or UNSURE in self.by_reason

    @property
    def may_have_changed(self) -> bool:
        """Whether it changed something, or can have."""
        return bool(self.changed) or not self.is_over or self.is_unsure

    @property
    def is_retention(self) -> bool:
        """True of what `clean_jobs` removed."""
        return RETENTION in self.plan

    @property
    def counted_at(self) -> datetime:
        """Server time of the counting that was confirmed; for one job's own action the time it was asked for."""
        at = self.plan.get("at")
        return datetime.fromisoformat(at) if at else self.created_at

    @classmethod
    def standing(cls) -> Standing:
        """How many are under way in the background, and how many have ended.  Source: one small query, written here: every page asks
        it, and putting it together would take ten times as long."""
        alias = router.db_for_write(cls)
        if migrated.is_lacking(alias):
            return Standing(active=0, ended=0)
        connection = connections[alias]
        quote, meta = connection.ops.quote_name, cls._meta
        table, pk, state = quote(meta.db_table), quote(meta.pk.column), quote(meta.get_field("state").column)
        places = ", ".join("%s" for _ in cls.ACTIVE)
        active, newest = f"(SELECT COUNT(*) FROM {table} WHERE {state} IN ({places}))", f"(SELECT MAX({pk}) FROM {table})"
        untold = f"(SELECT COUNT(*) FROM {table} WHERE {state} = %s)"
        with connection.cursor() as cursor:
            asked = f"SELECT {active}, {untold}, {newest}{connection.features.bare_select_suffix}"
            cursor.execute(asked, [*map(str, cls.ACTIVE), str(cls.State.UNKNOWN)])
            number, begun, last = cursor.fetchone()
        return Standing(active=number, ended=(last or 0) - number - begun)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How all operations stand."""

    active: int
    """How many are under way in the background."""
    ended: int
    """A number that grows when one ends, and not when one begins."""


class SavedView(models.Model):
    """A filter with a name, one viewer's own or shared with everybody who may look."""

    class Page(models.TextChoices):
        OVERVIEW = "overview", _("Overview")
        LIST = "list", _("List")
        NAMES = "names", _("Job names")
        ERRORS = "errors", _("Errors")

    name = models.CharField(_("name"), max_length=80)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, verbose_name=_("owner"), on_delete=models.CASCADE, related_name="+")
    shared = models.BooleanField(_("shared"), default=False)
    page = models.CharField(_("page"), max_length=16, choices=Page.choices)
    #: The filter as a URL carries it; valid when it was saved, perhaps no longer.
    querystring = models.TextField(_("filter"), blank=True)
    created_at = MomentField(_("created"), auto_now_add=True)

    objects = migrated.KeptManager()

    class Meta:
        default_permissions = ()  # who may view jobs may keep views of them
        ordering = ("name", "pk")
        constraints = (models.UniqueConstraint(fields=("owner", "name"), name="jobadmin_one_view_a_name"),)
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")

    def __str__(self) -> str:
        return self.name
