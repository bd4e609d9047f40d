"""What depends on the kind of device that computes."""

from __future__ import annotations

import torch


def wait_for(device: torch.device) -> None:
    """Waits until ``device`` has done all that was asked of it, so that a clock tells how long that took."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def double_device(device: torch.device) -> torch.device:
    """``device`` if it computes in float64, else the CPU; Apple's does not."""
    return torch.device("cpu") if device.type == "mps" else device
