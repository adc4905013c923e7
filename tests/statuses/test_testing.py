"""What users' own tests are made of, run as they run it: by pytest, in an empty directory, in a project without Django."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import statuses
from statuses import clock, pauses, presence, sampling
from statuses.testing import (
    assert_counts,
    assert_failed,
    assert_one,
    assert_state,
    assert_succeeded,
    frozen_clock,
    make_status,
    private_store,
)

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "testing.md"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest as in a project of somebody else's: nothing of this one is set, and REDIS_URL leads nowhere."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "JOBADMIN", "PYTEST"))}
    environ |= {"PYTHONPATH": str(ROOT), "REDIS_URL": "unix:///nowhere.sock", "PYTHONDONTWRITEBYTECODE": "1"}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # those of this project need longer to come than such a test to run
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(directory), *arguments]
    return subprocess.run([sys.executable, "-m", "pytest", *options], cwd=directory, env=environ, capture_output=True, text=True)


def test_every_example_of_the_document_runs(tmp_path):
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", DOCUMENT.read_text(), re.S)
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    wanted = sum(text.count("def test_") for _, text in blocks)

    done = run(tmp_path)

    assert DOCUMENT.read_text().count("```python") == len(blocks)
    assert f"{wanted} passed" in done.stdout, done.stdout + done.stderr


def test_each_test_has_an_empty_store_and_a_running_clock_afterwards(tmp_path):
    (tmp_path / "test_mine.py").write_text("""
import statuses
from datetime import UTC, datetime
from statuses.testing import assert_counts

def test_first(status_store, frozen_clock):
    statuses.create(id="mine")

def test_second(status_store, statuses_server):
    assert statuses.find("mine") is None
    assert_counts({})
    assert status_store.url == statuses_server.url
    assert statuses.server_time() > datetime(2026, 1, 2, tzinfo=UTC)
    assert statuses_server.socket.exists()

def test_without_a_store():
    assert statuses.store.current().config.url == "unix:///nowhere.sock"
""")

    done = run(tmp_path, "-p", "statuses.testing.fixtures")

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_failing_assertion_points_at_the_line_of_the_test(tmp_path):
    (tmp_path / "test_mine.py").write_text("""
from statuses.testing import assert_succeeded, make_status

def test_mine(status_store):
    assert_succeeded(make_status("failed", error="boom"))
""")

    done = run(tmp_path, "-p", "statuses.testing.fixtures")

    assert "1 failed" in done.stdout
    assert "test_mine.py:5: AssertionError" in done.stdout
    assert "boom" in done.stdout


def test_nothing_of_a_run_is_left_behind(tmp_path):
    (tmp_path / "test_mine.py").write_text("""
def test_mine(status_store, statuses_server):
    print(statuses_server.directory, statuses_server.pid)
