"""A store that a newer version made its own: pages say so, and do nothing."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

import statuses
from statuses import keys
from statuses import store as stores
from statuses.store import FORMAT
from statuses.testing import make_status

PAGES = ("", "list/", "queues/", "workers/", "errors/", "names/", "redis/")


@pytest.fixture
def newer(store) -> statuses.Status:
    job = make_status(state="queued")
    store.hset(keys.meta(stores.current().families[0]), "format", FORMAT + 1)
    return job


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_that_a_newer_version_wrote_it(browse, newer, page) -> None:
    answer = browse().get(f"/admin/jobs/{page}")

    assert answer.status_code in (200, 500, 503)
    assert "newer version" in answer.content.decode()


def test_an_action_is_not_done(browse, newer, store, monkeypatch) -> None:
    monkeypatch.setattr(stores.current(), "_look_at", 0.0)  # it is 15 seconds later
    before = {key: store.dump(key) for key in store.scan_iter()}

    browse().post(f"/admin/jobs/{newer.id}/kill/", {"reason": "late"})

    assert {key: store.dump(key) for key in store.scan_iter()} == before


def test_the_system_check_fails_and_says_what_helps(newer) -> None:
    with pytest.raises(SystemCheckError, match=r"statuses\.E009.*newer version"):
        call_command("check")
