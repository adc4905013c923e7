"""Entries in Django's admin: the jobs (leading to the dashboard) and the operations, read only."""

from __future__ import annotations

import json

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from jobadmin.directions import shown
from jobadmin.models import Job, Operation
from jobadmin.redaction import redact, redact_text
from jobadmin.targets import words_of


class ReadOnlyAdmin(admin.ModelAdmin):
    """Nothing can be added, changed or deleted here; whoever may view jobs may look."""

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return request.user.has_perm("jobadmin.view_job")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    """Leads from the admin's index to the dashboard."""

    def changelist_view(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        return redirect("jobadmin:overview")


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    """The audit trail as Django's admin shows it."""

    list_display = ("created_at", "action", "who", "announced", "changed", "state", "why")
    list_filter = ("action", "state")
    search_fields = ("username", "reason", "description")
    date_hierarchy = "created_at"
    fields = (
        "action", "user", "who", "address", "why", "which", "selected", "announced", "counted", "state", "done", "changed", "skipped",
        "missing", "by_reason", "went_wrong", "stopped_by", "undo_until", "undone_at", "created_at", "started_at", "ended_at",
        "heartbeat_at",
    )  # fmt: skip

    # What people typed and engines said, without secrets: as everywhere else.

    @admin.display(description=_("username"), ordering="username")
    def who(self, operation: Operation) -> str:
        return shown(operation.username)

    @admin.display(description=_("reason"))
    def why(self, operation: Operation) -> str:
        return shown(redact_text(operation.reason))

    @admin.display(description=_("which jobs"))
    def which(self, operation: Operation) -> str:
        return shown(words_of(operation))

    @admin.display(description=_("selected jobs"))
    def selected(self, operation: Operation) -> str:
        return shown(redact_text(", ".join(operation.ids or ())))

    @admin.display(description=_("plan"))
    def counted(self, operation: Operation) -> str:
        return shown(json.dumps(redact(operation.plan), ensure_ascii=False))

    @admin.display(description=_("error"))
    def went_wrong(self, operation: Operation) -> str:
        return shown(redact_text(operation.error))
