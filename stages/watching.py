"""How the training stages are watched; no result depends on it, as it has random streams of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from diffusers import ModelMixin

from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.data.space import space_of_shape
from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.flow.noise import stream_key
from pipeline.models.autoencoder import Autoencoder
from pipeline.models.class_counts import class_counts
from pipeline.models.networks import noise_of, null_class_of, num_classes, sample_shape
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.models.student import takes_two_times
from pipeline.system.errors import StraightflowError
from pipeline.training.watching import Preview, QuickFid, Watcher
from stages import paths

PREVIEW_IMAGES = 64
KEY = stream_key("training", 0)
"""Noises of previews and quick FIDs: not evaluation's, which must not guide any choice."""

Wrapped = Callable[[torch.nn.Module], Sampler]
"""Makes the sampler of a network that is wrapped for training."""


@contextmanager
def watching(
    config: Config,
    name: str,
    network: ModelMixin,
    noise_schedule: NoiseSchedule | None,
    solver: SolverConfig,
    runtime: Runtime,
    autoencoder: Autoencoder | None = None,
) -> Iterator[Watcher]:
    """A watcher of the training of ``network``, called ``name``.

    Args:
        config: What to keep, and the features and reference of quick FIDs.
        name: Of the model.
        network: What is trained; says its samples' shape, distribution of noise and number of classes.
        noise_schedule: Of a diffusion model; None for a flow.
        solver: What its ODE is solved with.
        runtime: What it runs on.
        autoencoder: What decodes its samples; None where they are what is meant.

    Raises:
        StraightflowError: If images are to be drawn or measured but the samples are not images, if features are
            missing, or if a tracker is not installed.
    """
    shape = sample_shape(network)
    for key in ("samples_every_steps", "fid_every_steps"):
        if getattr(config.watch, key) is not None and not space_of_shape(shape).is_visual:
            raise StraightflowError(
                expected=f"images, for watch.{key}",
                found=f"samples of shape {shape}",
                mend=f"set watch.{key}: null",
            )
    wrapped = as_wrapped(network, noise_schedule, runtime, autoencoder)
    of_images = shape if autoencoder is None else autoencoder.image_shape
    measures = config.watch.fid_every_steps is not None
    quick_fid = quick_fid_of(config, of_images, wrapped, solver, runtime) if measures else None
    watcher = Watcher(config.watch, paths.watched(name), preview_of(wrapped, solver), runtime, quick_fid)
    try:
        yield watcher
    finally:
        watcher.finish()


@contextmanager
def watching_images(config: Config, name: str, preview: Preview, runtime: Runtime) -> Iterator[Watcher]:
    """A watcher of the training of a network that has no ODE: it shows what ``preview`` makes, and measures no FID."""
    watched = config.watch.model_copy(update={"fid_every_steps": None})
    watcher = Watcher(watched, paths.watched(name), preview, runtime)
    try:
        yield watcher
    finally:
        watcher.finish()


def as_wrapped(
    network: ModelMixin,
    noise_schedule: NoiseSchedule | None,
    runtime: Runtime,
    autoencoder: Autoencoder | None = None,
) -> Wrapped:
    """Samplers of ``network`` in training: of its samples' shape, its distribution of noise and its classes.

    A network wrapped for training enters autocast itself; inside another region it would be compiled again.
    """
    shape, noise, classes = sample_shape(network), noise_of(network), num_classes(network)
    none, counts, two_times = null_class_of(network), class_counts(network), takes_two_times(network.config)
    outside = dataclasses.replace(runtime, precision="fp32")
    return lambda training: Sampler(
        shape, "in training", noise_schedule, training, outside, noise, classes, null_class=none, two_times=two_times,
        class_counts=counts, autoencoder=autoencoder,
    )  # fmt: skip


def preview_of(wrapped: Wrapped, solver: SolverConfig) -> Preview:
    """Draws from the same noises and classes every time."""

    def preview(network: torch.nn.Module) -> torch.Tensor:
        sampler = wrapped(network)
        x_0, labels = sampler.draw(KEY, range(PREVIEW_IMAGES))
        return sampler.to_pixels(sampler.sample(x_0, solver, labels).x)

    return preview


def fid_batch_size(config: Config, runtime: Runtime) -> int:
    """Images per call in a quick FID; as many as a preview has where networks are compiled, once for every number."""
    return PREVIEW_IMAGES if runtime.compile else config.evaluate.batch_size


def quick_fid_of(
    config: Config, shape: tuple[int, ...], wrapped: Wrapped, solver: SolverConfig, runtime: Runtime
) -> QuickFid:
    """FID of images of ``shape`` by the configured features and reference, from the same noises and classes."""
    # Imported here, as trainings that measure no FID do not need it.
    from pipeline.evaluation.few_step_fid import open_few_step_fid

    fid_of = open_few_step_fid(
        config,
        runtime,
        paths.measuring(),
        shape,
        key=KEY,
        num_samples=config.watch.fid_num_samples,
        batch_size=fid_batch_size(config, runtime),
        setting="watch.fid_num_samples",
    )
    measure = f"{fid_of.reference.extractor.name}/{fid_of.reference.split}/{fid_of.num_samples}_samples"
    return QuickFid(
        name=f"fid/{measure}/{solver.name}_{solver.num_steps}",
        measure=lambda network: fid_of(wrapped(network), solver),
    )
