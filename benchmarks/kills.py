"""Runs that are killed at random moments and started again, compared with one that was left alone.

    python -m benchmarks.kills                        # 20 kills of the preset toy_smoke
    python -m benchmarks.kills --kills 40 --seed 1

A run is ``dvc repro`` in a copy of the project, in a process group of its own. SIGKILL reaches the whole group at
moments drawn from the seed; the run is started again until it ends, and copies follow each other until there were
enough kills. Every file that the stages leave must then be that of the uninterrupted run, byte for byte; in tables and
JSON what is measured by a clock or by the memory in use is left out. The exit status is 1 if a file differs or a run
cannot go on.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OUTPUTS = ("data", "models", "couplings", "samples", "metrics", "inputs")
MEASURED_BY_A_CLOCK = {"seconds", "images_per_second", "seconds_per_1000", "peak_memory_mib"}
TRAININGS = ("teacher.train", "flows.flow", "students.round1", "students.round2", "students.few_step")
CHECKPOINT_EVERY_STEPS = 5
LOCK = Path(".dvc/tmp/rwlock")


@dataclass
class Counts:
    """What happened.

    Attributes:
        kills: Groups that were killed while at work.
        runs: Runs that ended, and were compared.
        other_signals: Runs that ended by a signal of somebody else, and were started again as well.
        broken_locks: Kills after which DVC could not read its own lock.
        leftovers: Files in folders of outputs that the uninterrupted run does not have.
        different: Files that are not those of the uninterrupted run, or are missing.
        stages_killed: Kills by the stage that was at work.
    """

    kills: int = 0
    runs: int = 0
    other_signals: int = 0
    broken_locks: int = 0
    leftovers: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    stages_killed: dict[str, int] = field(default_factory=dict)


def copied_project(folder: Path, preset: str) -> Path:
    """A repository with every file that git knows, as it is now, composed from ``preset`` with frequent checkpoints."""
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, encoding="utf-8").stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    settings = [f"{training}.checkpoint_every_steps={CHECKPOINT_EVERY_STEPS}" for training in TRAININGS]
    command = [sys.executable, "-m", "stages.commands", "compose", preset, *(f"-S{setting}" for setting in settings)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def start(project: Path, log: Path) -> subprocess.Popen[bytes]:
    """Starts ``dvc repro`` as the leader of a new process group; what it prints goes to the end of ``log``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=project,
            env=os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill_group(leader: subprocess.Popen[bytes]) -> None:
    """Kills a process and all of its group at once, and waits until none of them is left."""
    os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
    while True:
        try:
            os.killpg(leader.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)


def content_of(path: Path) -> bytes:
    """What a file holds, without what is measured by a clock."""
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(path.read_text("utf-8")))).encode()
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            return json.dumps([_timeless(row) for row in csv.DictReader(stream)]).encode()
    return path.read_bytes()


def _timeless(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _timeless(value) for name, value in content.items() if name not in MEASURED_BY_A_CLOCK}
    return [_timeless(value) for value in content] if isinstance(content, list) else content


def outputs_of(project: Path) -> dict[str, str]:
    """SHA-256 of every output of a run, by its path in the project."""
    files = (path for name in OUTPUTS for path in sorted((project / name).rglob("*")) if path.is_file())
    return {str(path.relative_to(project)): hashlib.sha256(content_of(path)).hexdigest() for path in files}


def finish_with_kills(project: Path, moments: random.Random, longest: float, counts: Counts) -> None:
    """Starts a run again and again, and kills it after up to ``longest`` seconds each time, until it ends.

    Raises:
        RuntimeError: If it ends by itself without success.
    """
    log = project.with_suffix(".log")
    while True:
        offset = log.stat().st_size if log.exists() else 0
        running = start(project, log)
        try:
            status = running.wait(timeout=moments.uniform(0, longest))
        except subprocess.TimeoutExpired:
            kill_group(running)
            counts.kills += 1
            stage = _last_stage(log, offset)
            counts.stages_killed[stage] = counts.stages_killed.get(stage, 0) + 1
            print(f"kill {counts.kills} in {stage}", flush=True)
            continue
        if status == 0:
            return
        if status < 0:
            counts.other_signals += 1
            continue
        if not _is_mapping(project / LOCK):
            counts.broken_locks += 1
            (project / LOCK).unlink()
            continue
        with log.open("rb") as stream:
            stream.seek(offset)
            raise RuntimeError(f"the run ended with status {status}:\n{stream.read().decode()[-3000:]}")


def _last_stage(log: Path, offset: int) -> str:
    """The stage that was at work when the log ended."""
    with log.open("rb") as stream:
        stream.seek(offset)
        lines = stream.read().decode(errors="replace").splitlines()
    started = [line.split("'")[1] for line in lines if line.startswith("Running stage '")]
    return started[-1] if started else "DVC's own start"


def _is_mapping(lock: Path) -> bool:
    """Whether DVC can read its lock; an absent one will do."""
    if not lock.exists():
        return True
    try:
        return isinstance(json.loads(lock.read_text("utf-8")), dict)
    except ValueError:
        return False


def compare(expected: dict[str, str], found: dict[str, str], counts: Counts) -> None:
    """Adds to ``counts`` what differs."""
    counts.runs += 1
    counts.leftovers += [f"run {counts.runs}: {name}" for name in found if name not in expected]
    counts.different += [
        f"run {counts.runs}: {name} {'differs' if name in found else 'is missing'}"
        for name, digest in expected.items()
        if found.get(name) != digest
    ]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="kills to reach before the last run ends")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--preset", choices=("toy_smoke",), default="toy_smoke")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the copies are made; a temporary folder if left out"
    )
    arguments = parser.parse_args()
    moments, counts = random.Random(arguments.seed), Counts()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        # Once, as the project may be worked on meanwhile.
        fresh = copied_project(folder / "fresh", arguments.preset)
        alone = shutil.copytree(fresh, folder / "alone")
        began = time.monotonic()
        if start(alone, folder / "alone.log").wait() != 0:
            raise SystemExit((folder / "alone.log").read_text("utf-8")[-3000:])
        whole = time.monotonic() - began
        expected = outputs_of(alone)
        print(f"uninterrupted: {whole:.0f} s, {len(expected)} files", flush=True)
        while counts.kills < arguments.kills:
            project = shutil.copytree(fresh, folder / f"killed{counts.runs + 1}")
            finish_with_kills(project, moments, whole / 3, counts)
            compare(expected, outputs_of(project), counts)
    print(f"{counts.kills} kills, {counts.runs} runs, {len(expected)} files compared in each")
    print("kills by stage: " + ", ".join(f"{stage} {count}" for stage, count in sorted(counts.stages_killed.items())))
    print(f"signals of others: {counts.other_signals}; DVC's lock unreadable: {counts.broken_locks}")
    for title, found in (("different", counts.different), ("left over", counts.leftovers)):
        print(f"{title}: {len(found)}", *found, sep="\n  ")
    raise SystemExit(1 if counts.different or counts.leftovers else 0)


if __name__ == "__main__":
    main()
