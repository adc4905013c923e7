"""Filters saved by name: one's own and shared ones, opened, replaced, deleted, and honest when they are no longer valid."""

import re
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobadmin.models import SavedView
from jobadmin.savedviews import MOST_VIEWS
from statuses.testing import make_status

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

LIST = reverse("jobadmin:list")
HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def client(browse: Any) -> Client:
    make_status("failed", job_name="mail.send", error="no route")
    return browse("view_job", name="marta")


def save(client: Client, name: str = "Broken mail", page: str = "list", query: str = "state=failed&name=mail.send", **more: str) -> Any:
    back = "http://testserver" + LIST
    return client.post(reverse("jobadmin:view_save"), {"name": name, "page": page, "query": query, **more}, HTTP_REFERER=back)


def menu(client: Client, url: str = LIST) -> str:
    html = client.get(url).content.decode()
    found = re.search(r'<details class="j-pop" id="j-views">.*?</details>', html, re.DOTALL)
    assert found
    return found[0]


def entry(html: str, view: SavedView) -> str:
    found = re.search(rf'<li id="j-view-{view.pk}">.*?</li>', html, re.DOTALL)
    return found[0] if found else ""


def test_a_view_is_saved_and_leads_to_its_page_and_filter(client: Client) -> None:
    answer = save(client)

    assert (answer.status_code, answer["Location"]) == (302, "http://testserver" + LIST)
    view = SavedView.objects.get()
    assert (view.name, view.owner.username, view.shared, view.page) == ("Broken mail", "marta", False, "list")
    url = unescape(re.search(r'href="([^"]+)"', entry(menu(client), view))[1])
    assert url == f"{LIST}?state=failed&name=mail.send"
    assert client.get(url).status_code == 200


def test_the_page_offers_what_it_shows_to_be_saved(client: Client) -> None:
    html = client.get(f"{LIST}?state=failed&span=1h").content.decode()

    assert '<input type="hidden" form="j-save-view" name="page" value="list">' in html
    assert '<input type="hidden" form="j-save-view" name="query" value="state=failed&amp;span=1h">' in html


def test_a_change_of_the_filter_brings_along_what_would_be_saved(client: Client) -> None:
    html = client.get(f"{LIST}?state=killed", headers={"HX-Request": "true"}).content.decode()

    assert re.search(r'id="j-view-here" hidden hx-swap-oob="true">.*?value="state=killed"', html)
    assert "csrfmiddlewaretoken" not in re.search(r'id="j-view-here".*?</div>', html)[0]


def test_the_view_one_looks_at_is_marked(client: Client) -> None:
    save(client)
    view = SavedView.objects.get()

    assert "aria-current" in entry(menu(client, f"{LIST}?name=mail.send&state=failed"), view)
    assert "aria-current" not in entry(menu(client), view)


def test_the_scale_of_the_chart_belongs_to_the_view_and_the_place_in_a_list_does_not(client: Client) -> None:
    save(client, page="overview", query="state=failed&chart=share&page=3&live=1")

    assert SavedView.objects.get().querystring == "state=failed&chart=share"


def test_the_same_name_replaces_ones_own_view(client: Client, browse: Any) -> None:
    save(client, shared="yes")
    save(browse("view_job", name="eve"), query="state=killed")

    save(client, query="state=queued")

    assert {(view.owner.username, view.querystring, view.shared) for view in SavedView.objects.all()} == {
        ("marta", "state=queued", False),
        ("eve", "state=killed", False),
    }


def test_others_see_what_is_shared_and_cannot_delete_it(client: Client, browse: Any) -> None:
    save(client, name="Mine")
    save(client, name="Everybody's", shared="yes")
    mine, shared = SavedView.objects.get(name="Mine"), SavedView.objects.get(name="Everybody's")
    eve = browse("view_job", name="eve")

    html = menu(eve)

    assert entry(html, mine) == ""
    assert "shared by marta" in entry(html, shared)
    assert "<button" not in entry(html, shared)
    eve.post(reverse("jobadmin:view_remove"), {"view": shared.pk})
    eve.post(reverse("jobadmin:view_remove"), {"view": mine.pk})
    assert SavedView.objects.count() == 2


