"""The process behind stages/warm.py: it has imported packages, and forks itself for each stage.

``python -P stages/warm_server.py LISTENER IDLE_SECONDS PACKAGE...``, where LISTENER is the descriptor of a socket that
listens already: clients wait there until the packages are imported. It ends after IDLE_SECONDS without a client.

It imports nothing of this project, whose code may change while it lives: each stage imports that anew.

A request is one byte with four descriptors: the stage's standard input, output and error, and a file that holds the
rest as JSON. The answer is one byte with a pidfd of the stage, then its return code, negative for a signal. A stage is
killed when its client or this server is gone.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

_PR_SET_PDEATHSIG = 1  # of linux/prctl.h
_UCRED = "3i"  # struct ucred of unix(7): pid, uid, gid


@dataclass(frozen=True)
class Stage:
    """A running stage, and the connection to the client that waits for it."""

    pid: int
    pidfd: int
    connection: socket.socket


class Server:
    """Starts a stage for each client.

    Args:
        listener: Where clients connect.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._pid, self._libc = os.getpid(), ctypes.CDLL(None)
        # poll(2) leaves nothing in the kernel that a stage would share with the server.
        self._selector = selectors.PollSelector()
        self._selector.register(listener, selectors.EVENT_READ, self._connect)

    def serve(self, idle_seconds: float) -> list[int] | None:
        """Handles one event after the other.

        Returns:
            In the process of a stage, the descriptors of its request; in the server, None after ``idle_seconds``
            without a client.
        """
        while ready := self._selector.select(None if len(self._selector.get_map()) > 1 else idle_seconds):
            request: list[int] | None = ready[0][0].data()
            if request is not None:
                return request
        self._listener.close()
        return None

    def _connect(self) -> None:
        connection, _ = self._listener.accept()
        self._selector.register(connection, selectors.EVENT_READ, partial(self._start, connection))

    def _start(self, connection: socket.socket) -> list[int] | None:
        """Forks for a request, and returns it in the new process."""
        self._selector.unregister(connection)
        request = _received(connection)
        if request is None:
            connection.close()
            return None
        pid = os.fork()
        if pid == 0:
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != self._pid:  # it was killed before this process could ask to be told
                os._exit(1)
            os.setpgid(0, 0)  # signals that a stage sends to its group are not for the server
            for descriptor in [connection.fileno(), *(key.fd for key in self._selector.get_map().values())]:
                os.close(descriptor)
            return request
        for descriptor in request:
            os.close(descriptor)
        stage = Stage(pid, os.pidfd_open(pid), connection)
        self._selector.register(connection, selectors.EVENT_READ, partial(self._kill, stage))
        self._selector.register(stage.pidfd, selectors.EVENT_READ, partial(self._report, stage))
        with suppress(OSError):  # that a client is gone shows on its connection
            socket.send_fds(connection, [b"\0"], [stage.pidfd])
        return None

    def _kill(self, stage: Stage) -> None:
        """Clients have no more to say after their request, so this one is gone."""
        self._selector.unregister(stage.connection)
        signal.pidfd_send_signal(stage.pidfd, signal.SIGKILL)

    def _report(self, stage: Stage) -> None:
        """The stage has ended: tells its client how."""
        code = os.waitstatus_to_exitcode(os.waitpid(stage.pid, 0)[1])
        with suppress(OSError):
            stage.connection.sendall(struct.pack("i", code))
        self._selector.unregister(stage.pidfd)
        with suppress(KeyError):  # its client is gone
            self._selector.unregister(stage.connection)
        os.close(stage.pidfd)
        stage.connection.close()


def _received(connection: socket.socket) -> list[int] | None:
    """The descriptors of a request; None if it is none, came from another user, or its client is gone."""
    descriptors: list[int] = []
    with suppress(OSError):
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 4)
        if len(descriptors) == 4 and _uid(connection) == os.getuid() and _is_open(connection):
            return descriptors
    for descriptor in descriptors:
        os.close(descriptor)
    return None


def _uid(connection: socket.socket) -> int:
    """The user at the other end: an abstract socket has no permissions."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(_UCRED))
    return int(struct.unpack(_UCRED, credentials)[1])


def _is_open(connection: socket.socket) -> bool:
    """Whether the other end still waits; clients may have been stopped while the packages were imported."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True


def run_stage(request: list[int]) -> None:
    """Runs a request as ``python -m MODULE ARGUMENT...`` would."""
    *streams, content = request
    with os.fdopen(content, encoding="ascii") as file:
        file.seek(0)
        told = json.load(file)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    for number in told["ignored_signals"]:
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    sys.path.insert(0, told["folder"])
    if "numpy" in sys.modules:  # as in a new process; random does so by itself
        sys.modules["numpy"].random.seed()
    _, module, *arguments = told["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Ending:
    """Ends a process that has done its work without taking all its objects apart, half a second for torch's.

    What is registered with atexit afterwards still runs, before it.
    """

    def __init__(self) -> None:
        self.is_good = False
        atexit.register(self._end)

    def _end(self) -> None:
        if self.is_good:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)


def main() -> None:
    """Imports and serves; in the process of a stage, goes on as that stage."""
    ending = Ending()
    listener, idle_seconds, *packages = sys.argv[1:]
    for package in packages:
        importlib.import_module(package)
    gc.collect()
    gc.freeze()
    request = Server(socket.socket(fileno=int(listener))).serve(float(idle_seconds))
    if request is not None:
        run_stage(request)
    ending.is_good = True


if __name__ == "__main__":
    main()
