"""What an ended job gives is shown as data: escaped, redacted, cut, with addresses that may be followed, and never breaks the page."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest

from jobadmin.outputs import followed
from jobadmin.paths import job_url
from statuses import outputs
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture(autouse=True)
def no_processors() -> Iterator[None]:
    before = dict(outputs._processors)
    outputs._processors.clear()
    yield
    outputs._processors.clear()
    outputs._processors.update(before)


def gives(*parts: Any) -> None:
    """Jobs named `made` give these parts."""
    outputs.register("made")(lambda status: list(parts))


def panel(client: Any, status: Any, query: str = "") -> str:
    """The panel of the output as it stands on the job's page; empty where there is none."""
    html = client.get(job_url(status.id) + query).content.decode()
    found = re.search(r'id="job-output".*?</section>', html, re.DOTALL)
    return found[0] if found else ""


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=1", "http://example.org", "/files/7", "report.pdf", "?part=data", "../up", "HTTPS://x.example"]
)
def test_http_and_relative_addresses_are_followed(url: str) -> None:
    assert followed(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "javascript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//elsewhere.example/x",
     "/\\elsewhere.example", "https:", "vbscript:x", "http://[broken", "JaVaScRiPt:alert(1)"],
)  # fmt: skip
def test_other_addresses_are_not(url: str) -> None:
    assert followed(url) == ""


def test_every_kind_of_part_is_shown(browse: Any) -> None:
    gives(
        outputs.Text(text="All is well", title="Summary"),
        outputs.Table(columns=("Check", "Lines"), rows=[("sources", 1234567), ("tests", None)]),
        outputs.Link(url="https://example.org/report", text="The report"),
        outputs.File(url="/files/report.csv", name="report.csv", size_bytes=1_234_567),
        outputs.Image(url="/files/chart.png", alt="Lines over time"),
    )

    html = panel(browse(), make_status("succeeded", job_name="made"))

    for text in ("Summary", "All is well", "1,234,567", "–", "report.csv 1.2 MB"):
        assert text in words(html)
    for markup in ('href="https://example.org/report"', 'href="/files/report.csv"', 'src="/files/chart.png" alt="Lines over time"'):
        assert markup in html


def test_a_job_without_output_or_before_its_end_has_no_panel(browse: Any) -> None:
    gives(outputs.Text(text="All is well"))
    client = browse()

    assert panel(client, make_status("started", job_name="made")) == ""
    assert panel(client, make_status("succeeded", job_name="other")) == ""


def test_an_earlier_attempt_has_no_output(browse: Any) -> None:
    gives(outputs.Text(text="All is well"))
    status = make_status("failed", job_name="made").requeued().started().succeeded()
    client = browse()

    assert panel(client, status)
    assert panel(client, status, "?attempt=0") == ""


def test_addresses_that_may_not_be_followed_are_no_links(browse: Any) -> None:
    gives(
        outputs.Link(url="javascript:alert(1)", text="Click me"),
        outputs.File(url="https://u:hunter2hunter2@example.org/x", name="secret.csv"),
        outputs.Image(url="data:image/svg+xml,x", alt="A drawing"),
    )

    html = panel(browse(), make_status("succeeded", job_name="made"))

    assert "href=" not in html and "<img" not in html and "hunter2" not in html
    for text in ("Click me", "secret.csv", "A drawing", "this address is not shown as a link"):
        assert text in words(html)


def test_a_strangers_picture_is_a_link_and_is_not_loaded(browse: Any) -> None:
    gives(outputs.Image(url="https://example.org/chart.png", alt="Lines over time"))

    html = panel(browse(), make_status("succeeded", job_name="made"))

    assert "<img" not in html
    assert 'href="https://example.org/chart.png"' in html


def test_hostile_output_is_escaped(browse: Any) -> None:
    gives(
        outputs.Text(text=HOSTILE, title=HOSTILE),
        outputs.Table(columns=(HOSTILE,), rows=[(HOSTILE,)], title=HOSTILE),
        outputs.Link(url="/x" + HOSTILE, text=HOSTILE),
        outputs.File(url="/x" + HOSTILE, name=HOSTILE),
        outputs.Image(url="/x" + HOSTILE, alt=HOSTILE),
        outputs.Broken(processor=HOSTILE, error=HOSTILE),
    )

    html = panel(browse(), make_status("succeeded", job_name="made"))

    assert "<script" not in html
    assert HOSTILE in unescape(html)


def test_secrets_in_output_are_redacted(browse: Any) -> None:
    gives(
        outputs.Text(text="password=hunter2hunter2"),
        outputs.Table(columns=("User", "API key"), rows=[("marta", "hunter2hunter2"), ("token=hunter2hunter2", "x")]),
    )

    html = panel(browse(), make_status("succeeded", job_name="made"))

    assert "hunter2" not in html
    assert "marta" in html


def test_long_output_is_cut_and_says_so(browse: Any) -> None:
    gives(outputs.Text(text="x" * 5000), outputs.Table(columns=("n",), rows=[(n,) for n in range(1201)]))

    text = words(panel(browse(), make_status("succeeded", job_name="made")))

    assert "… 1,000 more characters" in text
    assert "1,001 more rows are not shown" in text


def test_a_processor_that_raises_is_named_with_its_error(browse: Any) -> None:
    @outputs.register("made")
    def shaky(status: Any) -> None:
        raise ValueError("password=hunter2hunter2 is wrong")

    text = words(panel(browse(), make_status("succeeded", job_name="made")))

    assert "could not be made by" in text and "shaky" in text and "ValueError" in text
    assert "hunter2" not in text


def test_children_that_run_count_by_their_progress(browse: Any) -> None:
    parent = make_status("started", job_name="made")
    parent.spawn("child").queued().started().succeeded()
    parent.spawn("child").queued().started().set_progress(1, 2)
    parent.spawn("child").queued()

    html = browse().get(job_url(parent.id)).content.decode()

    assert re.search(r'id="children-percent">50 % done<', html)
    assert "1 of 3 ended" in html


def test_the_share_of_children_is_not_said_once_all_have_ended(browse: Any) -> None:
    parent = make_status("started", job_name="made")
    parent.spawn("child").queued().started().succeeded()

    html = browse().get(job_url(parent.id)).content.decode()

    assert "children-percent" not in html
    assert "1 of 1 ended" in html
