"""People see the jobs they started: exactly those, whole, in plain words, and nothing of what is inside."""

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.template import Context, RequestContext, Template
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

import statuses
from jobadmin import embedding
from jobadmin import mine as own
from jobadmin.paths import quote
from jobadmin.resolver import Resolver
from jobadmin.titles import titled
from jobadmin.views import mine as views
from statuses import State, outputs
from statuses.columns import OTHER
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.test_hostile import SECRET, SECRETS, TEXTS, TURNING, Strict
from tests.servers import Server

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]

#: Seconds within which a page answers however dead the store is.
LIMIT = 3.0
ROOT = Path(__file__).parents[2]
PART = {"HX-Request": "true"}
NO_MARTA = "marta@example.org"


@pytest.fixture
def marta() -> Client:
    """Somebody without any right."""
    return signed_in("marta")


@pytest.fixture(autouse=True)
def no_processors() -> Iterator[None]:
    before = dict(outputs._processors)
    outputs._processors.clear()
    own._kept_outputs.cache_clear()
    yield
    outputs._processors.clear()
    outputs._processors.update(before)


@pytest.fixture
def told(settings: Any) -> Callable[[type], None]:
    """Makes a class the project's resolver."""

    def use(resolver: type) -> None:
        settings.JOBADMIN = {**settings.JOBADMIN, "RESOLVER": resolver}

    return use


def signed_in(name: str, **fields: Any) -> Client:
    client = Client()
    client.force_login(User.objects.filter(username=name).first() or User.objects.create_user(name, **fields))
    return client


def job(state: str = "started", user: str | None = "marta", **fields: Any) -> statuses.Status:
    return make_status(state, **{"job_name": "reports.monthly_summary", "user": user, **fields})