def test_an_own_view_is_deleted_and_the_page_says_so(client: Client) -> None:
    save(client)

    answer = client.post(reverse("jobadmin:view_remove"), {"view": SavedView.objects.get().pk}, follow=True)

    assert not SavedView.objects.exists()
    assert "The view “Broken mail” was deleted." in answer.content.decode()


@pytest.mark.parametrize("pk", ["", "0", "999999", "x", "9" * 40, "²", "-1"])
def test_a_view_that_is_not_there_changes_nothing(client: Client, pk: str) -> None:
    assert client.post(reverse("jobadmin:view_remove"), {"view": pk}).status_code == 302


def test_a_view_of_a_page_that_only_a_newer_version_has_says_so(client: Client) -> None:
    view = SavedView.objects.create(
        name="New", owner=SavedView._meta.get_field("owner").related_model.objects.get(), page="calendar", querystring="state=failed"
    )

    html = entry(menu(client), view)

    assert "No longer valid: page cannot be “calendar”." in unescape(html)


def test_a_filter_that_is_no_longer_valid_says_so_and_can_be_deleted(client: Client) -> None:
    view = SavedView.objects.create(
        name="Old", owner=SavedView._meta.get_field("owner").related_model.objects.get(), page="list", querystring="state=exploded"
    )

    html = entry(menu(client), view)

    assert "No longer valid: state cannot be “exploded”." in unescape(html)
    assert "<a " not in html
    assert f'name="view" value="{view.pk}"' in html


@pytest.mark.parametrize(
    "wrong",
    [{"name": ""}, {"name": " \t "}, {"name": "x" * 81}, {"name": "a\x00b"}, {"page": "job"}, {"page": ""}, {"query": "state=exploded"},
     {"query": "nonsense=1"}, {"query": "from=yesterday"}],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(client: Client, wrong: dict[str, str]) -> None:
    assert save(client, **wrong).status_code == 400
    assert not SavedView.objects.exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mail\u200bs", "a name of characters that can be seen, without U+200B"),
        ("\x07a\u202eb\x07", "a name of characters that can be seen, without U+0007, U+202E"),
        ("x" * 81, "a name of 1 to 80 characters"),
        ("", "a name of 1 to 80 characters"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused_for_the_right_reason(client: Client, name: str, reason: str) -> None:
    page = unescape(save(client, name=name).content.decode())

    assert f"Expected: {reason}." in page


def test_hostile_names_and_filters_are_escaped(client: Client) -> None:
    save(client, name=HOSTILE, query=f"name={HOSTILE}", shared="yes")

    html = client.get(LIST).content.decode()

    assert "<script>alert" not in html
    assert SavedView.objects.get().name == HOSTILE


def test_there_is_an_end_to_how_many_one_may_keep(client: Client) -> None:
    owner = SavedView._meta.get_field("owner").related_model.objects.get()
    SavedView.objects.bulk_create(SavedView(name=f"v{n}", owner=owner, page="list") for n in range(MOST_VIEWS))

    assert save(client, name="one more").status_code == 400
    assert save(client, name="v7").status_code == 302


def test_a_page_about_one_thing_lists_views_but_is_not_saved(client: Client) -> None:
    save(client)

    html = menu(client, reverse("jobadmin:resource", args=["Book_3A53"]))

    assert "Broken mail" in html
    assert "j-save-view" not in html


def test_views_take_the_right_to_look_and_a_post(browse: Any) -> None:
    nobody = browse("kill_job", name="eve")

    assert save(nobody).status_code == 403
    assert nobody.post(reverse("jobadmin:view_remove"), {"view": 1}).status_code == 403
    assert browse("view_job", name="marta").get(reverse("jobadmin:view_save")).status_code == 405


def test_a_deleted_user_takes_their_views_along(client: Client) -> None:
    save(client, shared="yes")

    SavedView.objects.get().owner.delete()

    assert not SavedView.objects.exists()
