"""Runs a stage where packages are imported already: ``python -m stages.warm -m stages.train round1``.

Importing torch and diffusers takes longer than a small stage's work. A server (stages/warm_server.py) has imported them
and forks itself for each stage. This process is its client: it hands over its arguments, environment and streams,
passes signals on, and ends as the stage ends. The first call finds no server: it starts one in the background and runs
its own stage as plain ``python`` would. So does a call whose server ends before it took the stage.

Where there is a GPU every call runs plainly: importing diffusers opens it, and an open GPU does not outlive a fork.
Libraries read the environment when they are loaded, so a server serves only calls of the same user, folder,
interpreter, environment and limits; others have their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

SERVER = Path(__file__).with_name("warm_server.py")
IDLE_SECONDS = 10.0
PACKAGES = (
    "pydantic.main",
    "torch",
    "accelerate",
    "diffusers",
    "diffusers.models.unets.unet_2d",
    "diffusers.pipelines.ddpm.pipeline_ddpm",
)
GPU_DEVICES = tuple(map(Path, ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")))  # CUDA, ROCm, either under WSL
VARIABLES_OF_ONE_CALL = ("DVC_STAGE", "OLDPWD", "SHLVL", "_")
PASSED_ON = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT,
    signal.SIGTSTP,
)  # fmt: skip


def main(arguments: list[str]) -> NoReturn:
    """Runs ``python`` with these arguments, ``-m MODULE ARGUMENT...``."""
    if sys.platform != "linux":
        _fail("Linux, as launch=warm needs it", sys.platform, "use launch=local", 2)
    if len(arguments) < 2 or arguments[0] != "-m":
        _fail("-m and a module", " ".join(arguments) or "nothing", "call it as dvc.yaml does", 2)
    if any(device.exists() for device in GPU_DEVICES):
        run_plainly(arguments)
    name = address()
    if start_server(name, IDLE_SECONDS):
        run_plainly(arguments)
    accepted = ask_server(name, arguments)
    if accepted is None:
        run_plainly(arguments)
    connection, stage = accepted
    pass_signals_on(stage)
    code = connection.recv(4)
    if not code:
        _fail("the end of the stage", "that of its server, which ends the stage", "run it again", os.EX_TEMPFAIL)
    end_as(struct.unpack("i", code)[0])


def address() -> bytes:
    """Abstract Unix address of the server: one for each state that a process inherits and a library may look at."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES_OF_ONE_CALL}
    umask = os.umask(0o077)
    os.umask(umask)
    process = [str(umask), *(Path("/proc/self", name).read_text() for name in ("cgroup", "limits"))]
    process += [str(Path("/proc/self/ns/mnt").readlink()), str(sorted(os.sched_getaffinity(0))), str(os.nice(0))]
    installed = Path(sysconfig.get_path("purelib")).stat().st_mtime_ns
    server = [sys.executable, *_options(), SERVER.read_text(), *PACKAGES]
    identity = json.dumps([os.getuid(), str(Path.cwd()), environment, process, installed, server], sort_keys=True)
    return b"\0straightflow-" + hashlib.sha256(identity.encode()).hexdigest().encode()


def start_server(name: bytes, idle_seconds: float) -> bool:
    """Starts a server in the background, unless the address is taken; clients can connect from now on."""
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(name)
        except OSError:
            return False
        listener.listen()
        arguments = [str(SERVER), str(listener.fileno()), str(idle_seconds), *PACKAGES]
        subprocess.Popen(
            [sys.executable, *_options(), "-P", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    return True


def ask_server(name: bytes, arguments: list[str]) -> tuple[socket.socket, int] | None:
    """The connection to the server and a pidfd of the stage; None if no server of this user takes it."""
    ignored = [int(number) for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
    told = {
        "arguments": arguments,
        "environment": dict(os.environ),
        "folder": str(Path.cwd()),
        "ignored_signals": ignored,
    }
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(name)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] != os.getuid():  # anyone may bind an abstract address
            return None
        with os.fdopen(os.memfd_create("request"), "w", encoding="ascii") as file:
            json.dump(told, file)
            file.flush()
            socket.send_fds(connection, [b"\0"], [0, 1, 2, file.fileno()])
        _, stages, _, _ = socket.recv_fds(connection, 1, 1)
    except OSError:
        return None
    return (connection, stages[0]) if stages else None


def pass_signals_on(stage: int) -> None:
    """Sends the stage, a pidfd, what this process is sent; both stop and go on together."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        # The stage is in no terminal's session, where SIGTSTP does nothing.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(stage, signal.SIGSTOP if number == signal.SIGTSTP else number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)


def end_as(code: int) -> NoReturn:
    """Ends with an exit code, or by the signal whose negative it is."""
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the stage has written its own
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def run_plainly(arguments: list[str]) -> NoReturn:
    """Becomes ``python`` with these arguments."""
    os.execv(sys.executable, [sys.executable, *_options(), *arguments])


def _options() -> list[str]:
    """The interpreter's own options, which stand before ``-m stages.warm``."""
    return sys.orig_argv[1 : sys.orig_argv.index("-m")]


def _fail(expected: str, found: str, mend: str, status: int) -> NoReturn:
    from pipeline.errors import StraightflowError  # takes as long to load as all the rest here

    print(f"error\n{StraightflowError(expected=expected, found=found, mend=mend)}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
