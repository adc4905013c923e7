"""Which jobs a page is about: every parameter, alone and together, against the records themselves."""

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

import statuses
from jobadmin.filters import DEFAULTS, PARAMETERS, BadFilter, JobFilter
from jobadmin.tokens import Token
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")

NOW = datetime(2026, 11, 19, 14, 32, 7, tzinfo=UTC)


def jobs(text: str = "") -> JobFilter:
    return JobFilter.from_querystring(text)


def names(text: str) -> set[str]:
    """Job names that the filter finds."""
    return {status.job_name for status in jobs(text).query}


@pytest.fixture
def some():
    """Jobs that differ in everything one can filter by."""
    with frozen_clock(NOW) as clock:
        make_status("failed", job_name="mail.send", queue="bulk", user="ines", job_args={"book": "Book:53"}, error=ValueError("no"))
        make_status("succeeded", job_name="mail.digest", queue="default", user="marta")
        make_status("started", job_name="plan.rebuild", queue="bulk", user="marta", engine="celery", provider_job_id="celery-7")
        make_status("queued", job_name="-odd*", queue=None, user=None)
        asked = make_status("started", job_name="plan.asked", queue="bulk")
        asked.request_kill(by="marta")
        dead = make_status("started", job_name="plan.dead", queue="bulk")
        dead.request_kill(by="marta")
        dead.killed()
        beating = make_status("started", job_name="plan.stale")
        beating.heartbeat()
        clock.tick(timedelta(minutes=5))
        yield clock


ALL = {"mail.send", "mail.digest", "plan.rebuild", "-odd*", "plan.asked", "plan.dead", "plan.stale"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ALL),
        ("name=mail.send", {"mail.send"}),
        ("name=mail.send&name=plan.rebuild", {"mail.send", "plan.rebuild"}),
        ("name=mail.*", {"mail.send", "mail.digest"}),
        ("name=nothing.*", set()),
        ("name=-mail.*", ALL - {"mail.send", "mail.digest"}),
        ("name=mail.*&name=-mail.send", {"mail.digest"}),
        (r"name=\-odd\*", {"-odd*"}),
        (r"name=-\-odd\*", ALL - {"-odd*"}),
        ("name=-nothing.*", ALL),
        ("queue=bulk&user=marta", {"plan.rebuild"}),
        ("queue=-bulk", {"mail.digest", "-odd*", "plan.stale"}),
        ("user=-marta", ALL - {"mail.digest", "plan.rebuild"}),
        ("engine=celery", {"plan.rebuild"}),
        ("worker=worker-1&state=failed", {"mail.send"}),
        ("state=failed&state=queued", {"mail.send", "-odd*"}),
        ("state=-started&state=-queued", {"mail.send", "mail.digest", "plan.dead"}),
        ("state=ended", {"mail.send", "mail.digest", "plan.dead"}),
        ("state=completed", {"mail.send", "mail.digest"}),
        ("resource=Book:53", {"mail.send"}),
        ("resource=-Book:53", ALL - {"mail.send"}),
        ("resource=Book:*", set()),
        ("flag=kill_requested", {"plan.asked"}),
        ("flag=-kill_requested", ALL - {"plan.asked"}),
        ("flag=stale", {"plan.stale"}),
        ("flag=-stale", ALL - {"plan.stale"}),
        ("flag=stale&flag=kill_requested", {"plan.asked", "plan.stale"}),
        ("q=Book:53", {"mail.send"}),
        ("q=celery-7", {"plan.rebuild"}),
        ("q=nowhere", set()),
        ("error=ValueError", {"mail.send"}),
        ("span=15m", ALL),
        ("by=failed_at&span=1h", {"mail.send"}),
        ("by=started_at&span=all", ALL),
        ("from=2026-11-19T14:32:07Z&to=2026-11-19T14:32:07Z", ALL),
        ("to=2026-11-19T14:32:06.999999Z", set()),
        ("from=2026-11-20", set()),
        ("from=0001-01-01&to=9999-12-31", ALL),
        ("from=9999-12-31", set()),
        ("name=&state=&q=&from=", ALL),
    ],
)
def test_each_parameter_finds_exactly_its_jobs(some, text, found):
    assert names(text) == found


@pytest.mark.parametrize("parameter", ["name", "queue", "user", "worker", "resource", "error"])
def test_texts_with_null_characters_are_found_and_told_without_them(store, parameter):
    made = make_status("failed", job_name="a\x00b", queue="a\x00b", user="a\x00b", job_args={"a": "a\x00b"}, error="a\x00b").set_worker(
        "a\x00b"
    )
    make_status("failed")

    found = jobs(f"span=all&{parameter}=a%00b")

    assert found.query.ids() == [made.id]
    assert "a␀b" in found.describe() and "\x00" not in found.describe() + found.querystring()


