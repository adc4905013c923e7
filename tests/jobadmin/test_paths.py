"""Any id and any resource has one address, and comes back from it as it was."""

from urllib.parse import quote as percent_quote

import pytest
from django.test import RequestFactory
from django.urls import resolve, reverse, set_script_prefix
from hypothesis import given
from hypothesis import strategies as st

from jobadmin import paths

#: Texts a browser or a router could take for something else.
HOSTILE = [
    "list", "bulk", "operations", "names", "errors", "resources", "export.csv", "api", "redis", "queues", "workers", ".", "..", "...",
    "a/b", "a//b", "/", "?x=1", "#f", "a b", "a%2Fb", "%", "_3A", "__", "_5F", "Book:53", "a:2", "é/ü", "日本", '"><script>', "a\nb",
    "a\\b", "&amp;", "x" * 200, "list:1", "-", "~", "\u202e", "kill", "a;b", "a,b", "$", "+", "=", "@", "'", "\x01",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_every_id_leads_to_its_own_job_page(text: str) -> None:
    found = resolve(_as_browser(paths.job_url(text)))

    assert found.view_name == "jobadmin:job"
    assert paths.unquote(found.kwargs["quoted"]) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_every_id_leads_to_its_own_actions(text: str) -> None:
    found = resolve(_as_browser(paths.action_url(text, "kill-now")))

    assert (found.view_name, found.kwargs["action"]) == ("jobadmin:job_action", "kill-now")
    assert paths.unquote(found.kwargs["quoted"]) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_every_resource_leads_to_its_own_page(text: str) -> None:
    found = resolve(_as_browser(paths.resource_url(text)))

    assert found.view_name == "jobadmin:resource"
    assert paths.unquote(found.kwargs["resource"]) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_every_queue_leads_to_its_own_page(text: str) -> None:
    found = resolve(_as_browser(paths.queue_url(text)))

    assert found.view_name == "jobadmin:queue"
    assert paths.unquote(found.kwargs["queue"]) == text


@pytest.mark.parametrize("text", [text for text in HOSTILE if paths.unquote(text) == text and text.strip("./")])
def test_a_queue_and_a_resource_are_found_where_another_program_writes_their_address(text: str) -> None:
    for kind, name in (("queues", "queue"), ("resources", "resource")):
        found = resolve(_as_browser(f"{reverse('jobadmin:overview')}{kind}/{percent_quote(text, safe='')}/"))

        assert (found.view_name, found.kwargs[name]) == (f"jobadmin:{name}", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_an_address_is_what_django_itself_would_write(text: str) -> None:
    assert paths.job_url(text) == reverse("jobadmin:job", args=[paths.quote(text)])
    assert paths.resource_url(text) == reverse("jobadmin:resource", args=[paths.quote(text)])


def test_an_address_follows_the_prefix_that_the_server_gives() -> None:
    before = paths.job_url("a")
    set_script_prefix("/below/")
    try:
        assert (paths.job_url("a"), paths.page_url("list")) == ("/below" + before, reverse("jobadmin:list"))
    finally:
        set_script_prefix("/")


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200))
def test_quoting_comes_back(text: str) -> None:
    quoted = paths.quote(text)

    assert paths.unquote(quoted) == text
    assert "/" not in quoted and quoted not in paths.RESERVED


def test_an_address_typed_by_hand_needs_no_quoting() -> None:
    assert paths.unquote("Book:53") == "Book:53"


@pytest.mark.parametrize(
    ("job_id", "parts"), [("a7", ("a7", None)), ("a7:2", ("a7", 2)), ("x:y", ("x:y", None)), ("a:1:0", ("a:1", 0)), (":1", (":1", None))]
)
def test_an_attempts_id_tells_its_job_and_number(job_id: str, parts: tuple[str, int | None]) -> None:
    assert paths.split_attempt(job_id) == parts


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "/\\evil.example", "http:///x", "", "*", "list", "admin:index"],
)
def test_next_never_leads_off_this_site(wanted: str) -> None:
    request = RequestFactory().post("/", {"next": wanted})

    assert paths.safe_next(request, "/here/") == "/here/"


@pytest.mark.parametrize("wanted", ["/admin/jobs/list/?state=failed&span=24h", "http://testserver/admin/jobs/"])
def test_next_keeps_an_address_of_this_site(wanted: str) -> None:
    request = RequestFactory().post("/", {"next": wanted})

    assert paths.safe_next(request, "/here/") == wanted


def _as_browser(address: str) -> str:
    """The path a server sees: percent signs undone."""
    from urllib.parse import unquote

    return unquote(address)
