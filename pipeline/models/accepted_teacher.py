"""Which models are opened, as teachers or as flows: decided in one place, for `check` and for whoever opens one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from diffusers import ModelMixin

from pipeline.config.pretrained import Process, Promised
from pipeline.diffusion.noise_schedule import NoiseSchedule, read_noise_schedule
from pipeline.models.accepted_autoencoder import read_autoencoder, require_promised_autoencoder
from pipeline.models.diffusers_layout import locate, read_json, read_scheduler_config
from pipeline.models.networks import KINDS, class_count, load_network, network_class, null_class, require_known_settings
from pipeline.models.student import (
    FLOW_MAP_SCHEDULER,
    is_flow_scheduler,
    require_flow_scheduler,
    takes_two_times,
)
from pipeline.system.errors import StraightflowError, one_line


@dataclass(frozen=True)
class AcceptedFlow:
    """What the configuration of a velocity field says.

    Attributes:
        shape: Of one sample, (channels, height, width) or (dim,).
        num_classes: Classes that it is conditioned on; None for none.
        null_class: Of these, the one that stands for none; None where there is none such.
        two_times: Whether it takes the time that a step ends at, and predicts the mean velocity until then.
    """

    shape: tuple[int, ...]
    num_classes: int | None
    null_class: int | None = None
    two_times: bool = False


@dataclass(frozen=True)
class AcceptedTeacher:
    """What the configuration of a diffusion teacher says.

    Attributes:
        shape: Of one sample, (channels, height, width) or (dim,).
        num_classes: Classes that it is conditioned on; None for none.
        noise_schedule: Its forward process.
        null_class: Of its classes, the one that stands for none; None where there is none such.
    """

    shape: tuple[int, ...]
    num_classes: int | None
    noise_schedule: NoiseSchedule
    null_class: int | None = None


AcceptedModel = AcceptedTeacher | AcceptedFlow


def num_conditions(model: AcceptedModel) -> int | None:
    """Classes that may be asked for: all but the null class, which is the last; None of an unconditional model."""
    return model.num_classes if model.null_class is None else model.null_class


def accept_model(network: Mapping[str, Any], scheduler: Mapping[str, Any], origin: str) -> AcceptedModel:
    """:func:`accept_teacher` or :func:`accept_flow`, told apart by the scheduler."""
    return (accept_flow if is_flow_scheduler(scheduler) else accept_teacher)(network, scheduler, origin)


def accept_teacher(network: Mapping[str, Any], scheduler: Mapping[str, Any], origin: str) -> AcceptedTeacher:
    """Decides from a model's configuration alone whether it may be a teacher.

    Args:
        network: Content of the network's ``config.json``.
        scheduler: Content of ``scheduler_config.json``.
        origin: Names the model in errors.

    Raises:
        StraightflowError: If the network is of another kind, has settings that are not known, is conditioned on more
            than a continuous time and a class, cannot be built or called, or does not go with the process; or if
            the process is not supported, see :func:`pipeline.diffusion.noise_schedule.read_noise_schedule`.
    """
    noise_schedule = read_noise_schedule(scheduler)
    if takes_two_times(network):
        raise StraightflowError(
            expected=f"a teacher in {origin} that takes one time and perhaps a class",
            found="class_embed_type 'timestep'",
            mend="name another teacher",
        )
    # A Fourier embedding takes the logarithm of the time, which is the noise's scale; indices start at 0, and the
    # times of preconditioned networks are logarithms already.
    times = ("positional", "fourier") if noise_schedule.prediction == "score" else ("positional",)
    shape = _accept_network(network, times, origin)
    return AcceptedTeacher(shape, class_count(network), noise_schedule, null_class(network))


def accept_flow(network: Mapping[str, Any], scheduler: Mapping[str, Any], origin: str) -> AcceptedFlow:
    """Decides from a model's configuration alone whether it is a velocity field as students are saved.

    Arguments as for :func:`accept_teacher`.

    Raises:
        StraightflowError: For the same networks; if it has another number of outputs than a velocity; or if its
            timestep is not 1000 (1 - t), see :func:`pipeline.models.student.require_flow_scheduler`; or if it takes
            two times and its scheduler says nothing of the second.
    """
    require_flow_scheduler(scheduler, origin)
    two_times = takes_two_times(network)
    if two_times and scheduler.get("_class_name") != FLOW_MAP_SCHEDULER:
        raise StraightflowError(
            expected=f"the scheduler {FLOW_MAP_SCHEDULER} for a network of two times, class_embed_type 'timestep', in "
            f"{origin}",
            found=str(scheduler.get("_class_name"))[:80],
            mend="put scheduler and network of one model together, or name another model",
        )
    shape = _accept_network(network, ("positional",), origin)
    if network.get("out_channels", shape[0]) != shape[0]:
        raise StraightflowError(
            expected=f"as many output channels as input channels ({shape[0]}) in {origin}, a flow",
            found=repr(network["out_channels"]),
            mend="correct config.json, or name another model",
        )
    return AcceptedFlow(shape, class_count(network), null_class(network), two_times)


def read_teacher(folder: Path) -> AcceptedTeacher:
    """:func:`accept_teacher` of a folder on this machine."""
    location = locate(folder, "unet", "config.json")
    return accept_teacher(read_json(location / "config.json"), read_scheduler_config(folder), str(location))


def read_model(folder: Path) -> AcceptedModel:
    """What a folder on this machine holds, a teacher or a flow, told apart by the scheduler.

    Raises:
        StraightflowError: If it is refused by :func:`accept_teacher` or :func:`accept_flow`.
    """
    location = locate(folder, "unet", "config.json")  # of a folder of something else this is what to say
    return accept_model(read_json(location / "config.json"), read_scheduler_config(folder), str(location))


def open_model(folder: Path) -> tuple[AcceptedModel, ModelMixin]:
    """What :func:`read_model` says of a folder, and its network with its weights, on the CPU.

    Raises:
        StraightflowError: If it is refused, or :func:`pipeline.models.networks.load_network` cannot read it.
    """
    return read_model(folder), load_network(folder)


def open_teacher(folder: Path, shape: tuple[int, ...], name: str, promised: Promised) -> ModelMixin:
    """The network of a teacher brought along, as it is adopted: accepted, of the data's shape, its weights read.

    Args:
        folder: Where it lies.
        shape: Of the run's samples: of the data's, or of their latents.
        name: As the user called it, for errors.
        promised: What the configuration says of it.

    Raises:
        StraightflowError: If it may not be a teacher, does not fit or cannot be read.
    """
    require_promised_autoencoder(read_autoencoder(folder), name, promised)
    require_fit(read_model(folder), shape, name, promised)
    return load_network(folder)


def require_fit(found: AcceptedModel, shape: tuple[int, ...], name: str, promised: Promised) -> None:
    """Checks that the teacher ``name`` is of the process and has the null class that are configured, and that it makes
    samples of the data's shape.

    Raises:
        StraightflowError: If it does not.
    """
    process: Process = promised.process
    of_process: Process = "flow" if isinstance(found, AcceptedFlow) else "diffusion"
    if of_process != process:
        words = {"flow": "a flow", "diffusion": "a diffusion model"}
        raise StraightflowError(
            expected=f"{words[process]}, as teacher.pretrained_process: {process} says",
            found=f"{words[of_process]}, by the scheduler of {name}",
            mend=f"set teacher.pretrained_process: {of_process}, and solvers of {words[of_process]} for couplings from "
            "the teacher",
        )
    require_shape(found.shape, shape, name, "images" if promised.autoencoder is None else "latents")
    if promised.null_class is not None and (found.num_classes or 0) - 1 != promised.null_class:
        raise StraightflowError(
            expected=f"a teacher of {promised.null_class + 1} classes, of which teacher.null_class: "
            f"{promised.null_class}, the last, stands for none",
            found=f"{found.num_classes or 'no'} classes in {name}",
            mend="set teacher.null_class: null, without guidance; or the last class of a network that has one more "
            "than its data",
        )


def require_shape(found: tuple[int, ...], wanted: tuple[int, ...], name: str, noun: str = "images") -> None:
    """Checks that the teacher ``name`` makes samples of the data's shape, or of that of their latents.

    Raises:
        StraightflowError: If it does not.
    """
    if found != wanted:
        raise StraightflowError(
            expected=f"a teacher of {noun} (channels, height, width) = {wanted}, as the data has",
            found=f"{found} in {name}",
            mend="set data.channels and data.resolution to the teacher's, or name another teacher",
        )


def require_callable(
    build: Callable[[], ModelMixin],
    shape: tuple[int, ...],
    num_classes: int | None,
    origin: str,
    *,
    two_times: bool = False,
) -> None:
    """Builds a network without its weights and calls it, so that sizes that do not fit are told at once.

    Args:
        build: Makes the network on the default device, which is one without memory while it is called.
        shape: Of one sample.
        num_classes: Classes that it is conditioned on; None for none.
        origin: Names it in errors.
        two_times: Whether it takes the time that a step ends at as well.

    Raises:
        StraightflowError: If it cannot be built, or its output has not the shape of its input (twice the channels
            with a learned variance).
    """
    classes = () if num_classes is None else (torch.zeros(1, dtype=torch.long, device="meta"),)
    ends = (torch.zeros(1, device="meta"),) if two_times else ()
    try:
        with torch.device("meta"), torch.no_grad():
            output = build()(torch.empty(1, *shape), torch.zeros(1), *classes, *ends).sample.shape
    except Exception as error:  # settings of any kind reach code that does not check them
        raise StraightflowError(
            expected=f"a network in {origin} that can be built, and called with samples of shape {shape}",
            found=f"{type(error).__name__}: {one_line(error)}",
            mend="correct its settings (channels, groups, heads, blocks, size), or name another model",
        ) from error
    if tuple(output) not in ((1, *shape), (1, 2 * shape[0], *shape[1:])):
        raise StraightflowError(
            expected=f"a network in {origin} whose output has the shape of its input, {shape}",
            found=str(tuple(output[1:])),
            mend="correct its settings, or name another model",
        )


def _accept_network(network: Mapping[str, Any], time_embeddings: Sequence[str], origin: str) -> tuple[int, ...]:
    """Shape of the samples of a network that is called with a sample, a time and perhaps a class."""
    kind = network.get("_class_name", "UNet2DModel")
    if kind not in KINDS:
        raise StraightflowError(
            expected=f"a UNet2DModel in {origin}",
            found=str(kind)[:80],
            mend="name a model saved by diffusers' DDPMPipeline, without text or latents",
        )
    require_known_settings(network, kind, origin)
    shape = (_image_shape if kind == "UNet2DModel" else _point_shape)(network, origin)
    if kind == "UNet2DModel":
        _require_time_embedding(network, time_embeddings, origin)
    settings = {name: value for name, value in network.items() if not name.startswith("_")}
    two_times = takes_two_times(network)
    require_callable(lambda: network_class(kind)(**settings), shape, class_count(network), origin, two_times=two_times)
    return shape


def _require_time_embedding(config: Mapping[str, Any], allowed: Sequence[str], origin: str) -> None:
    """Checks that a UNet can be asked at every time of its process, between whole ones too."""
    found = config.get("time_embedding_type", "positional")
    if found not in allowed:
        raise StraightflowError(
            expected=f"time_embedding_type {' or '.join(allowed)} in {origin}, which takes any time of its process",
            found=repr(found),
            mend="name another model, or correct its scheduler, from which its times follow",
        )


def _image_shape(config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
    channels, out_channels = config.get("in_channels", 3), config.get("out_channels", 3)
    if not _is_count(channels) or not _is_count(out_channels) or out_channels not in (channels, 2 * channels):
        raise StraightflowError(
            expected=f"as many output channels as input channels ({channels!r}) in {origin}, or twice as many if it "
            "also predicts the variance",
            found=repr(out_channels),
            mend="name a model that maps noisy images to predictions of their own shape",
        )
    size = config.get("sample_size")
    height, width = size if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
    if not _is_count(height) or not _is_count(width):
        raise StraightflowError(
            expected=f"the side of square images, or height and width, as sample_size in {origin}",
            found=str(size),
            mend="write the size that the model was trained on into config.json, or name another model",
        )
    levels = config.get("block_out_channels", (224, 448, 672, 896))  # the default of diffusers
    if not isinstance(levels, list | tuple) or not levels or not all(_is_count(level) for level in levels):
        raise StraightflowError(
            expected=f"numbers of channels, one per level, as block_out_channels in {origin}",
            found=str(levels)[:80],
            mend="correct config.json, or name another model",
        )
    require_halvings((height, width), len(levels), origin)
    return channels, height, width


def _point_shape(config: Mapping[str, Any], origin: str) -> tuple[int]:
    dim = config.get("in_channels")
    if not _is_count(dim):
        raise StraightflowError(
            expected=f"the dimension of points as in_channels in {origin}",
            found=repr(dim),
            mend="correct config.json, or name another model",
        )
    return (dim,)


def require_halvings(sides: tuple[int, int], num_levels: int, origin: str) -> None:
    """Checks that a UNet of ``num_levels`` resolutions can halve images of these sides as often as it must.

    Raises:
        StraightflowError: If it cannot.
    """
    halvings = num_levels - 1
    if any(side % 2**halvings for side in sides):
        height, width = (side + -side % 2**halvings for side in sides)
        raise StraightflowError(
            expected=f"images whose sides are divisible by {2**halvings}, as the network of {origin} has {num_levels} "
            f"levels and halves them {halvings} times",
            found=f"images of {sides[0]}×{sides[1]} pixels",
            mend=f"use fewer levels, or images of {height}×{width} pixels "
            f"(data.resolution: {height if height == width else [height, width]})",
        )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
