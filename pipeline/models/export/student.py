"""Which saved models can be exported: students of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.data.space import PIXELS, space_of_shape
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedModel
from pipeline.models.export.steps import StudentSteps
from pipeline.models.opening import open_model, read_model
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class ExportableStudent:
    """A student and the number of its steps.

    Attributes:
        model: What its configuration says.
        steps: From noise to image, on the CPU, in float32.
        num_steps: How many these are.
    """

    model: AcceptedFlow
    steps: StudentSteps
    num_steps: int

    def inputs(self, batch: int) -> tuple[torch.Tensor, ...]:
        """Noise, always the same of a batch, and the first classes in turn if it is class-conditional."""
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn((batch, *self.model.shape), generator=generator)
        classes = self.model.num_classes
        return (noise,) if classes is None else (noise, torch.arange(batch) % classes)


def open_student(folder: Path, num_steps: int) -> ExportableStudent:
    """Opens a saved student of images.

    Raises:
        StraightflowError: If it is a diffusion teacher or a model of points, or is refused by
            :func:`pipeline.models.opening.open_model`.
    """
    _require_student(read_model(folder), folder)
    accepted, network = open_model(folder)
    flow = _require_student(accepted, folder)
    steps = StudentSteps(network, num_steps, two_times=flow.two_times).eval().requires_grad_(False)
    return ExportableStudent(flow, steps, num_steps)


def _require_student(model: AcceptedModel, folder: Path) -> AcceptedFlow:
    """Asked of the configuration alone first, before the weights are read."""
    if not isinstance(model, AcceptedFlow):
        raise StraightflowError(
            expected="a student, whose Euler steps are exported",
            found=f"a diffusion model, by the scheduler of {folder}",
            mend="name a student of it; `straightflow show` lists them",
        )
    if autoencoder_folder(folder) is not None:
        raise StraightflowError(
            expected="a student whose own steps end in images",
            found=f"one of latents, by the autoencoder in {folder}",
            mend="open the folder with diffusers' DiffusionPipeline, whose parts draw and decode, or name a student of "
            "images",
        )
    if not space_of_shape(model.shape).is_visual:
        raise StraightflowError(
            expected=f"a student of images, {PIXELS.shape_in_words}",
            found=f"one of shape {model.shape} in {folder}",
            mend="name a student of images",
        )
    return model
