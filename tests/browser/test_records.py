"""What was begun and never told of, and the page of the API, in a real browser."""

from datetime import timedelta

from django.utils import timezone

from jobadmin.models import Operation

from .looks import reads_at_every_size


def test_an_operation_of_which_nobody_knows_the_outcome_reads_at_every_size(page) -> None:
    long_ago = timezone.now() - timedelta(minutes=5)
    facts = {"username": "admin", "announced": 1, "ids": ["j-1"], "description": "j-1", "address": "127.0.0.1", "started_at": long_ago}
    lost = Operation.objects.create(action="kill-now", state="unknown", reason="stuck since the deploy", **facts)
    Operation.objects.create(action="stop-worker", state="done", changed=1, **{**facts, "ids": None, "description": "celery: w1"})

    page.goto(f"/admin/jobs/operations/{lost.pk}/")
    reads_at_every_size(page, "operation-lost")
    page.goto("/admin/jobs/operations/")
    reads_at_every_size(page, "operations-lost")


def test_the_page_of_the_api_reads_at_every_size(page) -> None:
    page.goto("/admin/jobs/")
    page.locator("#user-tools").get_by_role("link", name="API").click()

    assert page.locator("#j-calls tbody tr").count() > 10
    reads_at_every_size(page, "api")
