"""What depends on the kind of device that computes."""

from __future__ import annotations

import torch


def wait_for(device: torch.device) -> None:
    """Waits until ``device`` has done all that was asked of it, so that a clock tells how long that took."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def has_doubles(device: torch.device) -> bool:
    """Whether ``device`` computes in float64; Apple's does not."""
    return device.type != "mps"


def double_device(device: torch.device) -> torch.device:
    """``device`` if it computes in float64, else the CPU."""
    return device if has_doubles(device) else torch.device("cpu")
