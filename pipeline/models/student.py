"""The student: a velocity field, saved in a form that stock diffusers opens.

diffusers counts sigma from image (0) to noise (1), we count t from noise (0) to image (1). Here, and only
here, the two meet: the saved network gets ``timestep = 1000 (1 - t)`` and predicts
``dx/dsigma = x_0 - x_1``, so that ``DDPMPipeline`` with the scheduler of :func:`flow_scheduler` samples it. A student
of two times also gets ``class_labels = 1000 (1 - r)``, r the time that a step ends at, and predicts the mean of that
velocity from t to r; the scheduler of :func:`flow_map_scheduler` tells it from the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipeline.diffusion.guidance import Guidance, conditioned_output
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.kinds import kind_of
from pipeline.models.saved_pipeline import is_saved_pipeline, save_pipeline
from pipeline.system.errors import StraightflowError, nearest

if TYPE_CHECKING:
    from diffusers import FlowMapEulerDiscreteScheduler, HeliosScheduler, ModelMixin

NUM_TRAIN_TIMESTEPS = 1000
FLOW_MAP_SCHEDULER = "FlowMapEulerDiscreteScheduler"
FLOW_SCHEDULERS = ("HeliosScheduler", "FlowMatchEulerDiscreteScheduler", FLOW_MAP_SCHEDULER)
"""Schedulers that say that a saved model is a student: the one that students are saved with, an older one, and that of
students of two times."""


def predict_velocity(
    network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None = None
) -> torch.Tensor:
    """The student's velocity.

    Args:
        network: Predicts x_0 - x_1 at timestep 1000 (1 - t).
        x_t: (batch, …).
        t: (batch,) in [0, 1].
        labels: Classes, (batch,); None for an unconditional network.

    Returns:
        Float32, shape of ``x_t``.
    """
    classes = () if labels is None else (labels,)
    prediction: torch.Tensor = network(x_t, NUM_TRAIN_TIMESTEPS * (1 - t), *classes).sample
    return -prediction.float()


def guided_velocity(
    network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, labels: torch.Tensor | None, guidance: Guidance
) -> torch.Tensor:
    """The velocity of a flow that is guided; otherwise as :func:`predict_velocity`."""
    return -conditioned_output(network, x_t, NUM_TRAIN_TIMESTEPS * (1 - t), labels, guidance, t)[0].float()


def predict_mean_velocity(
    network: torch.nn.Module, x_t: torch.Tensor, t: torch.Tensor, end: torch.Tensor
) -> torch.Tensor:
    """The mean velocity u of a student of two times: its step from t leads to x_t + (end - t) u at ``end``.

    Args:
        network: Predicts the mean of x_0 - x_1 at timestep 1000 (1 - t) and class label 1000 (1 - end).
        x_t: (batch, …).
        t: (batch,) in [0, 1].
        end: (batch,) in [t, 1]; at t it is the velocity.

    Returns:
        Float32, shape of ``x_t``.
    """
    prediction: torch.Tensor = network(x_t, NUM_TRAIN_TIMESTEPS * (1 - t), NUM_TRAIN_TIMESTEPS * (1 - end)).sample
    return -prediction.float()


def takes_two_times(config: Mapping[str, Any]) -> bool:
    """Whether a network of these settings takes the time that a step ends at beside the one that it starts at."""
    return config.get("class_embed_type") == "timestep"


_FLOW_PROCESS: Mapping[str, tuple[object, ...]] = {
    "num_train_timesteps": (NUM_TRAIN_TIMESTEPS,),
    "invert_sigmas": (False, None),
    "prediction_type": ("flow_prediction",),
    "init_noise_sigma": (1.0,),
}
# They place the steps of sampling and leave the velocity at a time as it is.
_OF_SAMPLING_ALONE = frozenset(
    {
        "base_image_seq_len",
        "base_shift",
        "disable_corrector",
        "gamma",
        "lower_order_final",
        "max_image_seq_len",
        "max_shift",
        "predict_x0",
        "scheduler_type",
        "shift",
        "shift_terminal",
        "solver_order",
        "solver_p",
        "solver_type",
        "stage_range",
        "stages",
        "stochastic_sampling",
        "thresholding",
        "time_shift_type",
        "use_beta_sigmas",
        "use_dynamic_shifting",
        "use_exponential_sigmas",
        "use_flow_sigmas",
        "use_karras_sigmas",
    }
)


def require_flow_scheduler(config: Mapping[str, Any], origin: str) -> None:
    """Checks that a saved flow means by its timestep what :func:`predict_velocity` does.

    Args:
        config: Content of ``scheduler_config.json``.
        origin: Names the model in errors.

    Raises:
        StraightflowError: If its times have another scale or direction, or it has a setting that is not known.
    """
    for name, allowed in _FLOW_PROCESS.items():
        found = config.get(name, allowed[0])
        if not any(found is value or (type(found) is type(value) and found == value) for value in allowed):
            raise StraightflowError(
                expected=f"{name}: {allowed[0]!r} in the scheduler of {origin}, as in the flows that are saved here",
                found=f"{name}: {str(found)[:80]}",
                mend="name a flow whose timesteps run from 1000 at noise to 0 at images",
            )
    for name, value in config.items():
        known = name.startswith("_") or name in _FLOW_PROCESS or name in _OF_SAMPLING_ALONE
        if not known and value is not None and value is not False:
            raise StraightflowError(
                expected=f"settings that {' or '.join(FLOW_SCHEDULERS)} has, in the scheduler of {origin}",
                found=f"{name}: {str(value)[:80]}{nearest(name, (*_FLOW_PROCESS, *_OF_SAMPLING_ALONE))}",
                mend="correct scheduler_config.json, or name another model",
            )


def flow_scheduler() -> HeliosScheduler:
    """The stock scheduler that a student is saved with: Euler steps of equal length, as many as are asked for.

    In diffusers 0.42 its N steps start at sigma_k = 1 - 0.999 k / N and the last one ends at 0, with
    ``timestep = 1000 sigma``, not rounded. So one step is ours to the bit; of several, the inner times are less than
    0.001 from ours, 1 - k / N. Of the other schedulers that take ``generator``, which ``DDPMPipeline`` passes,
    ``FlowMatchEulerDiscreteScheduler`` spends its last step between 0.001 and 0, and ``DPMSolverMultistepScheduler``
    starts at 0.999 and rounds its timesteps down.
    """
    # With SciPy's statistics and networks of all kinds, which only whoever saves waits for.
    from diffusers import HeliosScheduler

    return HeliosScheduler(
        num_train_timesteps=NUM_TRAIN_TIMESTEPS, stages=1, stage_range=[0, 1], scheduler_type="euler"
    )


def flow_map_scheduler() -> FlowMapEulerDiscreteScheduler:
    """The stock scheduler that a student of two times is saved with: N steps from sigma = 1 - k / N, exactly as ours.

    It takes the two times of a step. No stock pipeline gives a network the second one: a loop does, see
    docs/training.md.
    """
    from diffusers import FlowMapEulerDiscreteScheduler  # late for the same reason

    return FlowMapEulerDiscreteScheduler(num_train_timesteps=NUM_TRAIN_TIMESTEPS)


def latent_flow_scheduler() -> FlowMapEulerDiscreteScheduler:
    """The stock scheduler that a student of latents is saved with: :func:`flow_map_scheduler` for ``LDMPipeline``.

    That pipeline asks its scheduler for two things that :func:`flow_scheduler` has not: ``scale_model_input``, and the
    scale of the noise, which a scheduler of diffusers 0.42 without one of its own finds in its configuration. N steps
    are ours exactly; of schedulers that have both, DPM-Solver and UniPC with flow sigmas of order 1 are about 1e-2 off.
    """
    scheduler = flow_map_scheduler()
    scheduler.register_to_config(init_noise_sigma=1.0)
    return scheduler


def save_student(
    network: ModelMixin, folder: Path, like: Path | None = None, add: Callable[[Path], None] | None = None
) -> None:
    """Saves a student with the scheduler that its stock pipeline takes, as :func:`save_pipeline`."""
    kind = kind_of(network)
    of_latents = like is not None and kind.latent_pipeline is not None and autoencoder_folder(like) is not None
    scheduler: FlowMapEulerDiscreteScheduler | HeliosScheduler
    if of_latents:
        scheduler = latent_flow_scheduler()
    elif kind.steps_exactly or takes_two_times(network.config):
        scheduler = flow_map_scheduler()
    else:
        scheduler = flow_scheduler()
    save_pipeline(network, scheduler, folder, like, add)


def is_saved_student(folder: Path) -> bool:
    """Whether ``folder`` holds a student as :func:`save_student` leaves it, and nothing else."""
    return is_saved_pipeline(folder) and is_flow_scheduler(read_scheduler_config(folder))


def is_flow_scheduler(config: Mapping[str, Any]) -> bool:
    """Whether the content of a ``scheduler_config.json`` is a student's, not a diffusion teacher's."""
    return config.get("_class_name") in FLOW_SCHEDULERS
