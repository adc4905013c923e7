"""How a command that runs all the time is ended: at once, whatever it is about."""

import os
import signal
import sys
import threading
import time

import pytest

from jobadmin.ending import Ending


def test_a_pause_ends_with_the_first_of_many_signals():
    before = signal.getsignal(signal.SIGTERM)

    with Ending(True) as ending:
        assert not ending.wait(0.01) and not ending.asked
        shot = threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(200)])
        began = time.monotonic()
        shot.start()
        assert ending.wait(60) and ending.asked
        shot.join()

    assert time.monotonic() - began < 30
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_between_two_pauses_is_not_lost():
    with Ending(True) as ending:
        os.kill(os.getpid(), signal.SIGINT)
        while not ending.asked:  # handlers run between two steps of Python
            sys.getrecursionlimit()
        began = time.monotonic()

        assert ending.wait(60)

    assert time.monotonic() - began < 30


def test_outside_of_a_loop_nothing_is_caught():
    before = signal.getsignal(signal.SIGINT)

    with Ending(False):
        assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def interruptible():
    """As in a shell's foreground: a shell lets what it starts in the background ignore Ctrl-C, and so what that starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_who_asks_a_second_time_does_not_wait_for_the_batch_in_hand():
    with pytest.raises(KeyboardInterrupt), Ending(True, once=True) as ending:
        signal.raise_signal(signal.SIGINT)
        assert ending.asked
        signal.raise_signal(signal.SIGINT)
