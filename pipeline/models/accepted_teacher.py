"""Which models are opened, as teachers or as flows: decided by their configurations alone, for `check` and for whoever
opens one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.pretrained import Process, Promised
from pipeline.diffusion.noise_schedule import NoiseSchedule, read_noise_schedule
from pipeline.models.kinds import read_kind
from pipeline.models.kinds.kind import NetworkKind
from pipeline.models.network_settings import require_known_settings
from pipeline.models.student import FLOW_MAP_SCHEDULER, is_flow_scheduler, require_flow_scheduler, takes_two_times
from pipeline.models.trial_call import require_callable
from pipeline.system.errors import StraightflowError


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
    kind, shape = _accept_network(network, times, origin)
    return AcceptedTeacher(shape, kind.class_count(network), noise_schedule, kind.null_class(network))


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
    kind, shape = _accept_network(network, ("positional",), origin)
    if network.get("out_channels") not in (None, shape[0]):
        raise StraightflowError(
            expected=f"as many output channels as input channels ({shape[0]}) in {origin}, a flow",
            found=repr(network["out_channels"]),
            mend="correct config.json, or name another model",
        )
    return AcceptedFlow(shape, kind.class_count(network), kind.null_class(network), two_times)


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


def _accept_network(
    network: Mapping[str, Any], time_embeddings: Sequence[str], origin: str
) -> tuple[NetworkKind, tuple[int, ...]]:
    """Kind and shape of the samples of a network that is called with a sample, a time and perhaps a class."""
    kind = read_kind(network, origin)
    require_known_settings(network, kind, origin)
    shape = kind.accept_shape(network, origin)
    _require_time_embedding(kind.time_embedding(network), time_embeddings, origin)
    require_callable(
        lambda: kind.conditioned(kind.build(network), network),
        shape,
        kind.class_count(network),
        origin,
        two_times=takes_two_times(network),
    )
    return kind, shape


def _require_time_embedding(found: object, allowed: Sequence[str], origin: str) -> None:
    """Checks that a network can be asked at every time of its process, between whole ones too."""
    if found not in allowed:
        raise StraightflowError(
            expected=f"time_embedding_type {' or '.join(allowed)} in {origin}, which takes any time of its process",
            found=repr(found),
            mend="name another model, or correct its scheduler, from which its times follow",
        )
