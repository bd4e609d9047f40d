"""Whether the device holds what each stage of a run computes at once, and what to change where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin

from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.students import StudentConfig
from pipeline.config.trainings import trainings
from pipeline.methods.objective import Objective
from pipeline.methods.reconstruction import Reconstruction
from pipeline.models.architecture import fresh_network
from pipeline.models.autoencoder_network import build_autoencoder
from pipeline.models.kinds import read_kind
from pipeline.models.networks import read_network_config, starting_network
from pipeline.models.promised_prompts import with_prompts
from pipeline.models.runtime import compiles_here, precision_here
from pipeline.system.device import DeviceMemory
from pipeline.system.errors import StraightflowError
from pipeline.system.hub import cached_model
from pipeline.system.memory import readable_bytes
from pipeline.training.planned_memory import (
    PlannedTraining,
    SamplingNeeds,
    least_accumulation,
    planned_sampling_needs,
    planned_training_needs,
)
from pipeline.training.preflight import Placement, TrainingNeeds

Pretrained = Mapping[str, Any]
"""Content of a pretrained teacher's ``config.json``."""


def require_memory_for(config: Config, teacher: Mapping[str, object], memory: DeviceMemory) -> None:
    """Checks every training, and every network that draws samples, against one device.

    Args:
        config: The run.
        teacher: What :func:`pipeline.models.check.check_teacher` returned.
        memory: Of the device of each process.

    Raises:
        StraightflowError: If a step or a batch cannot fit.
    """
    if memory.num_bytes is None:
        return
    pretrained = pretrained_network(teacher)
    placement = placement_of(config)
    for key, training, needs in training_needs_by_key(config, pretrained):
        if needs.total_bytes > memory.num_bytes:
            count = least_accumulation(training, placement, memory.num_bytes)
            raise StraightflowError(
                expected=f"memory for a training step of {key}: {needs.describe()}",
                found=f"{readable_bytes(memory.num_bytes)} at hand on {memory.device}",
                mend=_smaller_step(key, count),
            )
    for key, sampling in sampling_needs_by_key(config, pretrained):
        if sampling.total_bytes > memory.num_bytes:
            raise StraightflowError(
                expected=f"memory for a batch of {key}: {sampling.describe()}",
                found=f"{readable_bytes(memory.num_bytes)} at hand on {memory.device}",
                mend=f"lower {key}.batch_size, which changes no sample beyond rounding",
            )


def training_needs_by_key(
    config: Config, pretrained: Pretrained | None
) -> Iterator[tuple[str, PlannedTraining, TrainingNeeds]]:
    """Every training by its key, with what it needs; those that start from a network that is not known are left out.

    Trainings that differ in nothing that memory depends on are counted once.
    """
    placement, known = placement_of(config), dict[Any, TrainingNeeds]()
    for key, model, training in _trainings(config, pretrained):
        same = (network_name(config, model), *_memory_settings(training))
        if same not in known:
            known[same] = planned_training_needs(training, placement)
        yield key, training, known[same]


def sampling_needs_by_key(config: Config, pretrained: Pretrained | None) -> Iterator[tuple[str, SamplingNeeds]]:
    """Every couplings' and the evaluation's batches by their key, with what they need; as above."""
    placement, known = placement_of(config), dict[Any, SamplingNeeds]()
    batches = [(f"couplings.{name}", item.source, item.batch_size) for name, item in config.couplings.items()]
    batches += [("evaluate", model, config.evaluate.batch_size) for model in config.evaluate.models]
    for key, model, batch_size in batches:
        build = _builder(config, model, pretrained)
        same = (network_name(config, model), batch_size)
        if build is not None:
            if same not in known:
                known[same] = planned_sampling_needs(build, placement, batch_size)
            yield key, known[same]


def placement_of(config: Config) -> Placement:
    """Where the configuration trains; memory of a GPU is counted on the CPU, whose operations keep as much."""
    launch, bf16 = config.launch, precision_here(config.compute) == "bf16"
    float32_norms = bf16 and torch.cuda.is_available() and not compiles_here(config.compute)
    return Placement(launch.num_processes, launch.sharded, bf16, torch.device("cpu"), float32_norms)