def listed(client: Client, query: str = "", **headers: str) -> str:
    answer = client.get(reverse("jobadmin_user:mine") + query, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def url_of(status: statuses.Status) -> str:
    return reverse("jobadmin_user:progress", args=[quote(status.id)])


def look(client: Client, status: statuses.Status, tag: str = "") -> Any:
    """What a script asks for."""
    return client.get(url_of(status), headers={**PART, **({"If-None-Match": tag} if tag else {})})


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def rows(html: str) -> list[str]:
    """The jobs of a page, as words."""
    return [words(row) for row in re.findall(r'<li class="ju-job.*?</li>', html, re.DOTALL)]


def tag(request: Any, value: Any, source: str = "{% load jobadmin %}{% job_progress value %}") -> str:
    return Template(source).render(RequestContext(request, {"value": value}))


def viewed_by(user: Any) -> Any:
    request = RequestFactory().get("/shop/orders/7/")
    request.user = user
    return request


# Whose


def test_people_see_their_own_jobs_the_newest_first(marta):
    job("succeeded", job_name="shop.first")
    job("failed", "otto", job_name="shop.of_otto")
    job("queued", None, job_name="shop.of_nobody")
    job("queued", job_name="shop.second")

    found = rows(listed(marta))

    assert [row.split("created")[0].strip() for row in found] == ["Second Waiting", "First Done"]


@pytest.mark.parametrize("user", ["otto", "Marta", "marta ", "mart", "marta2", None])
@pytest.mark.parametrize("headers", [{}, PART])
def test_somebody_elses_job_is_answered_as_one_that_does_not_exist(marta, user, headers):
    theirs = job(user=user, job_name="shop.secret_plan")
    theirs.set_progress(0.5, message="halfway through the plan")
    nowhere = reverse("jobadmin_user:progress", args=["no-such-job"])

    refused = marta.get(url_of(theirs), headers=headers)
    unknown = marta.get(nowhere, headers=headers)

    assert refused.status_code == unknown.status_code == 404
    assert refused.content.decode().replace(url_of(theirs), nowhere) == unknown.content.decode()
    assert "plan" not in refused.content.decode()
    assert {name: refused[name] for name in refused.headers} == {name: unknown[name] for name in unknown.headers}


def test_how_long_a_refusal_takes_does_not_tell_whether_there_is_such_a_job(marta, monkeypatch):
    theirs, rests = job(user="otto", id="invoice-17"), []
    monkeypatch.setattr(views.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(views.time, "sleep", rests.append)

    for name in (theirs.id, "invoice-18", job(user="otto").id, "x" * 300):
        assert marta.get(reverse("jobadmin_user:progress", args=[name])).status_code == 404

    assert len(rests) == 4 and all(rest == pytest.approx(views.REFUSAL_SECONDS) for rest in rests)


@pytest.mark.parametrize(
    "name",
    ["o'brien", "a+b@example.org", "-minus", "star*", "Ünïcødé", "x" * 150, "50%", "<b>bold</b>", "名前", "a b", "\\", "None", "{{ 1 }}"],
)
def test_a_name_of_odd_characters_is_a_name(name):
    job("succeeded", name, job_name="shop.own")
    for other in (f"-{name}", f"{name}x", name.swapcase(), name[:-1] or "n", f"{name}*"):
        if other != name:
            job("failed", other, job_name="shop.not_own")
    client = signed_in(name)

    assert [row.split(" created")[0] for row in rows(listed(client))] == ["Own Done"]


def test_jobs_of_nobody_are_of_nobody_whatever_somebody_is_called():
    job("succeeded", None)

    for name in ("None", "null", "(none)", "-"):
        assert rows(listed(signed_in(name))) == []


def test_who_is_called_like_the_rest_of_a_full_dictionary_sees_nobodys_jobs():
    rest = job("succeeded", OTHER)
    client = signed_in(OTHER)

    assert rows(listed(client)) == [] and look(client, rest).status_code == 404


def test_what_staff_sees_as_their_own_is_their_own_too(browse):
    job("succeeded", "otto")

    assert rows(listed(browse("view_job"))) == []


def test_staff_who_may_see_jobs_follow_any_of_them(browse, person):
    theirs = job(user="otto")

    for client, code in ((browse("view_job"), 200), (browse("kill_job", name="kim"), 404)):
        assert look(client, theirs).status_code == client.get(url_of(theirs)).status_code == code
    client = Client()
    client.force_login(person("view_job", name="pat", staff=False))
    assert look(client, theirs).status_code == 404


def test_the_project_says_which_jobs_staff_may_follow(browse, told):
    class Teams(Resolver):
        def may(self, user, right, status=None):
            return super().may(user, right) and (status is None or status.user == "otto")

    told(Teams)
    client = browse("view_job")

    assert look(client, job(user="otto")).status_code == 200 and look(client, job(user="kim")).status_code == 404


def test_who_is_not_signed_in_is_led_to_the_login_and_back(client, settings):
    settings.LOGIN_URL = "/enter/"
    theirs = job()

    for address in (reverse("jobadmin_user:mine") + "?state=failed", url_of(theirs), reverse("jobadmin_user:progress", args=["nothing"])):
        answer = client.get(address)
        assert (answer.status_code, answer["Location"]) == (302, f"/enter/?next={address.replace('?', '%3F').replace('=', '%3D')}")


def test_a_part_tells_nothing_to_who_is_not_signed_in(client):
    for address in (reverse("jobadmin_user:mine"), url_of(job()), reverse("jobadmin_user:progress", args=["nothing"])):
        answer = client.get(address, headers=PART)
        assert (answer.status_code, answer.content) == (403, b"")


def test_nothing_but_reading_is_possible(marta):
    for address in (reverse("jobadmin_user:mine"), url_of(job())):
        assert marta.post(address).status_code == 405


def test_a_job_is_theirs_as_long_as_it_is_in_their_name(marta):
    status = job()
    status.set_user("otto")

    assert look(marta, status).status_code == 404 and rows(listed(marta)) == []


def test_an_attempt_that_is_over_has_no_progress_of_its_own(marta):
    status = job("failed").requeued().started()

    assert marta.get(reverse("jobadmin_user:progress", args=[quote(f"{status.id}:0")])).status_code == 404


# What


@pytest.mark.parametrize(
    ("state", "said"),
    [("unqueued", "Planned"), ("queued", "Waiting"), ("started", "Running"), ("succeeded", "Done"), ("failed", "Failed"), ("killed", "Stopped"),
     ("unknown", "Not known")],
)  # fmt: skip
def test_each_state_is_a_word_and_a_drawing(marta, state, said):
    status = job(state)

    for html in (listed(marta), marta.get(url_of(status)).content.decode(), look(marta, status).content.decode()):
        shown = re.search(r'<span class="ju-state"[^>]*>(<svg class="ju-i".*?</svg>)(.*?)</span>', html)
        assert shown and shown[2] == said and "aria-hidden" in shown[1]
        assert ("It could not be finished." in html) is (state == "failed")


def test_every_state_has_a_word_a_drawing_and_the_dashboards_colour():
    style, tokens = ((ROOT / "static/jobadmin" / name).read_text() for name in ("user.css", "jobadmin.css"))
    for state in State:
        assert own.WORDS[state.value] and embedding.drawing(state.value)
        for name in (f"--{state}", f"--{state}-ink"):
            colour = re.compile(rf"{name}: (light-dark\([^)]*\));")
            assert colour.findall(style) == colour.findall(tokens) != []


def test_a_running_job_tells_how_far_it_is(marta):
    status = job()
    status.set_progress(744, 1200, message="page 744")

    html = look(marta, status).content.decode()

    bar = re.search(r"<progress [^>]*>", html)[0]
    for attribute in (
        'role="progressbar"',
        'max="100"',
        'value="62"',
        'aria-valuenow="62"',
        'aria-valuetext="62 %, page 744"',
        'aria-label="Monthly summary"',
    ):
        assert attribute in bar
    assert "62 %" in words(html) and "page 744" in words(html)
    assert "62 %" in listed(marta)


def test_how_many_of_how_many_stands_where_a_job_says_nothing_else(marta):
    status = job()
    status.set_progress(744, 1200)

    assert "744 of 1,200" in words(look(marta, status).content.decode())


@pytest.mark.parametrize(("at", "percent"), [(0, 0), (0.57, 57), (0.999, 99), (1, 100)])
def test_a_share_is_never_more_than_is_done(marta, at, percent):
    status = job()
    status.set_progress(at)

    assert f'value="{percent}"' in look(marta, status).content.decode()


def test_a_job_that_says_nothing_is_as_far_as_its_parts(marta):
    status = job()
    assert re.search(r"<progress (?![^>]*\bvalue=)", look(marta, status).content.decode())
    for state in ("succeeded", "failed", "started", "queued"):
        part = status.spawn("part").queued()
        getattr(part, state)()

    assert 'value="50"' in look(marta, status).content.decode()


def test_jobs_that_say_nothing_and_have_no_parts_are_asked_about_once_a_list(marta, monkeypatch):
    asked = []
    roll_up = statuses.Status.roll_up
    monkeypatch.setattr(statuses.Status, "roll_up", lambda status: asked.append(status.id) or roll_up(status))
    silent = job()
    job()
    listed(marta)
    assert asked == []
    silent.spawn("part").queued()
    silent.spawn("part").queued().started().succeeded()

    html = listed(marta)

    assert 'value="50"' in html and silent.id in asked


def test_a_part_of_an_own_job_says_of_which(marta):
    whole = job(job_name="shop.import_books")
    whole.spawn("shop.import_page")
    job(user="otto", job_name="shop.plans_of_otto").spawn("shop.other_page", user="marta")

    found = rows(listed(marta))

    assert ["part of Import books" in row for row in found] == [False, True, False]
    assert "otto" not in " ".join(found)


def test_from_a_part_one_gets_to_the_whole_and_from_there_to_all_of_its_parts(marta):
    whole = job(job_name="shop.import_books")
    part, failed = whole.spawn("shop.import_page").queued(), whole.spawn("shop.import_cover").queued().started().failed()
    whole.spawn("shop.plans_of_otto", user="otto")
    job(job_name="shop.other")

    listing, page = listed(marta), marta.get(url_of(whole)).content.decode()
    parts = re.search(r'<a href="([^"]+)">Its 2 parts</a>', page)[1]
    html = marta.get(parts).content.decode()
    narrowed = marta.get(unescape(re.search(r'<a class="s-failed" href="([^"]+)"', html)[1])).content.decode()

    assert listing.count(f'<a href="{url_of(whole)}">part of Import books</a>') == 2
    assert len(rows(html)) == 2 and "otto" not in html and "Parts of Import books" in html and "part of" not in html
    assert len(rows(narrowed)) == 1 and "Import cover" in narrowed and f'href="{parts}"' in narrowed
    assert "parts</a>" not in marta.get(url_of(part)).content.decode() and failed.is_failed


@pytest.mark.parametrize("of", ["nowhere", "x" * 300, "<b>", "a:0"])
def test_what_has_no_parts_of_ones_own_says_nothing_of_whose_it_is(marta, of):
    theirs = job(user="otto", job_name="shop.plans_of_otto")
    theirs.spawn("shop.page_of_otto")

    pages = [marta.get("/jobs/mine/", {"part_of": name}) for name in (of, theirs.id)]

    assert [page.status_code for page in pages] == [200, 200]
    for page in pages:
        text = page.content.decode()
        assert (
            "None of your jobs is a part of this one." in text
            and "Parts of a job" in text
            and "of_otto" not in text
            and "<b>" not in text.replace("<b></b>", "")
        )


def test_times_are_told(marta):
    with frozen_clock() as clock:
        waits = job("queued", job_name="x.waits")
        runs = job("queued", job_name="x.runs")
        clock.tick(30)
        runs.started()
        clock.tick(100)
        runs.succeeded()
        html = views.moments.now()
        own_job = own.OwnJob(runs.reload(), html)
        assert own_job.lasted == "took 1 min 40 s"
        assert own.OwnJob(waits.reload(), waits.queued_at + timedelta(seconds=61)).lasted == "waiting for 1 min 01 s"
        runs.started()
        assert own.OwnJob(runs.reload(), runs.started_at + timedelta(seconds=7.6)).lasted == "running for 7 s"
    assert '<time datetime="2026-01-01T12:00:00+00:00"' in listed(marta)


def test_what_went_wrong_stays_inside(marta):
    status = make_status("started", job_name="shop.charge", user="marta", queue="q-internal", job_args={"b": "Book:internal"}, engine="e-internal",
                         call={"args": ["a-internal"], "kwargs": {}}, data={"d": "d-internal"}, provider_job_id="p-internal")  # fmt: skip
    status.set_worker("w-internal")
    status.set_progress(0.25, message="page 1")
    status.add_error(ValueError("e-internal")).request_kill(by="ops-internal", reason="r-internal").failed()

    for html in (listed(marta), marta.get(url_of(status)).content.decode(), look(marta, status).content.decode()):
        assert "It could not be finished." in html
        assert "internal" not in html and "ValueError" not in html and "Traceback" not in html


def test_who_stopped_a_job_and_why_stays_inside(marta):
    asked = job()
    asked.request_kill(by="ops-internal", reason="r-internal")
    killed = job().request_kill(by="ops-internal", reason="r-internal").killed()

    assert "It was asked to stop." in words(look(marta, asked).content.decode())
    for html in (listed(marta), *(look(marta, one).content.decode() for one in (asked, killed))):
        assert "internal" not in html


def test_a_job_whose_worker_is_silent_is_said_to_be(marta):
    with frozen_clock() as clock:
        status = job()
        status.heartbeat()
        clock.tick(90)

        assert "It has not been heard of for a while." in words(look(marta, status).content.decode())
        assert "It has not been heard of for a while." in listed(marta)


def test_the_project_may_call_jobs_and_failures_as_it_likes(marta, told):
    class Shop(Resolver):
        def job_title(self, status):
            return f"Order {status.job_args['order'].partition(':')[2]} <now>"

        def failure_text(self, status):
            return "Call us at 4711."

    told(Shop)
    status = job("failed", job_args={"order": "Order:53"})

    for html in (listed(marta), look(marta, status).content.decode()):
        assert "Order 53 &lt;now&gt;" in html and "Call us at 4711." in html


def test_words_of_the_project_that_cannot_be_had_are_replaced(marta, told, caplog):
    class Broken(Resolver):
        def job_title(self, status):
            raise KeyError("order")

        def failure_text(self, status):
            return None

    told(Broken)
    job("failed")

    assert rows(listed(marta))[0].startswith("Monthly summary Failed")
    assert "It could not be finished." in listed(marta)
    assert "job_title" in caplog.text


def test_markup_of_the_project_is_text_too(marta, told):
    from django.utils.safestring import mark_safe

    class Safe(Resolver):
        def job_title(self, status):
            return mark_safe("<b>bold</b>")

    told(Safe)
    job()

    assert "&lt;b&gt;bold&lt;/b&gt;" in listed(marta)


@pytest.mark.parametrize(
    ("name", "title"),
    [("reports.monthly_summary", "Monthly summary"), ("shop.tasks.send_invoice", "Send invoice"), ("SendInvoice", "Send invoice"),
     ("app:PDFReport", "PDF report"), ("a-b c", "A b c"), ("x.", "X"), ("...", "..."), ("__main__", "Main"), ("", "Job"), ("名前", "名前")],
)  # fmt: skip
def test_a_name_is_said_as_a_person_would(name, title):
    assert titled(name) == title


def test_what_came_of_a_job_is_shown(marta):
    outputs.register("made")(lambda status: [
        outputs.Text(text="All is well", title="Summary"),
        outputs.Table(columns=("Check", "Lines"), rows=[("sources", 1234567), ("tests", None)]),
        outputs.Link(url="https://example.org/report", text="The report"),
        outputs.File(url="/files/report.csv", name="report.csv", size_bytes=1_234_567),
        outputs.Image(url="/files/chart.png", alt="Lines over time"),
    ])  # fmt: skip
    status = job("succeeded", job_name="made")
    job("started", job_name="made")

    for html in (listed(marta), marta.get(url_of(status)).content.decode(), listed(marta, **PART)):
        for text in ("Result", "Summary", "All is well", "1,234,567", "–", "report.csv 1.2 MB"):
            assert text in words(html)
        for markup in ('href="https://example.org/report"', 'href="/files/report.csv"', 'src="/files/chart.png" alt="Lines over time"'):
            assert html.count(markup) == 1


def test_an_output_that_cannot_be_made_tells_nothing_of_why(marta):
    @outputs.register("made")
    def shaky_internal(status: Any) -> None:
        raise ValueError("e-internal")

    job("succeeded", job_name="made")

    html = listed(marta)
    assert "This part of the result cannot be shown." in html
    assert "internal" not in html and "ValueError" not in html


def test_what_came_of_jobs_is_not_made_anew_at_every_look(marta):
    asked = []
    outputs.register("made")(lambda status: asked.append(status.id) or outputs.Text(text="made"))
    done, runs = job("succeeded", job_name="made"), job()

    for at in range(3):
        runs.set_progress(at, 3)
        assert "made" in listed(marta, **PART)
    assert asked == [done.id]
    listed(marta)
    assert asked == [done.id] * 2


# Which


def test_counts_are_exact_and_pages_hold_every_job_once(marta):
    names = [f"n{number:04d}" for number in range(2345)]
    base = statuses.server_time() - timedelta(days=1)
    states = ("succeeded", "failed", "killed", "queued")
    statuses.load(
        {"job_name": name, "user": user, "state": states[number % 4], "recorded_at": base + timedelta(seconds=number)}
        for number, name in enumerate(names) for user in ("marta", "otto")
    )  # fmt: skip

    first = listed(marta)
    assert "2,345 jobs · Page 1 of 118" in words(first)
    assert re.findall(r"(All|Waiting|Done|Failed|Stopped)(?: ([\d,]+))?", words(re.search(r"<nav.*?</nav>", first, re.DOTALL)[0])) == [
        ("All", ""), ("Waiting", "586"), ("Done", "587"), ("Failed", "586"), ("Stopped", "586")]  # fmt: skip
    seen = [row.split()[0].lower() for page in range(1, 119) for row in rows(listed(marta, f"?page={page}"))]
    assert seen == names[::-1]
    assert "586 jobs · Page 30 of 30" in words(listed(marta, "?state=failed&page=400"))


def test_a_state_narrows_and_several_add_up(marta):
    for state in State:
        job(state.value)

    def shown(query: str) -> list[str]:
        return [re.search("Planned|Waiting|Running|Done|Failed|Stopped|Not known", row)[0] for row in rows(listed(marta, query))]

    assert shown("?state=failed") == ["Failed"]
    assert shown("?state=failed&state=queued") == ["Failed", "Waiting"]
    assert shown("?state=completed") == ["Failed", "Done"]
    assert shown("?state=-ended&state=-unknown") == ["Running", "Waiting", "Planned"]
    assert shown("?state=") == shown("") and len(shown("")) == 7
    assert rows(listed(marta, "?state=failed&state=-failed")) == []


def test_pages_of_a_state_lead_to_pages_of_that_state(marta):
    for _ in range(21):
        job("failed")
        job("succeeded")

    html = listed(marta, "?state=failed")
    (older,) = re.findall(r'<a id="ju-older" href="([^"]*)"', html)

    assert unescape(older) == "/jobs/mine/?state=failed&page=2"
    second = listed(marta, "?state=failed&page=2")
    assert len(rows(second)) == 1 and re.findall(r'<a id="ju-newer" href="([^"]*)"', second) == ["/jobs/mine/?state=failed"]


@pytest.mark.parametrize(
    "query", ["?state=exploded", "?state=-exploded", "?page=0", "?page=x", "?page=-1", "?page=" + "9" * 50, "?state=%00"]
)
def test_what_cannot_be_read_is_said(marta, query):
    answer = marta.get(reverse("jobadmin_user:mine") + query)

    name = query[1:].partition("=")[0]
    assert answer.status_code == 400 and f"{name} cannot be “" in answer.content.decode()


def test_what_a_state_can_be_is_told(marta):
    page = unescape(marta.get(reverse("jobadmin_user:mine") + "?state=lost").content.decode())

    assert "state cannot be “lost”. Expected: one of unqueued, queued, started, succeeded, failed, killed, unknown, completed" in page


@pytest.mark.parametrize(("query", "near"), [("?sate=failed", "state"), ("?states=failed", "state"), ("?parts_of=x", "part_of")])
def test_a_mistyped_parameter_does_not_list_all(marta, query, near):
    job("failed", job_name="shop.own")

    answer = marta.get(reverse("jobadmin_user:mine") + query)

    assert answer.status_code == 400 and f"Did you mean the parameter {near}?" in answer.content.decode()


@pytest.mark.parametrize("query", ["?stage=2", "?lang=de", "?utm_source=mail", "?theme=dark"])
def test_parameters_of_the_projects_frame_are_left_alone(marta, query):
    assert marta.get(reverse("jobadmin_user:mine") + query).status_code == 200


@pytest.mark.parametrize("query", ["?user=otto", "?q=otto", "?name=x&id=1", "?after=bogus", "?span=15m"])
def test_parameters_of_the_dashboard_do_not_widen_the_list(marta, query):
    job("failed", "otto", job_name="shop.of_otto")
    job("failed", job_name="shop.own")

    assert [row.split()[0] for row in rows(listed(marta, query))] == ["Own"]


def test_no_jobs_and_none_in_a_state_are_two_sentences(marta):
    assert "You have not started any jobs yet." in listed(marta)
    job("succeeded")

    html = listed(marta, "?state=failed")

    assert "None of your jobs is in this state." in html and 'aria-current="page"' in html


# Live


def test_a_list_on_which_nothing_can_change_is_not_asked_for_again(marta):
    job("succeeded")
    assert "data-seconds" not in listed(marta)

    job("queued")

    assert 'data-seconds="5"' in listed(marta)
    job("started")
    assert 'data-seconds="3"' in listed(marta)


def test_a_script_gets_the_part_that_changes_and_nothing_when_nothing_did(marta):
    status = job()
    with frozen_clock_of_pages() as now:
        address = reverse("jobadmin_user:mine")
        first = marta.get(address, headers=PART)
        again = marta.get(address, headers={**PART, "If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert b"<html" not in first.content and "HX-Request" in first["Vary"] and first["Cache-Control"] == "no-cache, private"
        status.set_progress(0.5)
        assert marta.get(address, headers={**PART, "If-None-Match": first["ETag"]}).status_code == 200
        now()


class frozen_clock_of_pages:
    """The clock of the pages stands still, so that no relative time moves on between two looks."""

    def __enter__(self) -> Callable[[], Any]:
        self.patch = pytest.MonkeyPatch()
        at = statuses.server_time()
        self.patch.setattr(views.moments, "now", lambda: at)
        return lambda: at

    def __exit__(self, *_: object) -> None:
        self.patch.undo()


@pytest.mark.parametrize(
    "change",
    [lambda one: one.set_progress(0.5), lambda one: one.set_progress(0.25, message="b"), lambda one: one.request_kill(), lambda one: one.set_job_name("x"),
     lambda one: one.requeued()],
    ids=["progress", "message", "kill", "name", "requeued"],
)  # fmt: skip
def test_a_look_at_one_job_is_cheap_until_it_changes(marta, change):
    status = job()
    status.set_progress(0.25, message="a")
    first = look(marta, status)
    assert look(marta, status, first["ETag"]).status_code == 304

    change(status)

    assert look(marta, status, first["ETag"]).status_code == 200


def test_a_look_at_one_job_that_tells_its_progress_reads_its_record_alone(marta, monkeypatch):
    status = job()
    status.set_progress(0.25)
    look(marta, status)
    asked: list[str] = []
    pipeline = statuses.store.Store.pipeline

    def watched(self: Any, commands: Any, **options: Any) -> Any:
        commands = list(commands)
        asked.extend(command[0] for command in commands)
        return pipeline(self, commands, **options)

    monkeypatch.setattr(statuses.store.Store, "pipeline", watched)

    look(marta, status)

    assert len(asked) <= 1


@pytest.mark.parametrize("state", ["succeeded", "failed", "killed"])
def test_polling_ends_with_the_job(marta, state):
    status = job()
    running = look(marta, status)
    assert running.status_code == 200 and 'data-seconds="2"' in running.content.decode()

    getattr(status, state)()
    over = look(marta, status, running["ETag"])

    assert over.status_code == 286 and "data-seconds" not in over.content.decode()
    # A second bar that asks late gets the same word: 304 has none.
    assert look(marta, status, over.get("ETag", "")).status_code == 286


def test_who_waits_long_is_asked_for_less_often(marta):
    status = job()

    def seconds(after: float) -> int | None:
        return own.OwnJob(status, status.started_at + timedelta(seconds=after)).seconds

    assert [seconds(after) for after in (0, 60, 300, 900, 86_400)] == [2, 2, 5, 15, 15]
    assert own.OwnJob(job("unknown"), statuses.server_time() + timedelta(days=9)).seconds == 30


def test_a_boosted_link_and_a_way_back_get_whole_pages(marta):
    for headers in ({"HX-Boosted": "true"}, {"HX-History-Restore-Request": "true"}):
        assert "<html" in listed(marta, **PART, **headers)


# In the project's pages


def test_a_bar_stands_in_any_page_with_its_style_and_script_once(marta):
    user, first, second = User.objects.get(username="marta"), job(), job("queued")
    request = viewed_by(user)

    html = tag(request, first, "{% load jobadmin %}{% job_progress value %}") + tag(request, second.id)

    assert html.count("<jobadmin-live") == 2 and html.count("user.css") == html.count("user.js") == 1
    assert url_of(first) in html and url_of(second) in html
    assert Strict("tag", html)


def test_style_and_script_may_stand_in_the_head(marta):
    request = viewed_by(User.objects.get(username="marta"))

    html = tag(request, job(), "{% load jobadmin %}<head>{% job_progress_assets %}</head>{% job_progress value %}")

    assert html.index("user.css") < html.index("</head>") and html.count("user.css") == 1


@pytest.mark.parametrize("policy", ["context", "request"])
def test_style_and_script_have_the_nonce_of_the_page(marta, policy):
    class Late:
        """A nonce that is made when it is written, as Django's own."""

        def __bool__(self) -> bool:
            return False

        def __str__(self) -> str:
            return "abc123"

    request = viewed_by(User.objects.get(username="marta"))
    context = {"csp_nonce": Late()} if policy == "context" else {}
    if policy == "request":
        request.csp_nonce = Late()

    html = Template("{% load jobadmin %}{% job_progress_assets %}").render(RequestContext(request, context))

    assert html.count('nonce="abc123"') == 2


def test_a_bar_of_nothing_is_nothing(marta):
    user, gone = User.objects.get(username="marta"), job("succeeded")
    known = statuses.at(gone.id)
    gone.delete()

    for value in (None, "", "no-such-job", gone.id, known, "x" * 5000, "\ud800"):
        assert tag(viewed_by(user), value) == "", repr(value)[:50]


def test_a_bar_is_for_those_alone_who_may_see_the_job(marta, person):
    theirs = job(user="otto")

    assert tag(viewed_by(User.objects.get(username="marta")), theirs) == ""
    assert tag(viewed_by(AnonymousUser()), theirs) == ""
    assert Template("{% load jobadmin %}{% job_progress value %}").render(Context({"value": theirs})) == ""
    assert "<progress" in tag(viewed_by(person("view_job", name="staff")), theirs)


def test_a_bar_of_an_attempt_is_that_of_the_job(marta):
    status = job("failed").requeued().started()

    html = tag(viewed_by(User.objects.get(username="marta")), status.prior_attempts[0])

    assert "Running" in html and url_of(status) in html


def test_what_is_no_text_stands_for_its_text(marta):
    import uuid

    status = job(id=str(uuid.UUID(int=7)))

    assert url_of(status) in tag(viewed_by(User.objects.get(username="marta")), uuid.UUID(int=7))


def test_a_project_without_the_dashboard_has_its_bars(marta, settings):
    settings.ROOT_URLCONF = "tests.projects.shop"
    theirs = job(user="otto")

    assert look(marta, job()).status_code == 200 and look(marta, theirs).status_code == 404
    assert "<progress" in tag(viewed_by(User.objects.create_user("boss", is_staff=True, is_superuser=True)), theirs)
    with pytest.raises(NoReverseMatch):
        reverse("jobadmin:overview")


def test_other_addresses_below_the_pages_are_the_projects(marta, settings):
    settings.ROOT_URLCONF = "tests.projects.shop"

    for address in ("/jobs/", "/jobs/in-the-shop/"):
        assert marta.get(address).content == b"Vacancies of the shop"
    for address in ("/jobs/nothing/", "/jobs/mine/nothing/", f"/jobs/{job().id}/"):
        response = marta.get(address)
        assert response.status_code == 404 and 'class="ju' not in response.content.decode(), address


def test_a_project_brings_its_own_frame(marta, settings, tmp_path):
    (tmp_path / "jobadmin/user").mkdir(parents=True)
    (tmp_path / "jobadmin/user/base.html").write_text('{% extends "site.html" %}')
    (tmp_path / "site.html").write_text(
        "<title>{% block title %}Shop{% endblock %}</title><nav>Shop</nav>{% block content %}{% endblock %}"
    )
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path, *settings.TEMPLATES[0]["DIRS"]]}]
    status = job()

    for html in (listed(marta), marta.get(url_of(status)).content.decode(), marta.get("/jobs/none/progress/").content.decode()):
        assert "<nav>Shop</nav>" in html and "<title>Shop" not in html and html.count("user.css") == html.count("user.js") == 1


# Trouble


@pytest.fixture
def lost(store: Any) -> Iterator[Any]:
    """A job in a store that can be taken away."""
    with tempfile.TemporaryDirectory(prefix="ja-") as folder:
        server = Server(Path(folder), "s")
        statuses.configure(url=server.url, namespace="lost")
        status = job()
        try:
            yield server, status
        finally:
            server.thaw() if server.process else None
            server.stop()


@pytest.mark.parametrize("how", ["stop", "freeze"])
@pytest.mark.parametrize("headers", [{}, PART])
def test_a_store_that_is_gone_is_one_calm_sentence_in_time(marta, lost, how, headers):
    server, status = lost
    getattr(server, how)()

    for address in (reverse("jobadmin_user:mine"), url_of(status)):
        began = time.monotonic()
        answer = marta.get(address, headers=headers)
        assert time.monotonic() - began < LIMIT
        assert answer.status_code == 503 and answer["Retry-After"]
        html = answer.content.decode()
        assert "Jobs cannot be shown at the moment." in html
        assert "Redis" not in html and server.url not in html and "unix:" not in html
        assert ("<html" in html) is not bool(headers)


@pytest.mark.parametrize("how", ["stop", "freeze"])
def test_a_page_with_bars_stands_without_a_store_and_asks_for_it_once(marta, lost, how):
    server, status = lost
    getattr(server, how)()
    request = viewed_by(User.objects.get(username="marta"))

    began = time.monotonic()
    html = "".join(tag(request, job_id) for job_id in [status.id] * 5)

    assert time.monotonic() - began < LIMIT
    assert html.count("There is no news at the moment.") == 10  # in each what is said now, and what is said later
    assert html.count(f'data-url="{url_of(status)}" data-seconds="8"') == 5


@pytest.mark.parametrize("error", [statuses.ScriptFailed("a script", "x-internal"), statuses.ConfigurationError("x-internal")])
def test_a_store_that_is_not_as_expected_tells_no_more(marta, monkeypatch, caplog, error):
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(statuses, "find", broken)

    answer = marta.get("/jobs/x/progress/")

    assert answer.status_code == 500 and "internal" not in answer.content.decode()
    assert "not as expected" in caplog.text


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_whatever_a_job_carries_is_text(text, told):
    class Echo(Resolver):
        def failure_text(self, status):
            return text

    told(Echo)
    name = text[:150].replace("\x00", "")
    outputs.register("*")(lambda status: [
        outputs.Text(text=text, title=text), outputs.Link(url=text, text=text), outputs.Link(url=f"javascript:{text}", text="go"),
        outputs.Table(columns=[text, "password"], rows=[[text, SECRET]]), outputs.File(url=text, name=text), outputs.Image(url=text, alt=text),
    ])  # fmt: skip
    client = signed_in(name)
    running = make_status("started", job_name=text[:1000], user=name, id=f"1{text[:100]}x")
    running.set_progress(1, 3, message=text[:1000])
    running.spawn(text[:1000])
    failed = make_status("failed", job_name=text[:1000], user=name, error=text)

    pages = [listed(client), listed(client, **PART)]
    for status in (running, failed):
        pages += [client.get(url_of(status)).content.decode(), look(client, status).content.decode()]
        pages.append(tag(viewed_by(User.objects.get(username=name)), status))

    assert len(rows(pages[0])) == 3
    for html in pages:
        assert not TURNING.search(" ".join(Strict("page", html).words))
        assert SECRET not in html and len(html) < 200_000


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_hidden(marta, secret, told):
    class Echo(Resolver):
        def failure_text(self, status):
            return secret

    told(Echo)
    running = job(job_name=secret)
    running.set_progress(0.5, message=secret)
    failed = job("failed", job_name=secret, error=secret)

    for html in (listed(marta), *(look(marta, one).content.decode() for one in (running, failed))):
        assert SECRET not in html


def test_the_addresses_are_in_a_namespace_of_their_own():
    assert reverse("jobadmin_user:mine") == "/jobs/mine/"
    assert reverse("jobadmin_user:progress", args=[quote("mine")]) == "/jobs/mine/progress/"
    call_command("check")


@pytest.mark.parametrize("name", ["mine", "..", "a/b", "a b", "%2F", "list", "ü:x", "a?b#c", "a\nb"])
def test_an_id_of_any_characters_has_its_address(marta, name):
    status = job(id=name)

    assert look(marta, status).status_code == 200
    assert marta.get(url_of(status)).status_code == 200


def test_the_pages_speak_german(marta):
    job("failed")
    status = job()

    for address in (reverse("jobadmin_user:mine"), url_of(status), "/jobs/none/progress/", reverse("jobadmin_user:mine") + "?state=killed"):
        html = marta.get(address, headers={"Accept-Language": "de"}).content.decode()
        assert '<html lang="de"' in html
        assert not re.search(r"\b(?:My jobs|Running|Failed|created|running for|finished|Show all|Look again|None of)\b", words(html)), (
            address
        )


def test_styles_and_script_are_small():
    assert (ROOT / "static/jobadmin/user.css").stat().st_size < 10_000
    assert (ROOT / "static/jobadmin/user.js").stat().st_size < 6_000
