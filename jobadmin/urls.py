"""URLs of the dashboard, to be included below any project's admin."""

from django.urls import include, path, re_path

from jobadmin.paths import TEXT
from jobadmin.views import (
    actions,
    bulk,
    export,
    facets,
    fleet,
    job,
    listing,
    nowhere,
    operations,
    overview,
    preferences,
    unchanged,
    workflow,
)

app_name = "jobadmin"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("list/", listing.job_list, name="list"),
    path("export.csv", export.export_csv, name="export_csv"),
    path("export.json", export.export_json, name="export_json"),
    path("names/", facets.names, name="names"),
    path("errors/", facets.errors, name="errors"),
    path("queues/", fleet.queues, name="queues"),
    path(f"queues/<{TEXT}:queue>/", fleet.queue, name="queue"),
    path("workers/", fleet.workers, name="workers"),
    path("schedules/", fleet.schedules, name="schedules"),
    path("redis/", fleet.redis, name="redis"),
    path("control/<slug:verb>/", fleet.control, name="control"),
    path(f"resources/<{TEXT}:resource>/", facets.resource, name="resource"),
    path("suggest/<slug:field>/", facets.suggest, name="suggest"),
    path("bulk/<slug:action>/", bulk.bulk, name="bulk"),
    path("operations/", operations.operations, name="operations"),
    path("operations/<int:pk>/", operations.operation, name="operation"),
    path("operations/<int:pk>/stop/", operations.stop, name="operation_stop"),
    path("operations/<int:pk>/undo/", operations.undo, name="operation_undo"),
    path("operations/<int:pk>/again/", operations.again, name="operation_again"),
    path("pulse/", unchanged.pulse, name="pulse"),
    path("times/", preferences.times, name="times"),
    path("views/", preferences.save_view, name="view_save"),
    path("views/remove/", preferences.remove_view, name="view_remove"),
    path("api/", include("jobadmin.api.urls")),
    # Last: an id may look like anything that stands above (see `paths.job_url`).
    path("<str:quoted>/", job.job, name="job"),
    path("<str:quoted>/workflow/", workflow.workflow, name="workflow"),
    path("<str:quoted>/<slug:action>/", actions.job_action, name="job_action"),
    # What ends in a slash only: the other addresses are led to those that do.
    re_path(r"^(?P<address>.*)/$", nowhere.nowhere, name="nowhere"),
]
