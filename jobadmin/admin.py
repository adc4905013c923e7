"""Entries in Django's admin: the jobs (leading to the dashboard) and the operations, read only."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from jobadmin.models import Job, Operation


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

    list_display = ("created_at", "action", "username", "announced", "changed", "state", "reason")
    list_filter = ("action", "state")
    search_fields = ("username", "reason", "description")
    date_hierarchy = "created_at"
    exclude = ("undo_token",)
