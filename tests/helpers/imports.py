"""Modules that a piece of code imports, found in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from helpers.project_folders import OF_THIS_PROJECT, ROOT


def modules_imported(code: str) -> set[str]:
    """Names of the modules, including packages, that a new process has imported after running ``code``."""
    whole = f"{textwrap.dedent(code)}\nimport sys\nprint('modules', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", whole],
        cwd=ROOT,
        env=os.environ | OF_THIS_PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])
