"""Stories of people who use the product: they watch their own jobs, with script and without, on a desk and on a phone."""

import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path, reverse
from django.views.generic import RedirectView

import statuses
from jobadmin.paths import quote
from statuses import outputs
from statuses.testing import make_status

from .looks import reads_at_every_size

pytestmark = pytest.mark.django_db(transaction=True)

MINE = "/jobs/mine/"


@pytest.fixture
def marta(live: Any, context: Any) -> User:
    """Somebody without any right, whom the browser is signed in as."""
    user = User.objects.create_user("marta")
    context.clear_cookies()
    context.add_cookies([live.cookie(user)])
    return user


@pytest.fixture
def plain_page(live: Any, browser: Any, marta: User) -> Iterator[Any]:
    """A page in a browser without script."""
    context = browser.new_context(base_url=live.url, java_script_enabled=False, viewport={"width": 1360, "height": 900})
    context.add_cookies([live.cookie(marta)])
    yield context.new_page()
    context.close()


@pytest.fixture(autouse=True)
def made() -> Iterator[None]:
    """Jobs named `reports.monthly_summary` give something."""
    outputs.register("reports.monthly_summary")(parts)
    yield
    outputs.unregister(parts)


def parts(status: statuses.Status) -> list[Any]:
    return [
        outputs.Text(text="Two chapters took longer than in October.", title="Summary"),
        outputs.Table(columns=("Chapter", "Pages", "Ready"), rows=[("Introduction", 12, "yes"), ("The sea", 1234, "no")], title="Chapters"),
        outputs.Link(url="https://example.org/report", text="Read the whole report"),
        outputs.File(url="/files/report.csv", name="report.csv", size_bytes=1_234_567),
        outputs.Image(url="/static/jobadmin/icon.svg", alt="Pages over time"),
    ]


def job(state: str = "started", name: str = "reports.monthly_summary", **fields: Any) -> statuses.Status:
    return make_status(state, **{"job_name": name, "user": "marta", **fields})


def url_of(status: statuses.Status) -> str:
    return reverse("jobadmin_user:progress", args=[quote(status.id)])


def one_of_each() -> statuses.Status:
    """A page of everything there can be on it."""
    for state in ("unqueued", "queued", "unknown", "killed", "failed", "succeeded"):
        job(state)
    job("failed", "shop.import_" + "catalogue_" * 18)
    asked = job(name="shop.rebuild_index")
    asked.request_kill()
    running = job(name="shop.import_books")
    running.set_progress(744, 1200, message="The sea, page 744")
    running.spawn("shop.import_page").queued()
    return running


def asked_for(page: Any, address: str) -> list[Any]:
    """Requests of scripts for an address, as they are made."""
    found: list[Any] = []
    page.on(
        "request", lambda request: found.append(request) if request.url.endswith(address) and request.resource_type == "fetch" else None
    )
    return found


def test_the_list_is_clean_and_fits_in_every_size_and_colour(page: Any, marta: User) -> None:
    one_of_each()
    page.goto(MINE)
    reads_at_every_size(page, "mine")
    for came in page.locator("summary").all():
        came.click()

    reads_at_every_size(page, "mine-open")


def test_the_page_of_one_job_is_clean_in_every_state(page: Any, marta: User) -> None:
    one_of_each()
    for number, status in enumerate(statuses.where(user="marta")):
        page.goto(url_of(status))
        reads_at_every_size(page, f"progress-{number}-{status.state}")


def test_a_job_leads_to_its_parts_and_they_lead_back(page: Any, marta: User) -> None:
    whole = one_of_each()
    page.goto(url_of(whole))
    page.get_by_role("link", name="Its 1 part").click()
    page.get_by_role("heading", name="Parts of Import books").wait_for()
    reads_at_every_size(page, "mine-parts")

    page.get_by_role("link", name="Import books").click()

    page.wait_for_url(f"**{url_of(whole)}")


@pytest.mark.console_errors
def test_empty_pages_and_those_that_cannot_be_shown_are_clean(page: Any, marta: User) -> None:
    for name, address in (("empty", MINE), ("none", "/jobs/nothing/progress/"), ("odd", f"{MINE}?state=x")):
        page.goto(address)
        reads_at_every_size(page, f"mine-{name}")
    job("succeeded")
    page.goto(f"{MINE}?state=failed")
    reads_at_every_size(page, "mine-none-failed")
    statuses.configure(url="unix:///nowhere/at-all.sock", namespace="lost")
    page.goto(MINE)
    page.get_by_text("Jobs cannot be shown at the moment.").wait_for()
    reads_at_every_size(page, "mine-lost")


