"""Projects in temporary folders, and the commands that tests run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# Environment to run this project's code from another folder, on one thread of the CPU.
OF_THIS_PROJECT = {
    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


def fresh_copy(folder: Path) -> None:
    """Copies every tracked file in its present state, and makes the copy a git repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def bare_project(folder: Path, params: dict[str, Any], graph: dict[str, Any]) -> None:
    """A repository with nothing but a configuration and a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text(yaml.safe_dump(graph))
    # As in this project's own settings, and for `dvc init` itself: else each command leaves processes behind that ask
    # the network.
    quiet = os.environ | {"DVC_NO_ANALYTICS": "1", "DVC_TEST": "1"}
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, env=quiet, check=True)
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")


def commit(folder: Path) -> None:
    """Commits everything in a repository."""
    person = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for command in (["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *person, *command], cwd=folder, check=True)


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a module in ``folder`` with this interpreter, which is also the ``python`` of commands that it starts."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path} | environment, capture_output=True, text=True, check=False
    )


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """What :func:`call` printed; fails if the call failed."""
    done = call(folder, *arguments, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def launch(script: str, folder: Path, num_processes: int, *more: str) -> None:
    """Runs a script of these tests in several processes, with the folder, their number and ``more`` as arguments."""
    processes = ("torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}")
    run(
        folder,
        *processes,
        str(ROOT / "tests/helpers" / script),
        str(folder),
        str(num_processes),
        *more,
        **OF_THIS_PROJECT,
    )
