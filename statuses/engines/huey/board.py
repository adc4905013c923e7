"""What the forked workers of one consumer run, in memory that they share with it.

A pipe could fill and hold a job up; here each worker has a place of its own, and whoever reads while it is written reads nothing.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import re
import struct
import zlib
from collections.abc import Sequence

#: Bytes of a place; an id that needs more is not told.
PLACE = 1024
#: The worker's process, and length and checksum of the id behind it.
_HEAD = struct.Struct("<qII")
#: How Huey names the processes of its workers.
_NAME = re.compile(r"Worker-(\d+)")


class Board:
    """A place for each worker. Made by the consumer before it forks them."""

    def __init__(self, workers: int) -> None:
        self._memory = mmap.mmap(-1, PLACE * max(workers, 1))
        self._workers = workers

    def write(self, id: str) -> None:
        """Say what this worker runs from now on; empty: nothing."""
        found = _NAME.fullmatch(multiprocessing.current_process().name)
        data = id.encode()
        if found is None or int(found[1]) > self._workers or len(data) > PLACE - _HEAD.size:
            return
        place = (int(found[1]) - 1) * PLACE
        self._memory[place + _HEAD.size : place + _HEAD.size + len(data)] = data
        self._memory[place : place + _HEAD.size] = _HEAD.pack(os.getpid(), len(data), zlib.crc32(data))

    def read(self, pids: Sequence[int | None]) -> list[str]:
        """What these processes run, each in its worker's place; what one wrote that has gone is no longer true."""
        found = (self._read(number * PLACE, pid) for number, pid in enumerate(pids[: self._workers]))
        return sorted(filter(None, found))

    def _read(self, place: int, pid: int | None) -> str:
        writer, length, checksum = _HEAD.unpack(self._memory[place : place + _HEAD.size])
        data = self._memory[place + _HEAD.size : place + _HEAD.size + min(length, PLACE - _HEAD.size)]
        return data.decode() if writer == pid and zlib.crc32(data) == checksum else ""