def test_progress_moves_while_a_real_job_runs_and_polling_ends_with_it(page: Any, marta: User) -> None:
    step, halfway = threading.Event(), threading.Event()

    @statuses.track("reports.monthly_summary", user="marta", id="count-1")
    def count_pages() -> None:
        status = statuses.current()
        assert status
        for number in range(1, 5):
            status.set_progress(number, 4, message=f"page {number}")
            if number == 2:
                halfway.set()
                assert step.wait(60)

    worker = threading.Thread(target=count_pages)
    worker.start()
    assert halfway.wait(60)
    page.goto("/jobs/count-1/progress/")
    bar, looks = page.get_by_role("progressbar"), asked_for(page, "/jobs/count-1/progress/")
    assert (bar.get_attribute("aria-valuenow"), bar.get_attribute("aria-valuetext")) == ("50", "50 %, page 2")

    step.set()
    worker.join()
    page.get_by_text("Two chapters took longer").wait_for()  # once over, the page is asked for once more: for what came of it

    assert bar.get_attribute("aria-valuenow") == "100"
    page.clock.install()
    number = len(looks)
    page.clock.fast_forward(600_000)
    assert len(looks) == number >= 1


def test_the_list_lives_and_leaves_alone_what_one_opened(page: Any, marta: User) -> None:
    done = job("succeeded")
    runs = job(name="shop.import_books")
    page.clock.install()
    page.goto(MINE)
    looks = asked_for(page, MINE)
    page.locator("summary").click()
    page.locator("#ju-succeeded a").focus()

    runs.set_progress(0.4, message="page 4")
    page.clock.fast_forward(4_000)
    page.get_by_text("page 4").wait_for()
    newer = job("queued", "shop.send_mail")
    page.clock.fast_forward(4_000)
    page.get_by_role("heading", name="Send mail").wait_for()

    assert page.locator("details").get_attribute("open") is not None and page.get_by_text("Two chapters took longer").is_visible()
    assert page.evaluate("document.activeElement.closest('li').id") == "ju-succeeded"
    assert page.locator(".ju-job__name").all_text_contents() == ["Send mail", "Import books", "Monthly summary"]

    runs.succeeded()
    newer.queued().started().failed()
    page.clock.fast_forward(6_000)
    page.locator("#ju-succeeded").get_by_text("2").wait_for()
    page.get_by_text("It could not be finished.").wait_for()
    number = len(looks)
    page.clock.fast_forward(600_000)
    assert len(looks) == number and done


def test_without_script_the_list_and_the_bar_are_whole(plain_page: Any) -> None:
    status = one_of_each()
    for number in range(20):
        job("succeeded", f"shop.nr_{number}")

    plain_page.goto(MINE)
    plain_page.get_by_role("link", name="Older").click()
    bar = plain_page.get_by_role("progressbar", name="Import books")
    assert bar.get_attribute("aria-valuetext") == "62 %, The sea, page 744"
    plain_page.locator("summary").first.click()
    assert plain_page.get_by_role("link", name="Read the whole report").first.is_visible()
    plain_page.get_by_role("link", name="Failed").click()
    assert plain_page.locator(".ju-job").count() == 2

    plain_page.goto(url_of(status))
    status.set_progress(1, 1)
    plain_page.get_by_role("link", name="Look again").click()
    assert plain_page.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"


@pytest.fixture
def shop(settings: Any) -> Callable[[str], None]:
    """The pages of a project: gives its page `/order/` this template, under a strict policy."""

    def made_of(source: str) -> None:
        def order(request: HttpRequest) -> HttpResponse:
            return HttpResponse(Template(source).render(RequestContext(request, {"jobs": statuses.where(user="marta").run()})))

        icon = RedirectView.as_view(url="/static/jobadmin/icon.svg")
        patterns = [path("order/", order), path("favicon.ico", icon), path("jobs/", include("jobadmin.user_urls"))]
        urls = ModuleType("pages_of_the_shop")
        urls.urlpatterns = patterns
        settings.ROOT_URLCONF = urls

    return made_of


SHOP = """<!doctype html><html lang="en"><head><title>Order 7</title></head><body><main><h1>Order 7</h1>
{% load job_progress from jobadmin %}{% for job in jobs %}{% job_progress job %}{% endfor %}</main></body></html>"""


