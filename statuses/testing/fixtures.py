"""Fixtures for pytest: `pytest_plugins = ["statuses.testing.fixtures"]` in the topmost conftest.py, or `-p statuses.testing.fixtures`.

Nothing is registered by itself: who only installs this library has no fixture more than before."""

from collections.abc import Iterator

import pytest

from ..config import Config
from ..embedded import EmbeddedServer, temporary_server
from . import clocks
from .stores import private_store


@pytest.fixture(scope="session")
def statuses_server() -> Iterator[EmbeddedServer]:
    """A server of the run's own, started for the first test that needs it; nothing of it is kept. Override it to use another:
    whatever has a `url`."""
    with temporary_server() as server:
        yield server


@pytest.fixture
def status_store(statuses_server: EmbeddedServer) -> Iterator[Config]:
    """An empty store that `statuses` works on in this test; its configuration. Afterwards what was configured before is again."""
    with private_store(url=statuses_server.url) as made:
        yield made


@pytest.fixture
def frozen_clock() -> Iterator[clocks.FrozenClock]:
    """The clock of the store stands at noon (UTC) of 2026-01-01, until `frozen_clock.tick(seconds)` or `.move_to(moment)`."""
    with clocks.frozen_clock() as clock:
        yield clock
