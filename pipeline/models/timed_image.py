"""One image of a saved model, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config.solver import SolverConfig
from pipeline.flow.noise import stream_key
from pipeline.models.sampler import Sampler
from pipeline.models.sampling import default_solver, draw_images
from pipeline.system.device import wait_for
from pipeline.system.stopwatch import median_seconds

MEASURED_SECONDS = 0.1


@dataclass(frozen=True)
class TimedImage:
    """An image and its price.

    Attributes:
        image: uint8 (channels, height, width).
        seconds: From noise to pixels: median of at least three drawings in a batch of one, after one that is not
            counted, each until the device has done all of it.
        label: Its class; None of an unconditional model.
        solver: That drew it.
    """

    image: np.ndarray
    seconds: float
    label: int | None
    solver: SolverConfig


def draw_timed(sampler: Sampler, num_steps: int, seed: int, label: int | None = None) -> TimedImage:
    """The first image that ``straightflow sample`` draws with so many steps under this seed.

    Args:
        sampler: The model.
        num_steps: Of the solver that draws where none is asked for.
        seed: Of the noise.
        label: Class of a class-conditional model; None for the one that goes with the noise.

    Raises:
        StraightflowError: As :func:`pipeline.models.sampling.draw_images`; or if the steps are more than the model has
            levels of noise.
    """
    solver = SolverConfig(name=default_solver(sampler), num_steps=num_steps)
    key = stream_key("evaluation", seed)
    labels = sampler.labels(key, [0]) if label is None else torch.tensor([label])
    image: list[np.ndarray] = []

    def draw() -> None:
        image[:] = draw_images(sampler, solver, key, [0], labels)
        wait_for(sampler.runtime.device)

    seconds = median_seconds(draw, MEASURED_SECONDS)
    return TimedImage(image[0], seconds, None if labels is None else int(labels[0]), solver)
