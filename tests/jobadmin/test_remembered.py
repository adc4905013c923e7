"""What pages are made of is made once for the same values, and never shown to somebody whom it is not meant for."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template import Context, Template
from django.test import override_settings
from django.urls import reverse, set_script_prefix
from django.utils import timezone, translation

from jobadmin import moments, remembered
from jobadmin.templatetags.remembered import Remembered
from jobadmin.viewing import Viewing, viewed_by
from statuses.testing import frozen_clock, make_status

NOW = datetime(2026, 11, 19, 14, 32, 7, tzinfo=UTC)
EVERYTHING = {"span": "all"}


@pytest.fixture(autouse=True)
def nothing_known():
    remembered.forget()
    yield
    remembered.forget()


def page_of(inside: str, values: str = "name") -> Callable[..., str]:
    template = Template(f"{{% load i18n remembered jobadmin %}}{{% remember {values} %}}{inside}{{% endremember %}}")
    return lambda **context: template.render(Context(context))


def test_the_same_values_are_rendered_once_and_others_anew():
    made: list[str] = []
    page = page_of("{{ make }}")

    seen = [page(name=name, make=lambda name=name: made.append(name) or f"<{name}>") for name in ("a", "b", "a", "b")]

    assert seen == ["&lt;a&gt;", "&lt;b&gt;"] * 2
    assert made == ["a", "b"]


@pytest.mark.parametrize("context", [{"name": None}, {}], ids=["none", "missing"])
def test_without_a_value_nothing_is_remembered(context):
    made: list[int] = []
    page = page_of("{{ make }}")

    for _ in range(2):
        page(**context, make=lambda: made.append(1))

    assert len(made) == 2


def test_two_places_with_the_same_values_are_two_pieces():
    assert [page_of(words)(name="a") for words in ("one", "two")] == ["one", "two"]


def test_a_piece_is_told_in_the_words_and_times_of_who_looks():
    page = page_of('{% translate "Overview" %} {{ at|dated:"H:i" }} {% url "jobadmin:overview" %}', "name at")

    def seen(zone: str = "", language: str = "en", prefix: str = "/") -> str:
        with translation.override(language), viewed_by(Viewing(zone=zone)):
            set_script_prefix(prefix)
            try:
                return page(name="a", at=NOW)
            finally:
                set_script_prefix("/")

    for _ in range(2):
        assert seen() == "Overview 14:32 /admin/jobs/"
        assert seen(zone="Asia/Tokyo") == "Overview 23:32 /admin/jobs/"
        assert seen(language="de") == "Übersicht 14:32 /admin/jobs/"
        assert seen(prefix="/ops/") == "Overview 14:32 /ops/admin/jobs/"
    with timezone.override("Asia/Tokyo"):
        assert seen() == "Overview 23:32 /admin/jobs/"


def test_a_form_carries_the_token_of_its_own_answer():
    page = page_of("{% csrf_token %}{{ name }}")

    assert "AAAA" in page(name="a", csrf_token="AAAA")
    again = page(name="a", csrf_token="BBBB")

    assert "BBBB" in again and "AAAA" not in again and "\x01" not in again


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(remembered, "MOST_CHARACTERS", 1_000)

    for number in range(50):
        remembered.piece("test", (number,), lambda: "x" * 100)
    remembered.piece("test", ("long",), lambda: "x" * (remembered.LONGEST + 1))

    assert sum(map(len, remembered._pieces.values())) == remembered._characters == 1_000
    assert remembered.piece("test", (49,), lambda: "new") == "x" * 100
    assert remembered.piece("test", (0,), lambda: "new") == "new"


def test_a_changed_setting_forgets_what_was_made_under_another():
    page = page_of("{{ make }}")
    page(name="a", make="before")

    with override_settings(JOBADMIN={}):
        assert page(name="a", make="after") == "after"


PAGES = ("overview", "list", "names", "errors")


@pytest.fixture
def some(store: Any):
    """Jobs of each state that matter here, under a clock that stands."""
    with frozen_clock(NOW - timedelta(hours=3)) as clock:
        for name in ("mail.send", "plan.rebuild"):
            make_status("failed", job_name=name, queue="bulk", user="ines", job_args={"book": "Book:53"}, error=ValueError("no book"))
            make_status("succeeded", job_name=name)
        make_status("queued", job_name="mail.send", queue="bulk")
        clock.tick(timedelta(hours=3))
        yield clock


def bare(html: str) -> str:
    """Without what differs in each answer: tokens of forms."""
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", html)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_memory_is_the_page(page, browse, some, monkeypatch):
    monkeypatch.setattr(moments, "now", lambda: some.now)
    client = browse()

    first, again = (bare(client.get(reverse(f"jobadmin:{page}"), EVERYTHING).content.decode()) for _ in range(2))
    remembered.forget()
    anew = bare(client.get(reverse(f"jobadmin:{page}"), EVERYTHING).content.decode())

    assert first == again == anew


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["whole", "part"])
def test_the_second_look_makes_no_piece_anew(page, headers, browse, some, monkeypatch):
    made: list[str] = []
    inside = Remembered.inside

    def watched(self: Remembered, context: Context) -> str:
        made.append(self.origin.name)
        return inside(self, context)

    monkeypatch.setattr(Remembered, "inside", watched)
    client, address = browse(), reverse(f"jobadmin:{page}")

    client.get(address, EVERYTHING, headers=headers)
    assert len(made) > 3
    made.clear()
    client.get(address, EVERYTHING, headers=headers)

    assert made == []


@pytest.mark.parametrize("page", PAGES)
def test_who_may_less_gets_nothing_that_somebody_else_may(page, browse, some, monkeypatch):
    monkeypatch.setattr(moments, "now", lambda: some.now)
    mighty, onlooker = browse(), browse("view_job", name="otto")
    address = reverse(f"jobadmin:{page}")
    alone = bare(onlooker.get(address, EVERYTHING).content.decode())
    remembered.forget()

    mighty.get(address, EVERYTHING)
    after = bare(onlooker.get(address, EVERYTHING).content.decode())

    assert after == alone
    assert "/bulk/" not in after and "Retry" not in after


def test_a_page_from_memory_tells_what_has_changed(browse, some):
    client, address = browse(), reverse("jobadmin:overview")
    assert ">5</a> of" in client.get(address, EVERYTHING).content.decode()

    make_status("failed", job_name="index.book", error=KeyError("page"))

    seen = client.get(address, EVERYTHING).content.decode()
    assert ">6</a> of" in seen and "index.book" in seen and "KeyError" in seen
    assert "3 failed" in seen
