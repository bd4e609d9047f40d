"""Saved models, teacher or student alike: load, sample, and train's starting weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from pipeline.compute import Runtime
from pipeline.config import SolverConfig
from pipeline.diffusers_layout import locate, read_json
from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_folder
from pipeline.inversion import invert_student, invert_teacher
from pipeline.noise_schedule import NoiseSchedule, read_noise_schedule
from pipeline.solvers import Field, Solution, solve
from pipeline.student import predict_velocity
from pipeline.teacher import Teacher, generate

FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"


def load_unet(folder: Path) -> UNet2DModel:
    """Loads the UNet of a saved pipeline on the CPU, in float32; nothing is unpickled.

    Raises:
        StraightflowError: If it cannot be read, or its weights are not exactly those of its configuration.
    """
    location = locate(folder, "unet", "config.json")
    try:
        unet: UNet2DModel
        unet, loaded = UNet2DModel.from_pretrained(location, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise StraightflowError(
            expected=f"a readable UNet2DModel in {location}",
            found=" ".join(str(error).split())[:500],
            mend="save the checkpoint again with a current diffusers, or name another one",
        ) from error
    # diffusers fills missing tensors with random numbers and only warns.
    for problem, names in (("has no tensor", loaded["missing_keys"]), ("has a tensor", loaded["unexpected_keys"])):
        if names:
            raise StraightflowError(
                expected=f"the weights that the configuration in {location} describes",
                found=f"a file that {problem} {min(names)}, {len(names)} such in all",
                mend="put weights and config.json of one architecture together, or name another checkpoint",
            )
    return unet.float()


def load_scheduler_config(folder: Path) -> dict[str, Any]:
    """Configuration of a saved pipeline's scheduler."""
    location = locate(folder, "scheduler", "scheduler_config.json")
    return read_json(location / "scheduler_config.json")


@dataclass(frozen=True)
class Sampler:
    """A saved model as a map from noise to image.

    Attributes:
        shape: (channels, height, width) of its images.
        fingerprint: Of the saved folder.
        noise_schedule: Forward process of a teacher; None for a student.
        network: The placed UNet.
        runtime: What it runs on.
    """

    shape: tuple[int, int, int]
    fingerprint: str
    noise_schedule: NoiseSchedule | None
    network: torch.nn.Module
    runtime: Runtime

    @torch.inference_mode()
    def sample(self, x_0: torch.Tensor, solver: SolverConfig) -> Solution:
        """Solves the model's ODE from ``x_0``; images are not clipped."""
        x_0 = x_0.to(self.runtime.device)
        with self.runtime.autocast():
            if self.noise_schedule is not None:
                return generate(self.network, self.noise_schedule, x_0, solver)
            return solve(self.velocity_field(), x_0, solver)

    @torch.inference_mode()
    def invert(self, x_1: torch.Tensor, image_noise: torch.Tensor, solver: SolverConfig) -> Solution:
        """Solves the model's ODE from images ``x_1`` to noise; see :mod:`pipeline.inversion`."""
        x_1, image_noise = x_1.to(self.runtime.device), image_noise.to(self.runtime.device)
        with self.runtime.autocast():
            if self.noise_schedule is not None:
                return invert_teacher(self.network, self.noise_schedule, x_1, image_noise, solver)
            return invert_student(self.velocity_field(), x_1, image_noise, solver)

    def velocity_field(self) -> Field:
        """dx_t/dt of the model's ODE, on the rectified-flow time axis for teachers as well."""
        if self.noise_schedule is not None:
            return Teacher(self.network, self.noise_schedule).velocity
        return lambda x_t, t: predict_velocity(self.network, x_t, t)

    def time_range(self) -> tuple[float, float]:
        """Times between which :meth:`velocity_field` is defined."""
        if self.noise_schedule is not None:
            return self.noise_schedule.time_range
        return 0.0, 1.0


def load_sampler(folder: Path, runtime: Runtime) -> Sampler:
    """Opens ``folder`` as teacher or student, told apart by its scheduler."""
    unet = load_unet(folder)
    scheduler = load_scheduler_config(folder)
    size = int(unet.config["sample_size"])
    return Sampler(
        shape=(int(unet.config["in_channels"]), size, size),
        fingerprint=fingerprint_folder(folder),
        noise_schedule=None if scheduler.get("_class_name") == FLOW_SCHEDULER else read_noise_schedule(scheduler),
        network=runtime.place(unet),
        runtime=runtime,
    )
