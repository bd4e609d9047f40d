"""What depends on the kind of device that computes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from pipeline.system.memory import memory_at_hand


def wait_for(device: torch.device) -> None:
    """Waits until ``device`` has done all that was asked of it, so that a clock tells how long that took."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def main_device() -> torch.device:
    """Where a stage of one process computes: the first GPU, or the CPU where there is none."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def float32_convolutions() -> AbstractContextManager[None]:
    """A region in which cuDNN convolves float32 as such; it takes TF32 otherwise, whose mantissa has 10 bits."""
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def has_doubles(device: torch.device) -> bool:
    """Whether ``device`` computes in float64; Apple's does not."""
    return device.type != "mps"


def double_device(device: torch.device) -> torch.device:
    """``device`` if it computes in float64, else the CPU."""
    return device if has_doubles(device) else torch.device("cpu")


@dataclass(frozen=True)
class DeviceMemory:
    """Memory that a process can still take on its device.

    Attributes:
        device: What it is, for a person.
        num_bytes: How much; None where the system does not tell.
    """

    device: str
    num_bytes: int | None


def device_memory() -> DeviceMemory:
    """That of the GPU with the least left, as each process has one; of this machine where there is none."""
    if not torch.cuda.is_available():
        return DeviceMemory("the CPU", memory_at_hand())
    left = {index: torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())}
    least = min(left, key=lambda index: left[index])
    return DeviceMemory(torch.cuda.get_device_name(least), left[least])
