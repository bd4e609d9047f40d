"""Code run in a process of its own, as a script is.

It begins with torch and diffusers imported, which take seconds, and can import nothing of this project, wherever it is
installed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from pathlib import Path

IMPORTED = (
    "torch",
    "diffusers.models.autoencoders",
    "diffusers.models.transformers.dit_transformer_2d",
    "diffusers.models.unets.unet_2d",
    "diffusers.pipelines.ddim.pipeline_ddim",
    "diffusers.pipelines.dit.pipeline_dit",
    "diffusers.schedulers",
)

OF_THIS_PROJECT = ("benchmarks", "helpers", "pipeline", "stages")


def execute(code: str, folder: Path) -> tuple[int, str]:
    """Exit code of ``code`` in ``folder``, on one thread of the CPU, and what it printed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    printed = folder.parent / f"{folder.name}.printed"
    process = context.Process(target=_script, args=(code, str(folder), str(printed)))
    process.start()
    process.join()
    return process.exitcode or 0, printed.read_text("utf-8")


def _script(code: str, folder: str, printed: str) -> None:
    with Path(printed).open("w", encoding="utf-8") as log, contextlib.redirect_stdout(log):
        os.dup2(log.fileno(), 2)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        sys.modules |= dict.fromkeys(OF_THIS_PROJECT)  # None: not to be imported
        import torch

        torch.set_num_threads(1)
        os.chdir(folder)
        exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
