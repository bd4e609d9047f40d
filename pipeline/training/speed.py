"""How fast this machine trains and calls a network."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import torch
from diffusers import ModelMixin

from pipeline.config.solver import SolverConfig
from pipeline.config.training import TrainingConfig
from pipeline.flow.losses import VelocityLoss, l2
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.timesteps import uniform
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.reflow import Reflow
from pipeline.models.autoencoder import Autoencoder
from pipeline.models.counted import CountedNetwork, NetworkCalls
from pipeline.models.networks import num_classes, sample_shape
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.system.device import wait_for
from pipeline.system.stopwatch import affordable, duration, median_seconds
from pipeline.training.ema import Ema
from pipeline.training.loader import batches_from, num_workers_for
from pipeline.training.loop import training_step
from pipeline.training.samples import StepBatches, TrainingSet
from pipeline.training.setup import prepared

OBJECTIVE = Reflow(uniform, VelocityLoss(l2))
"""One call with a gradient, as of every method; others make further calls without."""
_NUM_PAIRS = 4096
_LONGEST_CALL = 0.3
"""Seconds beyond which a larger batch is not tried: more samples then take proportionally longer."""


class RandomImages:
    """Images of random pixels, as a data set gives them.

    Args:
        shape: (channels, height, width).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        pixels = torch.randint(0, 256, (64, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        self._images = pixels.float() / 127.5 - 1

    def __len__(self) -> int:
        return _NUM_PAIRS

    def load(self, indices: np.ndarray) -> Batch:
        """Images in [-1, 1]."""
        return {"x_1": self._images[indices % len(self._images)]}

    def locate(self, index: int) -> str:
        """Which image."""
        return f"image {index}"


class RandomPairs:
    """Pairs as a store of couplings gives them: noise from its seed; images of random pixels.

    Args:
        network: Whose samples they are.
    """

    def __init__(self, network: ModelMixin) -> None:
        self._shape, self._classes = sample_shape(network), num_classes(network)
        self._key = stream_key("couplings", 0)
        self._images = RandomImages(self._shape)

    def __len__(self) -> int:
        return _NUM_PAIRS

    def load(self, indices: np.ndarray) -> Batch:
        """Their noise, their images and, of a network with classes, class 0."""
        pairs = {"x_0": sample_noise(self._key, indices.tolist(), self._shape), **self._images.load(indices)}
        labels = {} if self._classes is None else {"labels": torch.zeros(len(indices), dtype=torch.long)}
        return pairs | labels

    def locate(self, index: int) -> str:
        """Which pair."""
        return f"pair {index}"


def call_seconds(sampler: Sampler, solver: SolverConfig, batch_size: int, seconds: float) -> tuple[float, float]:
    """Seconds of a network call without a gradient: whatever its size, and for each sample beside that.

    Args:
        sampler: The model.
        solver: Of one network call.
        batch_size: Samples per call; fewer where so many take long.
        seconds: About as long it is measured.
    """
    device = sampler.runtime.device

    def call(num_samples: int) -> None:
        x_0, labels = sampler.draw(stream_key("evaluation", 0), range(num_samples))
        sampler.sample(x_0.to(device), solver, None if labels is None else labels.to(device))
        wait_for(device)

    size = affordable(call, batch_size, _LONGEST_CALL)
    one, many = (median_seconds(lambda size=size: call(size), seconds / 2) for size in (1, size))  # type: ignore[misc]
    if size == 1:
        return 0.0, one
    per_sample = max(many - one, 0.0) / (size - 1)
    return max(one - per_sample, 0.0), per_sample


def decoding_seconds(autoencoder: Autoencoder, batch_size: int, seconds: float) -> float:
    """Seconds of decoding one latent in batches of ``batch_size``, or of fewer where so many take long.

    Args:
        autoencoder: As placed.
        batch_size: Latents per call.
        seconds: About as long it is measured.
    """

    def call(num_samples: int) -> None:
        autoencoder.decode(torch.zeros(num_samples, *autoencoder.latent_shape))
        wait_for(autoencoder.runtime.device)

    size = affordable(call, batch_size, _LONGEST_CALL)
    return median_seconds(lambda: call(size), seconds) / size


def step_seconds(
    network: ModelMixin,
    settings: TrainingConfig,
    runtime: Runtime,
    seconds: float,
    *,
    objective: Objective = OBJECTIVE,
    items: TrainingSet | None = None,
) -> float:
    """Seconds of a training step per image: data, forward and backward pass, optimizer, weight average.

    Args:
        network: Trained; its weights change.
        settings: Of the training. Of a batch that takes long only a part is measured.
        runtime: One process.
        seconds: About as long it is measured.
        objective: What it learns.
        items: What from; None for random pairs.
    """
    learned = RandomPairs(network) if items is None else items
    network.train()
    one_pass = {"gradient_accumulation_steps": 1, "num_steps": 10**9}
    most = settings.batch_size // settings.gradient_accumulation_steps
    with prepared(network, settings, runtime) as (wrapped, optimizers):
        counted = CountedNetwork(wrapped, NetworkCalls())
        ema = Ema(wrapped.parameters(), halflife_images=settings.ema_halflife_images, rampup_ratio=1.0)

        def steps(size: int, of_size: float | None) -> float:
            """Seconds of one step of so many images, or the median of as many steps as take ``of_size``."""
            config = settings.model_copy(update=one_pass | {"batch_size": size})
            batches = StepBatches(learned, objective, config, 0, 1)
            workers = num_workers_for(batches, runtime)
            with closing(batches_from(batches, 0, runtime.device, num_workers=workers)) as loaded:

                def step() -> None:
                    training_step(counted, optimizers, objective, next(loaded), 1e-6, config, runtime.accelerator)
                    ema.update(size, size)
                    wait_for(runtime.device)

                return duration(step) if of_size is None else median_seconds(step, of_size)

        size = affordable(lambda size: steps(size, None), most, _LONGEST_CALL)
        return steps(size, seconds) / size
