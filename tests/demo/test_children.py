"""Processes of the demo: their logs, waits and ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobadmin.demo import children, watchdog
from jobadmin.demo.children import Child, Watchdog

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('there', flush=True); time.sleep(600)"


@pytest.fixture
def guard():
    dog = Watchdog()
    yield dog
    dog.close()


def child(guard: Watchdog, log: Path, script: str) -> Child:
    made = Child(name="worker", command=[sys.executable, "-c", script], environ=dict(os.environ), log=log, watchdog=guard)
    made.start()
    return made


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_that_does_not_listen_is_killed_with_its_own_children(guard, tmp_path):
    log = tmp_path / "log"
    made = child(guard, log, f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {STUBBORN}")
    wait_for(log, "there\nthere")
    group = made.process.pid

    made.ask_to_end()
    made.end(time.monotonic() + 0.3)

    assert not _runs(group)


def test_the_watchdog_ends_what_is_left(tmp_path):
    dog = Watchdog()
    log = tmp_path / "log"
    made = child(dog, log, "import time; print('there', flush=True); time.sleep(600)")
    wait_for(log, "there")
    waiting = threading.Thread(target=made.process.wait)  # as the system does once the supervisor is gone
    waiting.start()

    dog.close()

    waiting.join()
    assert made.process.returncode == -signal.SIGTERM


def test_the_watchdog_leaves_alone_what_has_ended(tmp_path):
    dog = Watchdog()
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    dog.tell("child", bystander.pid)
    dog.tell("gone", bystander.pid)

    dog.close()

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_the_wait_grows_with_each_early_death_and_shrinks_after_a_long_life(guard, tmp_path):
    made = child(guard, tmp_path / "log", "")
    made.process.wait()

    waits = [made.next_wait_seconds() for _ in range(9)]
    made.started_at -= children.SOUND_SECONDS + 1

    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[-1] == children.LONGEST_BACKOFF_SECONDS
    assert made.next_wait_seconds() == children.FIRST_BACKOFF_SECONDS


def test_a_log_that_has_grown_big_begins_anew(guard, tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_text("old\n" * 10)
    monkeypatch.setattr(children, "LOG_BYTES", 10)

    made = child(guard, log, "print('new')")
    made.process.wait()

    assert made.last_words() == "new"


def _runs(group: int) -> bool:
    """Whether a process of the group still does anything: one that ended unseen by its parent does not."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(line.split()[0] == str(group) and not line.split()[1].startswith("Z") for line in listed.splitlines())


def test_a_group_is_there_while_a_process_of_it_is():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

    assert watchdog.is_there(process.pid)
    process.kill()
    process.wait()
    assert not watchdog.is_there(process.pid)
