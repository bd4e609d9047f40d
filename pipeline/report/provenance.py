"""What made the report: code revision, package versions, machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.graph import Config

PACKAGES = (
    "torch", "torchvision", "diffusers", "accelerate", "datasets", "torchdiffeq", "clean-fid", "scipy", "numpy", "dvc",
)  # fmt: skip
CODE_PATHS = ("pipeline", "stages", "configs", "params.yaml", "dvc.yaml")


@dataclass(frozen=True)
class Provenance:
    """Where the numbers come from.

    Attributes:
        revision: Git revision, with a note if the code differs from it; or why it is unknown.
        python: Version of Python.
        packages: Version of each package that numbers depend on; ``not installed`` where missing.
        cpu: Model name of the processor.
        num_cores: Logical cores this process may use.
        system: Operating system.
    """

    revision: str
    python: str
    packages: dict[str, str]
    cpu: str
    num_cores: int
    system: str


def collect_provenance(root: Path) -> Provenance:
    """Describes the code in ``root``, the installed packages and this machine; never fails."""
    return Provenance(
        revision=git_revision(root),
        python=platform.python_version(),
        packages={name: _version(name) for name in PACKAGES},
        cpu=_cpu_model(),
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
    )


def parameters(config: Config) -> dict[str, Any]:
    """The whole configuration as plain values."""
    return config.model_dump(mode="json")


def git_revision(root: Path) -> str:
    """Commit of ``root``, and whether code or configuration differ from it; else ``unknown`` and the reason."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return "unknown (not a git repository, or git cannot be used here)"
    # Only code and configuration: metrics always differ while the pipeline is writing them.
    changed = _git(root, "status", "--porcelain", "--", *CODE_PATHS)
    return f"{commit}, with uncommitted changes to code or configuration" if changed else commit


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, encoding="utf-8", errors="replace", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
