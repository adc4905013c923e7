"""How a command that runs all the time is ended."""

import os
import select
import signal
import threading
from typing import Any

#: What ends a loop.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Whether somebody asked this process to end, and a pause that this cuts short. The batch in hand is finished, no other
    begins. Outside the main thread, where no handler can stand, whoever runs the command ends it."""

    def __init__(self, wanted: bool) -> None:
        self.asked = False
        self._wanted = wanted and threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Ending":
        # A pipe, not an event: a handler that takes an event's lock while the same thread holds it would wait for ever.
        self._read, self._write = os.pipe()
        if self._wanted:
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)

    def _ask(self, *_: object) -> None:
        self.asked = True
        os.write(self._write, b"!")

    def wait(self, seconds: float) -> bool:
        """Pause, no longer than until somebody asks; whether somebody did."""
        select.select([self._read], [], [], seconds)
        return self.asked