def test_the_search_field_finds_a_job_by_its_id(some):
    status = statuses.where(job_name="mail.send").first()

    assert names(f"q={status.id}") == {"mail.send"}
    assert names(f"id={status.id}") == {"mail.send"}
    assert names(f"id=-{status.id}") == ALL - {"mail.send"}


def test_a_list_is_sorted_as_the_url_says(some):
    assert next(s.job_name for s in jobs("sort=recorded_at").query) == "mail.send"
    assert jobs("sort=-recorded_at").params == []


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("state=broken", "state"),
        ("state=--failed", "state"),
        ("flag=maybe", "flag"),
        ("span=8d", "span"),
        ("by=name", "by"),
        ("by=-recorded_at", "by"),
        ("sort=name", "sort"),
        ("sort=--run_time", "sort"),
        ("from=yesterday", "from"),
        ("to=2026-02-30", "to"),
        ("from=2026-11-20&to=2026-11-19", "from"),
        ("name=-", "name"),
        ("q=a%00b", "q"),
        ("name=" + "x" * 1005, "name"),
        ("&".join(f"id=j{n}" for n in range(201)), "id"),
        ("step=3", "step"),
        ("step=stopped", "step"),
        ("workflow=&step=3", "step"),
        ("statee=failed", "statee"),
        ("nonsense=1", "nonsense"),
    ],
)
def test_what_nobody_can_read_is_refused_by_name(text, parameter):
    with pytest.raises(BadFilter) as refused:
        jobs(text)

    assert refused.value.parameter == parameter
    assert refused.value.expected


def test_a_mistyped_parameter_is_told_the_nearest_one():
    with pytest.raises(BadFilter) as refused:
        jobs("statee=failed")

    assert "state" in refused.value.expected


def test_defaults_are_left_out_of_the_url():
    assert jobs("span=7d&by=recorded_at&sort=-recorded_at&name=").params == []
    assert jobs("").url("overview") == "/admin/jobs/"
    assert jobs("queue=b&queue=a&state=failed&span=24h").url() == "/admin/jobs/list/?state=failed&queue=b&queue=a&span=24h"


@pytest.mark.parametrize("bounds", ["from=2026-11-18", "to=2026-11-18", "from=2026-11-17&to=2026-11-18"])
@pytest.mark.parametrize("span", ["24h", "7d", "all"])
def test_a_span_beside_bounds_is_refused_for_one_of_them_would_not_count(span, bounds):
    with pytest.raises(BadFilter) as refused:
        jobs(f"{bounds}&span={span}")

    assert (refused.value.parameter, refused.value.value) == ("span", span)
    assert "beside from" in refused.value.expected or "beside to" in refused.value.expected


@pytest.mark.parametrize("text", ["span=24h&span=7d", "sort=run_time&sort=-run_time", "q=mail&q=plan", "from=2026-11-17&from=2026-11-18"])
def test_two_values_of_what_has_one_are_refused_for_the_first_would_not_count(text):
    with pytest.raises(BadFilter) as refused:
        jobs(text)

    assert refused.value.parameter == text.partition("=")[0]
    assert refused.value.expected == "one value, not 2"


def test_the_same_value_twice_is_one():
    assert jobs("span=24h&span=24h&span=").span == "24h"


def test_a_link_with_bounds_takes_the_place_of_the_span_that_the_page_has():
    assert jobs("span=24h").url(to="2026-11-18T08:00:00Z").endswith("?to=2026-11-18T08%3A00%3A00Z")
    assert jobs("to=2026-11-18T08:00:00Z").url(span="24h").endswith("?span=24h")


def test_an_absolute_span_is_written_in_utc():
    own = jobs("from=2026-11-18T08:00:00%2B01:00")

    assert own.span == ""
    assert own.params == [("from", "2026-11-18T07:00:00Z")]
    assert own.after == datetime(2026, 11, 18, 7, tzinfo=UTC)
    assert own.before is None


def test_links_take_values_literally():
    hostile = "-a&b=c*\"'<script>"

    url = jobs("").url(name=hostile)

    assert [token.value for token in JobFilter.from_querystring(url.partition("?")[2]).tokens("name")] == [hostile]


