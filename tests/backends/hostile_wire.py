"""A wire on loopback that can be cut, or go dead, between a client and a server that stays as it is."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """Listens on a port of its own, and passes bytes on to another, in both directions."""

    def __init__(self, port):
        self._to = port
        self._pairs = []
        self._passes = threading.Event()
        self._passes.set()
        self._listener = None
        self.port = 0
        self.mend()

    def mend(self):
        """Listen, at the same port as before, and pass everything on."""
        self._passes.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self):
        """End every connection, and refuse new ones: the server died."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair):
            _end(end)

    def deaden(self):
        """Take everything, pass on nothing, say nothing: the server hangs."""
        self._passes.clear()

    def close(self):
        self.cut()
        self._passes.set()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                near.close()
                continue
            self._pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while piece := one.recv(1 << 16):
                self._passes.wait()
                other.sendall(piece)
        for end in (one, other):
            _end(end)


def _end(end):
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
