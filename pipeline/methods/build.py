"""From the configuration to the method that it names."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipeline.config.flow import LossConfig
from pipeline.config.methods import (
    AnyStepConfig,
    CmtConfig,
    ConsistencyConfig,
    FixedStepsConfig,
    FrechetConfig,
    MeanFlowConfig,
    MethodConfig,
    ProgressiveConfig,
    ReflowConfig,
    ShortcutConfig,
)
from pipeline.flow.losses import build_velocity_loss
from pipeline.flow.timesteps import build_timesteps
from pipeline.methods.any_step import AnyStep
from pipeline.methods.cmt import build_cmt
from pipeline.methods.consistency import Consistency
from pipeline.methods.consistency_schedule import Schedule
from pipeline.methods.fixed_steps import FixedSteps
from pipeline.methods.frechet import FeatureTarget, Frechet
from pipeline.methods.mean_flow import MeanFlow
from pipeline.methods.objective import Objective
from pipeline.methods.progressive import Progressive
from pipeline.methods.reflow import build_reflow
from pipeline.methods.running_moments import RunningMoments
from pipeline.methods.shortcut import Shortcut
from pipeline.models.ode import Ode
from pipeline.system.device import double_device


def build_method(
    method: MethodConfig,
    loss: LossConfig,
    device: torch.device,
    *,
    state_times: Sequence[float] = (),
    init: Ode | None = None,
    features: FeatureTarget | None = None,
) -> Objective:
    """The configured method of a student of couplings.

    Args:
        method: Its name and parameters.
        loss: Between velocities.
        device: Where networks of the loss go.
        state_times: Times of the couplings' states, for a method that needs them.
        init: ODE of the model that the student starts from, for a method that follows it.
        features: For a method that learns them.

    Raises:
        StraightflowError: If the method has no states to learn.
    """
    match method:
        case ReflowConfig():
            return build_reflow(method, loss, device)
        case FixedStepsConfig():
            return FixedSteps(build_velocity_loss(loss, device), method.num_steps)
        case FrechetConfig():
            assert features is not None  # it learns them
            return Frechet(
                AnyStep(build_velocity_loss(loss, device), method.share_at_noise, method.latest_time),
                features,
                RunningMoments(features.num_features, method.momentum, double_device(device)),
                method.generated_per_pair,
                method.weight,
            )
        case AnyStepConfig():
            return AnyStep(build_velocity_loss(loss, device), method.share_at_noise, method.latest_time)
        case CmtConfig():
            return build_cmt(method, build_velocity_loss(loss, device), state_times)
        case MeanFlowConfig():
            return MeanFlow(
                build_timesteps(method.timesteps),
                build_velocity_loss(loss, device),
                method.share_of_velocity,
                method.share_to_image,
                method.difference_step,
            )
        case ShortcutConfig():
            return Shortcut(
                build_timesteps(method.timesteps),
                build_velocity_loss(loss, device),
                method.share_of_velocity,
                method.share_of_pairs,
                method.steps == "halving",
            )
        case ProgressiveConfig():
            assert init is not None  # it follows init
            return Progressive(build_velocity_loss(loss, device), method.num_steps, init)
        case ConsistencyConfig():
            assert init is not None  # it follows init
            return Consistency(
                build_timesteps(method.timesteps),
                build_velocity_loss(loss, device),
                Schedule(method.shrink, method.num_stages),
                method.ode_solver == "heun",
                init,
            )
