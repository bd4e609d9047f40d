"""A stage started through stages/warm.py is as one started by python, except for whose child it is."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from project_folders import OF_THIS_PROJECT

from stages import warm, warm_server

STAGE = """
import json, os, signal, sys

def stop(number, frame):
    print("stopped by", number, flush=True)
    sys.exit(75)

what, *more = sys.argv[1:]
if what == "tell":
    project = sorted(name for name in sys.modules if name.split(".")[0] in ("pipeline", "stages"))
    print(json.dumps({"parent": os.getppid(), "arguments": more, "folder": os.getcwd(), "path": sys.path[0],
                      "environment": dict(os.environ), "name": __name__, "project": project}))
elif what == "exit":
    sys.exit(int(more[0]))
elif what == "raise":
    raise RuntimeError("as it does")
elif what == "die":
    os.kill(os.getpid(), int(more[0]))
elif what == "echo":
    print(sys.stdin.read(), sys.stdout.isatty(), sys.stdout.line_buffering)
    print("to standard error", file=sys.stderr)
elif what == "wait":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCONT, lambda number, frame: print("went on", flush=True))
    print(os.getpid(), flush=True)
    while True:
        signal.pause()
"""
# The client as it is, with packages that take no time and a server that outlives a slow test.
CLIENT = """
import sys
from stages import warm
warm.PACKAGES, warm.IDLE_SECONDS, warm.GPU_DEVICES = ("json",), 600, ()
if sys.argv[1:] == ["address"]:
    print(warm.address().hex())
else:
    warm.main(sys.argv[1:])
"""


class Project:
    """A folder with a stage, and the servers that calls from it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[int] = []
        (folder / "stage.py").write_text(STAGE)
        (folder / "client.py").write_text(CLIENT)

    def popen(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "client", *arguments],
            cwd=self.folder,
            env=os.environ | OF_THIS_PROJECT | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.popen("-m", "stage", *arguments, **environment)
        out, err = process.communicate(text)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def parent(self, **environment: str) -> int:
        """Whose child a stage is: this process's own, if it ran plainly."""
        return int(json.loads(self.call("tell", **environment).stdout)["parent"])

    def start(self, **environment: str) -> int:
        """Starts a server, which serves the second call; its process number."""
        assert self.parent(**environment) == os.getpid()
        server = self.parent(**environment)
        assert b"warm_server.py" in Path(f"/proc/{server}/cmdline").read_bytes()
        self.servers.append(os.pidfd_open(server))
        return server

    def address(self) -> bytes:
        return bytes.fromhex(self.popen("address").communicate()[0])


@pytest.fixture(autouse=True)
def heeded_interrupts() -> Iterator[None]:
    """Background jobs of a shell start with SIGINT ignored, and so does what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    found = Project(tmp_path)
    yield found
    for server in found.servers:
        kill(server)
        os.close(server)


def kill(pidfd: int) -> None:
    """Kills a process, if it has not ended, and waits for its end."""
    if not select.select([pidfd], [], [], 0)[0]:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    wait_for_end(pidfd)


def wait_for_end(pidfd: int) -> None:
    select.select([pidfd], [], [])


@pytest.fixture
def waiting(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A client whose stage waits for signals, and a pidfd of that stage."""
    project.start()
    client = project.popen("-m", "stage", "wait")
    assert client.stdout is not None
    stage = os.pidfd_open(int(client.stdout.readline()))
    yield client, stage
    client.kill()
    client.communicate()
    os.close(stage)


def test_a_stage_gets_what_a_plain_one_gets_and_nothing_of_the_project_is_there_before_it(project: Project) -> None:
    plain, server = json.loads(project.call("tell", "a", "b c").stdout), project.parent()
    project.servers.append(os.pidfd_open(server))
    served = json.loads(project.call("tell", "a", "b c").stdout)
    assert (plain.pop("parent"), served.pop("parent")) == (os.getpid(), server)
    assert served == plain
    assert served["arguments"] == ["a", "b c"]
    assert served["folder"] == served["path"] == str(project.folder.resolve())
    assert served["project"] == []


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("exit", "0"), 0), (("exit", "75"), 75), (("raise",), 1)]
    + [(("die", str(int(number))), -number) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)],
)
def test_a_call_ends_as_its_stage(project: Project, served: bool, arguments: tuple[str, ...], code: int) -> None:
    if served:
        project.start()
    else:
        project = Unserved(project.folder)
    done = project.call(*arguments)
    assert done.returncode == code
    assert ("RuntimeError: as it does" in done.stderr) == (arguments == ("raise",))