def pretrained_network(teacher: Mapping[str, object]) -> Pretrained | None:
    """The configuration of the teacher that was checked; None if it is trained here, or not known before a stage
    fetches it.
    """
    name, commit = teacher["pretrained"], teacher["fingerprint"]
    if not isinstance(name, str):
        return None
    folder = Path(name) if Path(name).is_dir() else cached_model(name, str(commit))
    return None if folder is None else network_settings(folder)


def network_settings(folder: Path) -> Pretrained:
    """The ``config.json`` of the network of a model in a folder."""
    return read_network_config(folder)[1]


def network_name(config: Config, model: str) -> tuple[str, bool]:
    """Which of the run's networks ``model`` has: that of the model it came from, and whether it takes two times."""
    two_times = config.takes_two_times(model)
    while model in config.students:
        model = config.students[model].init
    return ("fresh" if model in config.flows else model, two_times)


def _smaller_step(key: str, count: int | None) -> str:
    others = f"lower {key}.batch_size, or set launch=fsdp with more processes"
    if count is None:
        return f"{others}; no gradient_accumulation_steps are enough; gradient_checkpointing: true keeps less as well"
    return f"set {key}.gradient_accumulation_steps: {count}, which changes no result beyond rounding; or {others}"


def _trainings(config: Config, pretrained: Pretrained | None) -> Iterator[tuple[str, str, PlannedTraining]]:
    """Key, model that it starts from, and what memory depends on."""
    looks = config.watch.samples_every_steps is not None or config.watch.fid_every_steps is not None
    for item in trainings(config):
        start = item.settings.init if isinstance(item.settings, StudentConfig) else item.model
        loss = config.losses.get("teacher.flow.loss" if item.model == TEACHER else f"{item.key}.loss")
        build = _builder(config, start, pretrained)
        if build is not None:
            yield item.key, start, PlannedTraining(build, item.settings, loss, looks, _of_images(config, item.model))


def _of_images(config: Config, model: str) -> Objective | None:
    """What the autoencoder learns, from images alone; None of other models."""
    settings = config.autoencoder
    if model != AUTOENCODER or settings is None:
        return None
    return Reconstruction(settings.latent_shape(config.data.image_shape), settings.kl_weight)


def _memory_settings(training: PlannedTraining) -> tuple[object, ...]:
    settings, loss = training.settings, training.loss
    method = getattr(settings, "method", None)
    return (
        settings.batch_size,
        settings.gradient_accumulation_steps,
        settings.gradient_checkpointing,
        len(settings.halflives_images),
        settings.heldout_items > 0,
        getattr(settings, "dropout", None) and True,
        loss is not None and loss.name == "lpips_huber",
        method is not None and (method.two_times, method.follows_init),
        training.looks,
    )


def _builder(config: Config, model: str, pretrained: Pretrained | None) -> Callable[[], ModelMixin] | None:
    """Makes the network of a model; None if it comes from a teacher that is not known."""
    if model in config.students:
        student = config.students[model]
        start = _builder(config, student.init, pretrained)
        if start is None:
            return None
        return lambda: starting_network(start(), two_times=student.method.two_times)
    if model == AUTOENCODER:
        return _autoencoder_builder(config)
    if model == TEACHER and config.teacher.pretrained is not None:
        promised = config.teacher.promised
        return None if pretrained is None else partial(_pretrained, with_prompts(pretrained, promised, _CHECKED))
    return lambda: fresh_network(config.teacher.network, config.sample_shape)


def _autoencoder_builder(config: Config) -> Callable[[], ModelMixin]:
    settings = config.autoencoder
    assert settings is not None  # it is trained
    assert settings.network is not None
    return partial(build_autoencoder, settings.network, config.data.image_shape, settings.latent_channels, 0)


_CHECKED = "the checked teacher"


def _pretrained(settings: Pretrained) -> ModelMixin:
    kind = read_kind(settings, _CHECKED)
    return kind.conditioned(kind.build(settings), settings)
