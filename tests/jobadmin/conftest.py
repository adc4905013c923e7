"""People who look at the pages, with the rights a test gives them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def person(db: None) -> Callable[..., Any]:
    """Makes a staff user who has exactly these rights on jobs."""
    from django.contrib.auth.models import Permission, User

    def make(*rights: str, name: str = "marta", staff: bool = True) -> User:
        user = User.objects.create_user(name, is_staff=staff)
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="jobadmin", codename__in=rights))
        return user

    return make


@pytest.fixture
def browse(person: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a client signed in as a person with these rights; all of them unless some are named."""
    from django.test import Client

    def make(*rights: str, name: str = "marta", **as_client: Any) -> Client:
        every = ("view_job", "kill_job", "retry_job", "remove_job")
        client = Client(**as_client)
        client.force_login(person(*(rights or every), name=name))
        return client

    return make


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """What language a request asked for is forgotten with its test: the thread would keep it."""
    from django.utils import translation

    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def no_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations wait until a test carries them out: no thread looks at the database behind its back."""
    from jobadmin import runner

    monkeypatch.setattr(runner.Runner, "wake", lambda self: None)
    monkeypatch.setattr(runner.Runner, "ensure", lambda self: None)


@pytest.fixture(autouse=True)
def only_engines_of_the_test(no_engines: None) -> None:
    """Pages show what the engines of the process tell: only those that a test makes known."""