class Unserved(Project):
    """Calls through python alone, to compare with."""

    def popen(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | OF_THIS_PROJECT | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def test_streams_are_those_of_the_call(project: Project) -> None:
    project.start()
    done = project.call("echo", text="from standard input")
    assert done.stdout == "from standard input False False\n"
    assert done.stderr == "to standard error\n"


def test_a_terminal_is_one_for_the_stage(project: Project) -> None:
    project.start()
    terminal, for_stage = os.openpty()
    command = [sys.executable, "-m", "client", "-m", "stage", "echo"]
    environment = os.environ | OF_THIS_PROJECT
    subprocess.run(command, cwd=project.folder, env=environment, stdin=subprocess.DEVNULL, stdout=for_stage, check=True)
    os.close(for_stage)
    with os.fdopen(terminal) as stream:
        assert stream.readline() == " True True\n"


def test_code_that_changes_between_two_stages_is_seen(project: Project) -> None:
    server = project.start()
    (project.folder / "stage.py").write_text("import helper")
    for text in ("the first", "another"):
        (project.folder / "helper.py").write_text(f"import os; print({text!r}, os.getppid())")
        assert project.call().stdout == f"{text} {server}\n"


def test_a_server_serves_one_environment_and_any_stage(project: Project) -> None:
    server = project.start()
    assert project.parent(DVC_STAGE="train@round1") == server
    assert project.start(OMP_NUM_THREADS="2") != server
    assert project.parent() == server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGTSTP])
def test_signals_reach_the_stage(waiting: tuple[subprocess.Popen[str], int], number: signal.Signals) -> None:
    client, stage = waiting
    client.send_signal(number)
    if number == signal.SIGTSTP:
        _, status = os.waitpid(client.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        client.send_signal(signal.SIGCONT)
        assert client.stdout is not None
        assert client.stdout.readline() == "went on\n"
        client.terminate()
    out, _ = client.communicate()
    assert (out, client.returncode) == (f"stopped by {int(signal.SIGTERM)}\n", 75)
    wait_for_end(stage)


def test_a_stage_ends_with_its_client(waiting: tuple[subprocess.Popen[str], int]) -> None:
    client, stage = waiting
    client.kill()
    wait_for_end(stage)


def test_a_stage_ends_with_its_server_and_the_call_says_so(
    project: Project, waiting: tuple[subprocess.Popen[str], int]
) -> None:
    client, stage = waiting
    kill(project.servers[0])
    wait_for_end(stage)
    _, err = client.communicate()
    assert client.returncode == 75
    assert "server" in err
    assert project.parent() == os.getpid()  # and starts another
    project.servers.append(os.pidfd_open(project.parent()))


@pytest.mark.parametrize("reads", [False, True])
def test_a_call_whose_server_ends_before_it_took_the_stage_runs_plainly(project: Project, reads: bool) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(project.address())
        listener.listen()
        client = project.popen("-m", "stage", "tell")
        connection, _ = listener.accept()
        with connection:
            if reads:
                for descriptor in socket.recv_fds(connection, 1, 4)[1]:
                    os.close(descriptor)
        out, _ = client.communicate()
    assert json.loads(out)["parent"] == os.getpid()


def test_neither_end_trusts_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # any abstract address
        listener.listen()
        assert warm.ask_server(listener.getsockname(), ["-m", "stage"]) is None
        with listener.accept()[0] as connection:
            assert connection.recv(1) == b""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(theirs, [b"\0"], [0, 0, 0, 0])
        assert warm_server._received(ours) is None
        monkeypatch.setattr(os, "getuid", lambda: user)
        socket.send_fds(theirs, [b"\0"], [0, 0, 0, 0])
        taken = warm_server._received(ours)
        assert taken is not None
        for descriptor in taken:
            os.close(descriptor)
        socket.send_fds(theirs, [b"\0"], [0, 0, 0, 0])
        theirs.close()
        assert warm_server._received(ours) is None  # nobody waits for it any more


def test_where_there_is_a_gpu_no_server_is_asked(project: Project) -> None:
    server = project.start()
    client = project.folder / "client.py"
    client.write_text(CLIENT.replace("600, ()", f"600, (warm.Path({str(project.folder)!r}),)"))
    assert project.parent() == os.getpid()
    client.write_text(CLIENT)
    assert project.parent() == server


def test_an_idle_server_ends_after_it_served_who_waits(project: Project) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        address = project.address()
        listener.bind(address)
        listener.listen()
        client = project.popen("-m", "stage", "exit", "3")
        select.select([listener], [], [])
        command = [sys.executable, "-P", str(warm.SERVER), str(listener.fileno()), "0"]
        server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    client.communicate()
    assert client.returncode == 3
    assert server.wait() == 0
    with socket.socket(socket.AF_UNIX) as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(address)


def test_its_packages_exist_and_a_wrong_call_is_refused(tmp_path: Path) -> None:
    for name in warm.PACKAGES:
        __import__(name)
    command = [sys.executable, "-m", "stages.warm", "train"]
    refused = subprocess.run(command, cwd=tmp_path, env=os.environ | OF_THIS_PROJECT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "as dvc.yaml does" in refused.stderr
