"""The device that a benchmark is asked to run on."""

from __future__ import annotations

import os

import torch

from pipeline.system.errors import StraightflowError


def require_device(device: str) -> None:
    """Checks that ``device`` is what everything in this process will run on; call it before anything looks for GPUs.

    Args:
        device: ``cpu``, which leaves a GPU that is there alone, or ``cuda``.

    Raises:
        StraightflowError: If there is no GPU, and one is asked for.
    """
    if device == "cpu":
        # Before torch first looks for GPUs, which it does once.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    found = "cuda" if torch.cuda.is_available() else "cpu"
    if found != device:
        raise StraightflowError(
            expected=f"everything to run on {device}",
            found=f"{found} alone",
            mend="choose another device, or a machine, and a torch, that have this one",
        )
