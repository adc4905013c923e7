"""Every page, light and dark, wide and narrow: nothing for assistive technology to stumble over, and nothing wider than the screen."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

import statuses
from jobadmin.models import Operation
from jobadmin.paths import job_url, quote
from statuses.testing import make_status
from tests.jobadmin.engines import toy_engine

pytestmark = pytest.mark.django_db(transaction=True)

#: What Django's own frame brings, above and beside our part of the page.
DJANGOS = ["#header", ".breadcrumbs", ".messagelist"]


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    """One of each kind of page."""
    with toy_engine():
        parent = make_status("started", job_name="planning.rollup", queue="nightly", user="marta", job_args={"book": "Book:53"})
        failed = parent.spawn("planning.plan", job_args={"book": "Book:53"}, queue="default", engine="toy").queued().started()
        failed.add_error(ValueError("no")).failed().requeued().started().add_error(ValueError("no")).failed()
        make_status("queued", job_name="mail.send", queue="mail", depends_on=[failed.id])
        done = Operation.objects.create(
            action="retry", username="marta", state="done", ids=[failed.id], announced=1, changed=1, reason="again"
        )
        plain = [reverse(f"jobadmin:{name}") for name in ("overview", "list", "names", "errors", "queues", "workers", "operations")]
        yield [
            *plain,
            reverse("jobadmin:list") + "?name=nothing",
            reverse("jobadmin:list") + "?state=nonsense",
            reverse("jobadmin:errors") + "?error=builtins.ValueError",
            reverse("jobadmin:resource", args=[quote("Book:53")]),
            reverse("jobadmin:operation", args=[done.pk]),
            *(reverse("jobadmin:bulk", args=[verb]) + "?span=all" for verb in ("kill", "kill-now", "retry", "remove")),
            *(job_url(job.id) for job in (parent, failed)),
            reverse("jobadmin:workflow", args=[quote(failed.id)]),
            job_url("no-such-job"),
        ]


@pytest.mark.console_errors  # pages that say 400 and 404 are among them
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_every_page_is_clean_and_fits(page: Any, addresses: list[str], scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    found = []
    for address in addresses:
        page.goto(address)
        for one in Axe().run(page, context={"exclude": [[part] for part in DJANGOS]}).response["violations"]:
            found.append(f"{address}: {one['id']}: {one['nodes'][0]['html'][:200]}")
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{address}: {wide} px wide")

    assert found == []


@pytest.mark.console_errors  # pages that say 400 and 404 are among them
@pytest.mark.parametrize("language", ["en", "de"])
def test_every_page_fits_at_every_width(page: Any, addresses: list[str], language: str) -> None:
    page.set_extra_http_headers({"Accept-Language": language})
    found = []
    for address in addresses:
        page.goto(address)
        for width in (390, 641, 768, 940, 1180, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                found.append(f"{address}: {wide} px wide at {width}")

    assert found == []


@pytest.mark.console_errors
@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_a_page_without_a_store_is_clean_and_fits(page: Any, live: Any, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    statuses.configure(url="unix:///nowhere/at-all.sock", namespace="lost")
    page.goto(reverse("jobadmin:list"))

    page.get_by_text("Redis does not answer").first.wait_for()
    found = Axe().run(page, context={"exclude": [[part] for part in DJANGOS]}).response["violations"]
    assert [one["id"] for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
