"""What a saved scheduler says about the forward process: read by allow-lists, so that nothing is taken for another.

diffusers fills settings that are missing with the defaults of the class and ignores those that it does not know; here
both are errors. Settings that only shape sampling are known by name and ignored.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from pipeline.diffusion.preconditioning import NoiseLevels, Preconditioning
from pipeline.system.errors import StraightflowError, nearest

VARIANCE_EXPLODING = "ScoreSdeVeScheduler"
EDM = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
"""Samplers of preconditioned networks (Karras et al. 2022)."""
VARIANCE_PRESERVING = (
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "UniPCMultistepScheduler",
)
"""Samplers of one process: x = √ᾱ x_1 + √(1 - ᾱ) ε at whole times from 0, ᾱ the products of 1 - beta."""

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace")
Prediction = Literal["epsilon", "v_prediction", "sample"]
PREDICTION_TYPES: tuple[Prediction, ...] = ("epsilon", "v_prediction", "sample")

MOST_LEVELS = 1_000_000

LEAST_SIGMA, LARGEST_SIGMA = 1e-6, 1e6
"""Scales of noise beside which float32 still sees an image in [0, 1], and which it sees beside one."""
LEAST_RANGE = 2.0
"""Factor between the largest scale and the least: with hardly any, sampling would start from nearly clean images."""

LARGEST_RHO = 1000.0
"""Karras et al. 2022 try 3 to 12; with far more the levels are those of ``exponential``."""
SIGMA_SCHEDULES: tuple[Literal["karras", "exponential"], ...] = ("karras", "exponential")

_PRESERVING_PROCESS = frozenset(
    {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type"}
) | {"rescale_betas_zero_snr"}
_EXPLODING_PROCESS = frozenset({"num_train_timesteps", "sigma_min", "sigma_max"})
_EDM_PROCESS = _EXPLODING_PROCESS | {"sigma_data", "sigma_schedule", "rho", "prediction_type"}

# Settings that make it another process, with the values at which they do not.
_ONLY_AT: Mapping[str, tuple[Any, ...]] = {
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "shift_terminal": (None,),
    "timestep_type": ("discrete",),
    "predict_epsilon": (True, None),  # diffusers before 0.10 said so instead of prediction_type
}
_OF_SAMPLING_ALONE = frozenset(
    {
        "algorithm_type",
        "clip_sample",
        "clip_sample_range",
        "correct_steps",
        "corrector_order",
        "disable_corrector",
        "dynamic_thresholding_ratio",
        "euler_at_final",
        "final_sigmas_type",
        "flow_shift",
        "interpolation_type",
        "lambda_min_clipped",
        "lower_order_final",
        "predict_x0",
        "predictor_order",
        "sample_max_value",
        "sampling_eps",
        "set_alpha_to_one",
        "skip_prk_steps",
        "snr",
        "solver_order",
        "solver_p",
        "solver_type",
        "steps_offset",
        "tau_func",
        "tensor_format",
        "thresholding",
        "time_shift_type",
        "timestep_spacing",
        "timesteps",
        "use_beta_sigmas",
        "use_exponential_sigmas",
        "use_karras_sigmas",
        "use_lu_lambdas",
        "variance_type",
    }
)
# Of sampling alone where betas fix the process.
_SIGMA_BOUNDS = frozenset({"sigma_min", "sigma_max"})


@dataclass(frozen=True)
class PreservingSettings:
    """A variance-preserving process.

    Attributes:
        scheduler: Arguments of ``DDPMScheduler``, which compute its betas.
        prediction: What the network predicts.
    """

    scheduler: dict[str, Any]
    prediction: Prediction


@dataclass(frozen=True)
class ExplodingSettings:
    """A variance-exploding process: geometric scales of noise on images in [0, 1]."""

    num_levels: int
    sigma_min: float
    sigma_max: float


@dataclass(frozen=True)
class EDMSettings:
    """The process of preconditioned networks.

    Attributes:
        num_levels: How many levels the grids choose from that take trained ones.
        levels: Noise levels, on images in [-1, 1].
        preconditioning: Of the network.
    """

    num_levels: int
    levels: NoiseLevels
    preconditioning: Preconditioning


def read_settings(config: Mapping[str, Any]) -> PreservingSettings | ExplodingSettings | EDMSettings:
    """Reads the content of ``scheduler_config.json``.

    Raises:
        StraightflowError: If the class is of no supported process, a setting of the process is missing, of another
            kind or out of range, or there is a setting that is not known.
    """
    kind = config.get("_class_name")
    if kind == VARIANCE_EXPLODING:
        _require_known(config, _EXPLODING_PROCESS)
        return ExplodingSettings(_num_levels(config), *_scales(config))
    if kind in EDM:
        return _edm_settings(config)
    if kind not in VARIANCE_PRESERVING:
        raise StraightflowError(
            expected=f"a scheduler of a diffusion process with betas ({', '.join(VARIANCE_PRESERVING)}), "
            f"or {', '.join((*EDM, VARIANCE_EXPLODING))}",
            found=str(config.get("_class_name", "a scheduler without a name")),
            mend="save the teacher with the scheduler it was trained with, or name another teacher",
        )
    _require_known(config, _PRESERVING_PROCESS | _SIGMA_BOUNDS)
    return PreservingSettings(_betas(config) | {"num_train_timesteps": _num_levels(config)}, _prediction(config))


def _edm_settings(config: Mapping[str, Any]) -> EDMSettings:
    _require_known(config, _EDM_PROCESS)
    prediction = _prediction(config)
    if prediction == "sample":
        raise _refusal("prediction_type epsilon or v_prediction of a preconditioned network", repr(prediction))
    sigma_data, rho = _number(config, "sigma_data"), _number(config, "rho")
    if not LEAST_SIGMA <= sigma_data <= LARGEST_SIGMA or not 1 <= rho <= LARGEST_RHO:
        raise _refusal(
            f"sigma_data from {LEAST_SIGMA:g} to {LARGEST_SIGMA:g} and rho from 1 to {LARGEST_RHO:g}",
            f"sigma_data {sigma_data}, rho {rho}",
        )
    for spacing in SIGMA_SCHEDULES:
        if config.get("sigma_schedule", SIGMA_SCHEDULES[0]) == spacing:
            levels = NoiseLevels(*_scales(config), spacing, rho)
            return EDMSettings(_num_levels(config), levels, Preconditioning(sigma_data, prediction == "v_prediction"))
    raise _refusal(f"sigma_schedule {' or '.join(SIGMA_SCHEDULES)}", repr(config["sigma_schedule"]))


def _scales(config: Mapping[str, Any]) -> tuple[float, float]:
    """Least and largest noise."""
    low, high = _number(config, "sigma_min"), _number(config, "sigma_max")
    if not LEAST_SIGMA <= low < high <= LARGEST_SIGMA or high / low < LEAST_RANGE:
        raise _refusal(
            f"{LEAST_SIGMA:g} ≤ sigma_min, at most a {LEAST_RANGE:g}th of sigma_max ≤ {LARGEST_SIGMA:g}",
            f"sigma_min {low}, sigma_max {high}",
        )
    return low, high


def _betas(config: Mapping[str, Any]) -> dict[str, Any]:
    rescale = config.get("rescale_betas_zero_snr", False)
    if not isinstance(rescale, bool):
        raise _refusal("true or false for rescale_betas_zero_snr", repr(rescale))
    trained = config.get("trained_betas")
    if trained is not None:
        return {"trained_betas": _trained_betas(trained, _num_levels(config)), "rescale_betas_zero_snr": rescale}
    schedule = config.get("beta_schedule")
    if schedule not in BETA_SCHEDULES:
        raise _refusal(f"beta_schedule {', '.join(BETA_SCHEDULES)}", repr(schedule))
    start, end = _number(config, "beta_start"), _number(config, "beta_end")
    if not 0 < start <= end < 1:
        raise _refusal("0 < beta_start ≤ beta_end < 1", f"beta_start {start}, beta_end {end}")
    return {
        "beta_schedule": schedule,
        "beta_start": start,
        "beta_end": end,
        "rescale_betas_zero_snr": rescale,
    }


def _trained_betas(betas: Any, num_levels: int) -> list[float]:
    if not isinstance(betas, list | tuple) or not all(_is_number(beta) for beta in betas):
        raise _refusal("a list of numbers in trained_betas", type(betas).__name__)
    if len(betas) != num_levels:
        raise _refusal(f"{num_levels} trained_betas, as num_train_timesteps says", str(len(betas)))
    return [float(beta) for beta in betas]


def _prediction(config: Mapping[str, Any]) -> Prediction:
    found = config.get("prediction_type", "epsilon")  # what diffusers had before there was a choice
    for known in PREDICTION_TYPES:
        if found == known:
            return known
    raise StraightflowError(
        expected=f"prediction_type {', '.join(PREDICTION_TYPES)}",
        found=repr(found),
        mend="correct scheduler_config.json to what the teacher predicts, or name another teacher",
    )


def _num_levels(config: Mapping[str, Any]) -> int:
    count = config.get("num_train_timesteps")
    if not isinstance(count, int) or isinstance(count, bool) or not 3 <= count <= MOST_LEVELS:
        raise _refusal(f"num_train_timesteps from 3 to {MOST_LEVELS:,}", repr(count))
    return count


def _require_known(config: Mapping[str, Any], process: frozenset[str]) -> None:
    for name, value in config.items():
        if name.startswith("_") or name in process or name in _OF_SAMPLING_ALONE:
            continue
        if name not in _ONLY_AT:
            raise _refusal(
                "settings of the scheduler that are known not to change the process",
                f"{name}: {value!r}{nearest(name, process)}",
            )
        if value not in _ONLY_AT[name]:
            raise _refusal(f"{name}: {_ONLY_AT[name][0]!r}, as other values make another process", repr(value))


def _number(config: Mapping[str, Any], name: str) -> float:
    value = config.get(name)
    if not _is_number(value):
        raise _refusal(f"a number for {name}", "none" if value is None else repr(value))
    return float(value)


def _is_number(value: Any) -> TypeGuard[float]:
    # Also false for NaN, and for whole numbers that no float holds.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _refusal(expected: str, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"{expected}, in the teacher's scheduler_config.json",
        found=found[:200],
        mend="correct it to what the teacher was trained with, or name another teacher",
    )