def test_a_link_changes_removes_and_keeps():
    here = jobs("name=a&state=failed&after=xyz&span=24h")

    assert here.url(state=None) == "/admin/jobs/list/?name=a&span=24h"
    assert here.url(state=["failed", "killed"]) == "/admin/jobs/list/?state=failed&state=killed&name=a&span=24h"
    assert here.url(name=Token("b", negative=True)) == "/admin/jobs/list/?state=failed&name=-b&span=24h"
    assert here.url("overview", span="7d", chart="share") == "/admin/jobs/?state=failed&name=a&chart=share"
    with pytest.raises(TypeError):
        here.url(nonsense=1)


def test_a_link_without_the_workflow_has_no_step_of_it():
    here = jobs("workflow=w&step=3&state=failed")

    assert here.url(workflow=None) == "/admin/jobs/list/?state=failed"
    assert here.url(workflow="v") == "/admin/jobs/list/?state=failed&workflow=v&step=3"


def test_toggles_add_up_and_take_back():
    failed = jobs("").toggled("state", "failed")
    both = failed.toggled("state", "killed")

    assert both.states == ["failed", "killed"]
    assert both.toggled("state", "failed").states == ["killed"]
    assert failed.toggled("state", "failed").params == []


def test_a_relative_span_is_rounded_once_and_frozen_to_now(some):
    relative = jobs("span=1h&name=mail.*")

    frozen = JobFilter.from_querystring(relative.frozen())

    assert relative.after == NOW.replace(minute=37, second=0) - timedelta(hours=1)
    assert frozen.after == relative.after
    assert frozen.before == some.now
    assert frozen.given["name"] == ("mail.*",)
    assert frozen.frozen() == relative.frozen()


def test_all_time_is_frozen_to_what_is_there_now(some):
    frozen = JobFilter.from_querystring(jobs("span=all&by=started_at").frozen())
    some.tick(1)
    make_status("queued", job_name="later")

    assert {status.job_name for status in frozen.query} == ALL


def test_the_period_before_ends_where_the_span_begins(some):
    here = jobs("span=24h&queue=bulk")
    before = here.previous()

    assert before.before == here.after - timedelta(microseconds=1)
    assert before.before - before.after == timedelta(hours=24) - timedelta(microseconds=1)
    assert before.given["queue"] == ("bulk",)
    assert jobs("span=all").previous() is None
    assert jobs("to=2026-11-19").previous() is None


def test_what_mail_programs_put_behind_a_link_changes_nothing():
    assert jobs("queue=bulk&utm_source=mail&utm_campaign=x&fbclid=y&gclid=z").params == [("queue", "bulk")]


def test_chips_say_what_is_filtered_by():
    chips = {chip.parameter: (chip.label, chip.words) for chip in jobs("queue=a&queue=-b&user=-system&state=failed&q=x").chips}

    assert chips == {"queue": ("Queue", "a, not b"), "user": ("User", "not system"), "q": ("Search", "x")}


def test_a_filter_says_itself_in_words():
    words = jobs("name=mail.*&state=failed&user=-system&span=24h").describe()

    assert words == "State Failed · Job name mail.* · User not system · Created in the last 24 hours"


@pytest.mark.parametrize("value", ["mail.send", "-mail", "a b&c=d", "ü*", "any-value", "\\x", "%", "x" * 300])
def test_links_that_differ_in_one_value_are_those_made_one_by_one(value):
    here = jobs("queue=bulk&span=24h&sort=run_time")

    assert here.links("list", "name", state="failed")(value) == here.url("list", name=value, state="failed")
    assert here.links("list", "name", sort=None)(value) == here.url("list", name=value, sort=None)


def test_a_request_is_read_as_its_query_string():
    request = RequestFactory().get("/admin/jobs/?name=a&name=b&chart=share")

    assert JobFilter.from_request(request).params == [("name", "a"), ("name", "b")]


#: Without `operation`, which asks the database.
READ_ALONE = [name for name in PARAMETERS if name != "operation"]


@given(st.lists(st.tuples(st.sampled_from([*READ_ALONE, "x"]), st.text(max_size=20)), max_size=8))
def test_any_query_string_is_read_or_refused(pairs):
    query = QueryDict(mutable=True)
    for name, value in pairs:
        query.appendlist(name, value)

    try:
        found = JobFilter.from_querydict(query)
    except BadFilter:
        return

    again = JobFilter.from_querystring(found.querystring())
    assert again.params == found.params
    assert all(value != DEFAULTS.get(name) for name, value in found.params if name in DEFAULTS)
    assert found.chips is not None
    assert found.describe()