def test_bars_in_a_page_of_the_project_follow_their_jobs_each_to_its_end(page: Any, marta: User, shop: Any) -> None:
    first, second = job(name="shop.first"), job("queued", "shop.second")
    shop(SHOP)
    page.clock.install()
    page.goto("/order/")
    page.evaluate("document.addEventListener('jobadmin:ended', ended => { document.querySelector('h1').append(` ${ended.detail.state}`) })")
    reads_at_every_size(page, "embedded")
    firsts, seconds = asked_for(page, url_of(first)), asked_for(page, url_of(second))

    first.set_progress(0.3, message="first page").succeeded()
    second.started().set_progress(1, 3, message="second page")
    page.clock.fast_forward(3_000)
    page.get_by_text("second page").wait_for()
    page.locator("jobadmin-live", has_text="First").get_by_text("Done").wait_for()

    page.get_by_role("heading", name="Order 7 succeeded", exact=True).wait_for()
    assert page.url.endswith("/order/")
    done = len(firsts)
    for at in (2, 3):
        before = len(seconds)
        second.set_progress(at, 4, message=f"page {at}")
        page.clock.fast_forward(16_000)
        page.get_by_text(f"page {at}").wait_for()
        assert len(seconds) > before
    assert len(firsts) == done


def test_a_bar_that_comes_into_the_page_later_is_followed_too(page: Any, marta: User, shop: Any) -> None:
    status = job()
    shop("<!doctype html><html lang=en><title>x</title>{% load jobadmin %}{% job_progress_assets %}<main><h1>x</h1></main></html>")
    page.goto("/order/")
    page.clock.install()
    page.evaluate(
        """async address => { const answer = await fetch(address, { headers: { 'HX-Request': 'true' } });
             document.querySelector('main').insertAdjacentHTML('beforeend', await answer.text()); }""",
        url_of(status),
    )

    status.set_progress(0.7, message="moving")
    page.clock.fast_forward(3_000)

    page.get_by_text("moving").wait_for()


def test_nothing_moves_under_a_text_that_somebody_marks(page: Any, marta: User) -> None:
    status = job()
    status.set_progress(0.25, message="page 1")
    page.clock.install()
    page.goto(MINE)
    looks = asked_for(page, MINE)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('.ju-message'))")

    status.set_progress(0.5, message="page 2")
    page.clock.fast_forward(20_000)
    assert looks == [] and page.get_by_text("page 1").is_visible()

    page.evaluate("getSelection().removeAllRanges()")
    page.clock.fast_forward(20_000)
    page.get_by_text("page 2").wait_for()


@pytest.mark.console_errors
def test_a_bar_says_when_there_is_no_news_and_goes_on_once_there_is(page: Any, marta: User, shop: Any) -> None:
    status = job()
    shop(SHOP)
    page.clock.install()
    page.goto("/order/")
    page.route("**/progress/", lambda route: route.fulfill(status=503))

    page.clock.fast_forward(3_000)
    page.get_by_text("There is no news at the moment.").wait_for()
    page.unroute("**/progress/")
    status.set_progress(0.7, message="moving")
    page.clock.fast_forward(10_000)

    page.get_by_text("moving").wait_for()
    assert page.get_by_text("There is no news at the moment.").count() == 0


@pytest.mark.console_errors
def test_a_bar_of_a_job_that_was_taken_away_asks_no_more(page: Any, marta: User, shop: Any) -> None:
    status = job()
    shop(SHOP)
    page.clock.install()
    page.goto("/order/")
    looks = asked_for(page, url_of(status))
    status.set_user("otto")

    page.clock.fast_forward(3_000)
    page.locator("jobadmin-live:not([data-seconds])").wait_for()
    page.clock.fast_forward(600_000)

    assert len(looks) == 1


def test_htmx_of_the_project_ends_by_the_answer(page: Any, marta: User, shop: Any) -> None:
    status = job()
    shop(
        "{% load static %}<!doctype html><html lang=en><head><title>x</title>"
        '<meta name="htmx-config" content=\'{"includeIndicatorStyles": false, "allowEval": false}\'>'
        '<script src="{% static "django_htmx/htmx-2.min.js" %}" defer></script></head>'
        '<main><div hx-get="' + url_of(status) + '" hx-trigger="every 2s" id="bar"></div></main></html>'
    )
    page.clock.install()
    page.goto("/order/")
    looks: list[int] = []
    page.on("response", lambda answer: looks.append(answer.status) if answer.url.endswith(url_of(status)) else None)
    page.clock.fast_forward(2_100)
    page.get_by_text("Running").wait_for()

    status.succeeded()
    page.clock.fast_forward(2_100)
    page.get_by_text("Done").wait_for()
    page.clock.fast_forward(600_000)
    page.evaluate("fetch('/static/jobadmin/user.js').then(answer => answer.text())")  # what was asked for before has been answered

    assert looks == [200, 286]


def test_the_demo_shows_the_pages_to_who_operates_it(page: Any, live: Any) -> None:
    make_status("succeeded", job_name="reports.monthly_summary", user="admin")

    page.goto(MINE)

    assert page.get_by_role("heading", name="Monthly summary").is_visible()
