"""Memory of a configured run; of large networks on tensors without content: nothing is computed, nothing is taken.

What torch's allocator, cuDNN's workspaces and the CUDA context take beside is not counted: what is said here is a
least, and what cannot fit by it cannot fit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from diffusers import ModelMixin

from pipeline.config.flow import LossConfig
from pipeline.config.students import StudentConfig
from pipeline.config.training import TrainingConfig
from pipeline.flow.losses import SEEN_AT, Perceptual, VelocityLoss, l2
from pipeline.flow.timesteps import uniform
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.reflow import Reflow
from pipeline.models.live_memory import Visited, extrapolated_peak, live_bytes
from pipeline.models.networks import num_classes, sample_shape, starting_network
from pipeline.models.student import predict_mean_velocity, takes_two_times
from pipeline.system.memory import readable_bytes
from pipeline.training.dropout import set_dropout
from pipeline.training.preflight import Placement, TrainingNeeds, training_needs
from pipeline.training.samples import TrainingSet
from pipeline.training.speed import RandomImages, RandomPairs

Build = Callable[[], ModelMixin]
"""Makes a network; it is called where tensors have no content."""


_SMALL = 5_000_000
"""Weights of a network whose operations are computed sooner than they are followed without content."""


@dataclass(frozen=True)
class PlannedTraining:
    """A training, as far as its memory depends on it.

    Attributes:
        build: Makes the network that it starts from.
        settings: Of its loop.
        loss: Between velocities; None for a diffusion teacher's.
        looks: Whether it draws images on the way.
        of_images: What an autoencoder learns from images alone; None for what learns from noise and images.
    """

    build: Build
    settings: TrainingConfig
    loss: LossConfig | None = None
    looks: bool = False
    of_images: Objective | None = None


def planned_training_needs(training: PlannedTraining, placement: Placement) -> TrainingNeeds:
    """What each process needs.

    Every method of a student calls its network once with a gradient, as the regression does that is counted; its
    further calls need less and are over before. Where the loss compares images, its VGG sees both enlarged.
    """
    settings, loss = training.settings, training.loss
    perceptual = loss is not None and loss.name == "lpips_huber"
    with _fake_tensors() if perceptual or not _is_small(training.build) else nullcontext():
        network, others = training.build(), 0
        if isinstance(settings, StudentConfig):
            if settings.method.follows_init:
                others += sum(values.nbytes for values in network.parameters())
            network = starting_network(network, two_times=settings.method.two_times)
            set_dropout(network, settings.dropout)
        network.train()
        if settings.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        distance: Perceptual | None = None
        if perceptual:
            distance, trunk = _vgg_distance()
            others += trunk
        of_images = training.of_images is not None
        items: TrainingSet = RandomImages(sample_shape(network)) if of_images else RandomPairs(network)
        regression = _MeanVelocity if takes_two_times(network.config) else Reflow
        return training_needs(
            network,
            items,
            training.of_images or regression(uniform, VelocityLoss(l2, distance)),
            settings,
            placement,
            companion_bytes=others,
            averages_looked_at=settings.heldout_items > 0 or training.looks,
        )


class _MeanVelocity(Reflow):
    """The same of a network of two times."""

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        x_0, x_1, t = batch["x_0"], batch["x_1"], batch["t"]
        x_t = self.path.point(x_0, x_1, t)
        velocity = predict_mean_velocity(network, x_t, t, torch.ones_like(t))
        return self.velocity_loss(velocity, self.path.velocity(x_0, x_1), x_t, t)


def least_accumulation(training: PlannedTraining, placement: Placement, num_bytes: int) -> int | None:
    """Fewest micro-batches, more than are configured, with which a process fits in ``num_bytes``; None if none do.

    They divide each process's share of the batch.
    """
    settings = training.settings
    share = settings.batch_size // placement.num_processes
    for count in range(settings.gradient_accumulation_steps + 1, share + 1):
        if share % count == 0:
            smaller = settings.model_copy(update={"gradient_accumulation_steps": count})
            if planned_training_needs(replace(training, settings=smaller), placement).total_bytes <= num_bytes:
                return count
    return None


@dataclass(frozen=True)
class SamplingNeeds:
    """Bytes of one process that draws samples.

    Attributes:
        weights_bytes: Of the network.
        activation_bytes: Peak in a call, with the batch's noise and result.
        batch_size: Samples of the call.
    """

    weights_bytes: int
    activation_bytes: int
    batch_size: int

    @property
    def total_bytes(self) -> int:
        """Of one process, on its device."""
        return self.weights_bytes + self.activation_bytes

    def describe(self) -> str:
        """One line for a person."""
        return (
            f"each process needs about {readable_bytes(self.total_bytes)} ({readable_bytes(self.weights_bytes)} "
            f"weights, {readable_bytes(self.activation_bytes)} activations of {self.batch_size} samples)"
        )


def planned_sampling_needs(build: Build, placement: Placement, batch_size: int) -> SamplingNeeds:
    """What a process needs that calls a network without a gradient; solvers of several states keep some more."""
    with nullcontext() if _is_small(build) else _fake_tensors(), torch.no_grad():
        network = build().eval()
        visited = Visited(network, bf16=placement.bf16, float32_norms=placement.float32_norms)
        shape, classes = sample_shape(network), num_classes(network)
        two_times = takes_two_times(network.config)

        def call(num_samples: int) -> None:
            inputs = [torch.zeros(num_samples, *shape), torch.zeros(num_samples)]
            labels = [] if classes is None else [torch.zeros(num_samples, dtype=torch.long)]
            ends = [torch.zeros(num_samples)] if two_times else []
            visited(*inputs, *labels, *ends)

        one, two = (live_bytes(lambda num=num: call(num)) for num in (1, 2))  # type: ignore[misc]
        weights = sum(values.nbytes for values in network.parameters())
    return SamplingNeeds(weights, extrapolated_peak(one, two, batch_size), batch_size)


def _is_small(build: Build) -> bool:
    with torch.device("meta"):
        count: int = sum(values.numel() for values in build().parameters())
    return count < _SMALL


def _fake_tensors() -> AbstractContextManager[object]:
    """Where tensors have shapes and no values; given ones are taken for such."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # takes seconds

    return FakeTensorMode(allow_non_fake_inputs=True)


def _vgg_distance() -> tuple[Perceptual, int]:
    """A distance that keeps what LPIPS keeps, whose trunk is VGG-16's (Zhang et al. 2018), and its weights' bytes."""
    from torchvision.models import vgg16  # takes a second

    trunk = vgg16(weights=None).features.eval().requires_grad_(False)

    def seen(images: torch.Tensor) -> torch.Tensor:
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        features: torch.Tensor = trunk(torch.nn.functional.interpolate(colour, size=(SEEN_AT, SEEN_AT)))
        return features

    def distance(images: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return (seen(images) - seen(others)).square().flatten(1).mean(dim=1)

    return distance, sum(values.nbytes for values in trunk.parameters())
