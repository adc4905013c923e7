"""A line to the server that can be cut at the worst moment: when the server has done what it was told, and says so."""

import contextlib
import socket
import threading
from pathlib import Path
from typing import Self

from statuses.lua import source


class Proxy:
    """Passes bytes between clients and a server's socket, both ways, until a cut is ordered."""

    def __init__(self, folder: Path, upstream: Path | str) -> None:
        self.path = folder / "proxy.sock"
        self.url = f"unix://{self.path}"
        self.upstream = str(upstream)
        self.cuts = 0
        """Cuts that were made."""
        self._lines: list[_Line] = []
        #: Held while a line is made and while all are turned: one that is only half made would go on to where it led.
        self._turning = threading.Lock()
        self._rule: tuple[bytes, bool, int] | None = None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # else who waits for the next client waits for ever
        self._listener.close()

    def cut(self, script: str, *, reply: bool = True, times: int = 1) -> None:
        """Cut the line at the next call of a script: in place of its reply, or (`reply=False`) before the server gets it."""
        self.cuts = 0
        self._rule = (source.sha(script).encode(), reply, times)

    def turn_to(self, upstream: Path | str) -> None:
        """Lead to another server from now on; the lines to the one before break."""
        with self._turning:
            self.upstream = str(upstream)
            lines, self._lines = self._lines, []
        for line in lines:
            line.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with self._turning:
                try:
                    server.connect(self.upstream)
                except OSError:
                    client.close()
                    continue
                self._lines.append(_Line(self, client, server))


class _Line:
    """One connection."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.doomed = False
        threading.Thread(target=self._requests, daemon=True).start()
        threading.Thread(target=self._replies, daemon=True).start()

    def _requests(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.client.recv(1 << 20):
                rule = self.proxy._rule
                if rule and rule[0] in data:
                    name, reply, times = rule
                    self.proxy._rule = (name, reply, times - 1) if times > 1 else None
                    self.proxy.cuts += 1
                    if not reply:
                        break
                    self.doomed = True
                self.server.sendall(data)
        self.close()

    def _replies(self) -> None:
        with contextlib.suppress(OSError):
            while (data := self.server.recv(1 << 20)) and not self.doomed:
                self.client.sendall(data)
        self.close()

    def close(self) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