""")

    done = run(tmp_path, "-s", "-p", "statuses.testing.fixtures")

    directory, pid = re.search(r"(\S+) (\d+)\n", done.stdout).groups()
    assert not Path(directory).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize("absent", ["pytest", "numpy", "django"])
def test_pytest_is_loaded_by_the_fixtures_alone(absent):
    code = f"import statuses.testing, sys; assert {absent!r} not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


class TestStores:
    def test_a_private_store_is_empty_and_what_was_configured_is_back_afterwards(self, store):
        statuses.create(id="before")

        with private_store(stale_after=timedelta(seconds=5)) as made:
            assert statuses.find("before") is None
            statuses.create(id="inside")
            assert made.stale_after == timedelta(seconds=5)

        assert statuses.find("before") is not None
        assert statuses.find("inside") is None

    def test_what_was_configured_is_back_after_an_error(self, store, server_url):
        before = statuses.store.current()

        with pytest.raises(KeyError), private_store(url=server_url):
            statuses.create()
            raise KeyError

        assert statuses.store.current() is before
        assert store.keys("*") == []

    @pytest.mark.parametrize("families", [1, 3])
    def test_on_a_given_server_exactly_its_own_keys_are_erased(self, store, server_url, families):
        make_status("failed", id="before", error="x")
        before = set(store.keys("*"))

        with private_store(url=server_url, families=families):
            make_status("failed", id="a", error="x", data=[1], user="u", job_args={"a": "Book:1"}, provider_job_id="p").started().save([2])
            make_status("failed", id="b")
            statuses.where(id="b").delete_all(undo_for=timedelta(minutes=1))
            statuses.clear_all()
            make_status("started", id="c", call={"args": ["x" * 99]}, job_args={"a": "Book:" + "1" * 99})
            make_status("failed").delete()
            presence.tell("e", "w", {})
            presence.order("e", "w", "stop")
            pauses.pause("e", "q")
            sampling.sample()  # which tells that it ran, too

        assert set(store.keys("*")) == before

    def test_what_a_test_configures_meanwhile_is_not_cleared(self, store, server_url):
        with private_store(url=server_url):
            statuses.configure(url=server_url, namespace="somebodys")
            statuses.create(id="theirs")

        statuses.configure(url=server_url, namespace="somebodys")
        assert statuses.find("theirs") is not None

    def test_a_namespace_that_may_hold_something_is_refused(self, server_url):
        with pytest.raises(statuses.ConfigurationError, match="namespace"), private_store(url=server_url, namespace="jobs"):
            pass

    def test_a_server_that_dies_inside_does_not_hide_what_went_wrong(self, other_server):
        with private_store(url=other_server.url):
            other_server.stop()


class TestClocks:
    def test_a_clock_inside_a_clock_gives_the_outer_one_back(self, store):
        inner = datetime(2030, 1, 1, tzinfo=UTC)

        with frozen_clock() as outer:
            with frozen_clock(inner):
                assert statuses.server_time() == inner
            assert statuses.server_time() == outer.now
        assert clock.frozen_us() is None

    def test_time_goes_forward_only(self):
        with frozen_clock() as frozen:
            assert frozen.move_to(datetime(2026, 2, 1, tzinfo=UTC)) == frozen.now == clock.from_us(clock.frozen_us())
            for back in (lambda: frozen.tick(-1), lambda: frozen.move_to(datetime(2026, 1, 1, tzinfo=UTC))):
                with pytest.raises(ValueError, match="does not go back"):
                    back()

    def test_a_moment_without_a_zone_is_refused(self):
        with frozen_clock() as frozen, pytest.raises(ValueError, match="time zone"):
            frozen.move_to(datetime(2026, 2, 1))


@pytest.mark.usefixtures("store")
class TestAssertions:
    def test_they_give_the_job_as_it_is_now(self):
        handle = make_status("started")
        statuses.at(handle.id).save({"n": (1,)}).succeeded()

        assert assert_state(handle.id, "succeeded").progress == 1.0
        assert assert_succeeded(handle, data={"n": (1,)}) == assert_one(job_name="tests.job") == handle

    @pytest.mark.parametrize("error", [ValueError, Exception, "ValueError", "bad", None])
    def test_a_failure_is_told_by_its_class_or_text(self, error):
        assert_failed(make_status("failed", error=ValueError("bad")), error=error)

    @pytest.mark.parametrize("error", [KeyError, "worse"])
    def test_another_failure_shows_what_it_was(self, error):
        with pytest.raises(AssertionError, match="ValueError: bad"):
            assert_failed(make_status("failed", error=ValueError("bad")), error=error)

    def test_errors_that_are_no_exceptions_are_told_by_their_text(self):
        assert_failed(make_status("failed", error="disk full"), error="full")
        assert_failed(make_status("failed", error={"code": 7, "why": "übel"}), error="übel")
        with pytest.raises(AssertionError, match="without an error"):
            assert_failed(make_status("failed"), error="x")

    def test_another_state_shows_the_last_error(self):
        with pytest.raises(AssertionError, match=r"expected succeeded, job .* is failed, its last error:\s+boom"):
            assert_succeeded(make_status("failed", error="boom"))

    def test_other_data_are_shown(self):
        with pytest.raises(AssertionError, match=r"\[1\].*None"):
            assert_succeeded(make_status("succeeded"), data=[1])

    def test_counts_are_of_every_state(self):
        make_status("failed")
        make_status("queued", queue="q")

        assert_counts({"failed": 1, "queued": 1, "started": 0})
        assert_counts({"queued": 1}, queue="q")
        assert_counts({"failed": 1}, statuses.all().exclude(queue="q"))
        with pytest.raises(AssertionError, match=r"expected 1 failed of all jobs, there are 1 queued, 1 failed\n.*queued tests.job\n"):
            assert_counts({"failed": 1})

    def test_one_is_neither_none_nor_two(self):
        with pytest.raises(AssertionError, match="none"):
            assert_one(job_name="a")
        made = [statuses.create(job_name="a").id for _ in range(2)]
        with pytest.raises(AssertionError, match=rf"there are 2\n  {made[1]}"):
            assert_one(job_name="a")

    def test_a_job_that_is_not_there_is_named(self):
        with pytest.raises(AssertionError, match="no job 'x'"):
            assert_state("x", "queued")

    def test_a_word_that_is_no_state_is_a_mistake_of_the_test(self):
        with pytest.raises(ValueError, match="running"):
            assert_state(make_status(), "running")

    @pytest.mark.parametrize("state", ["queued", "unqueued", "unknown"])
    def test_a_job_that_never_ran_has_no_error(self, state):
        with pytest.raises(ValueError, match="error"):
            make_status(state, error="x")
