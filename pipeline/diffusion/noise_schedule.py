"""A teacher's noise schedule: the coefficients of image and noise at each of its training timesteps.

Every diffusion process here is x = alpha x_1 + sigma ε. With t = alpha / (alpha + sigma), the point
x / (alpha + sigma) lies on the straight line (1 - t) ε + t x_1. This straight-line time t is therefore common
to all schedules (Lee et al. 2024, sec. 3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from diffusers import DDPMScheduler

from pipeline.config.solver import levels_problem
from pipeline.diffusion.preconditioning import NoiseLevels, Preconditioning, noise_time
from pipeline.diffusion.scheduler_settings import (
    EDMSettings,
    ExplodingSettings,
    PreservingSettings,
    read_settings,
)
from pipeline.system.errors import StraightflowError

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

# Below it there is nothing that an epsilon-predicting network could say about the image.
LEAST_ALPHA_OF_EPSILON = 1e-6
LEAST_LOG_RATIO_OF_EPSILON = -5.1
"""An error of ε̂ is one of the image sigma / alpha times as large. Cosine betas end where that is 20,000, and bfloat16
alone rounds the image away. Sampling starts at this level instead, as diffusers advises for them
(``lambda_min_clipped`` of ``DPMSolverMultistepScheduler``); linear ones of 1,000 levels end at -5.06, and lose none.
"""


@dataclass(frozen=True)
class Node:
    """A point of a solver's grid: x = alpha x_1 + sigma ε, and the timestep that the network gets there.

    Attributes:
        alpha: Coefficient of the image.
        sigma: Coefficient of the noise.
        log_ratio: log(alpha / sigma), finite for pure noise (:class:`NoiseSchedule`), infinite for the image.
        time: Timestep input of the network; NaN at the image, where the network is not called.
    """

    alpha: float
    sigma: float
    log_ratio: float
    time: float

    @property
    def t(self) -> float:
        """Straight-line time, alpha / (alpha + sigma), in [0, 1]."""
        return self.alpha / (self.alpha + self.sigma)


IMAGE = Node(alpha=1.0, sigma=0.0, log_ratio=math.inf, time=math.nan)


@dataclass(frozen=True)
class NoiseSchedule:
    """The T noise levels that a network is asked at, from the least noisy (index 0) to the noisiest.

    They are those that it was trained at, but for the noisiest where it predicts noise and sees hardly any image.

    Attributes:
        alpha: Coefficient of the image, (T,), float64.
        sigma: Coefficient of the noise, (T,), float64.
        time: Time input of the network, (T,): the index, the noise scale for networks that predict the score, or its
            logarithm by 4 for preconditioned ones.
        log_ratio: log(alpha / sigma), (T,), finite: where alpha is 0, extrapolated from the two levels before.
        prediction: What the network predicts; ``score`` is -ε / (noise scale).
        exploding: True if alpha is 1 throughout (variance exploding), False if alpha² + sigma² is (preserving).
        preconditioning: Of an EDM network, whose ``prediction`` is then of no account; None of others.
        sampled_levels: The levels that an EDM network is sampled at on a ``uniform`` grid; None of others.
    """

    alpha: np.ndarray
    sigma: np.ndarray
    time: np.ndarray
    log_ratio: np.ndarray
    prediction: Literal["epsilon", "v_prediction", "sample", "score"]
    exploding: bool
    preconditioning: Preconditioning | None = None
    sampled_levels: NoiseLevels | None = None
    _copied: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def initial_scale(self) -> float:
        """Standard deviation of the state that sampling starts from.

        For EDM networks it is that of data of variance 1 with the largest noise, as in diffusers.
        """
        if self.preconditioning is not None:
            return math.hypot(1.0, float(self.sigma[-1]))
        return float(self.sigma[-1]) if self.exploding else 1.0

    @property
    def initial_straight_scale(self) -> float:
        """Standard deviation of x / (alpha + sigma) in straight-line time, where sampling starts."""
        return self.initial_scale / float(self.alpha[-1] + self.sigma[-1])

    @property
    def time_range(self) -> tuple[float, float]:
        """Smallest and largest t = alpha / (alpha + sigma) that the schedule covers."""
        t = self.alpha / (self.alpha + self.sigma)
        return float(t[-1]), float(t[0])

    def node(self, index: int) -> Node:
        """The grid point at a training timestep's index."""
        return Node(*(float(values[index]) for values in (self.alpha, self.sigma, self.log_ratio, self.time)))

    def nodes(self, num_steps: int, grid: str = "uniform") -> tuple[Node, ...]:
        """Grid for sampling: num_steps + 1 points from the noisiest level to the clean image.

        Args:
            num_steps: Number of steps.
            grid: ``uniform`` in the training index, the ``trailing`` timesteps of Lin et al. 2024, table 2, or for EDM
                networks the noise levels of their scheduler; or ``quadratic`` from the noisiest to the least noisy
                level (Song et al. 2021, app. D.2).

        Raises:
            StraightflowError: If there are fewer training timesteps than steps.
        """
        levels = self._require_levels(num_steps)
        if grid == "quadratic":
            indices = self._quadratic(num_steps)[::-1]
        elif self.sampled_levels is not None:
            sigmas = self.sampled_levels.falling(num_steps)
            times = noise_time(sigmas)
            return (*(Node(1.0, *map(float, row)) for row in zip(sigmas, -np.log(sigmas), times, strict=True)), IMAGE)
        else:
            indices = np.round(np.arange(levels, 0, -levels / num_steps)).astype(int)[:num_steps] - 1
        return (*(self.node(index) for index in indices), IMAGE)

    def nodes_to_noise(self, num_steps: int, grid: str = "uniform") -> tuple[Node, ...]:
        """Grid for inversion: num_steps + 1 points from the least noisy level to the noisiest, by the same rules.

        Raises:
            StraightflowError: If there are fewer training timesteps than points.
        """
        levels = self._require_levels(num_steps + 1)
        uniform = np.linspace(0, levels - 1, num_steps + 1).round().astype(int)
        return tuple(self.node(index) for index in (self._quadratic(num_steps + 1) if grid == "quadratic" else uniform))

    def _quadratic(self, count: int) -> np.ndarray:
        """``count`` distinct training indices that grow quadratically up to the noisiest level."""
        last = self._require_levels(count) - 1
        places = np.arange(count)
        squares = np.round(last * (places / (count - 1)) ** 2).astype(int) if count > 1 else np.array([last])
        distinct: np.ndarray = np.maximum(squares, places)
        return distinct

    def _require_levels(self, wanted: int) -> int:
        levels = len(self.alpha)
        problem = levels_problem(wanted, levels)
        if problem is not None:
            raise StraightflowError(
                expected=f"at most {levels} grid points",
                found=problem,
                mend="lower num_steps",
            )
        return levels

    def at(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Alpha, sigma and the network's timestep at straight-line times ``t``, each of the shape of ``t``.

        Between two training timesteps log(alpha / sigma) is interpolated linearly. Outside their range the network
        gets the nearest timestep.
        """
        scale = 1 / t if self.exploding else 1 / torch.hypot(t, 1 - t)
        times = _interpolated(-torch.special.logit(t.double()), *self._timesteps_on(t.device))
        if self.prediction == "score":
            times = times.exp()
        return t * scale, (1 - t) * scale, times.to(t)

    def _timesteps_on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """-log(alpha / sigma) and the network's timestep there, for a score its logarithm, (T,) each, on ``device``.

        Copied once: the host waits for all that a GPU has to do whenever it copies there from ordinary memory.
        """
        if device not in self._copied:
            values = np.log(self.time) if self.prediction == "score" else self.time
            # Not in inference mode, whose tensors no graph may hold, as that of a likelihood does.
            with torch.inference_mode(False):
                places = torch.from_numpy(-self.log_ratio).to(device)
                self._copied[device] = places, torch.from_numpy(values.astype(np.float64)).to(device)
        return self._copied[device]


def read_noise_schedule(config: Mapping[str, Any]) -> NoiseSchedule:
    """The noise schedule of a saved scheduler; its sampling settings are ignored.

    Args:
        config: Content of ``scheduler_config.json``; see :mod:`pipeline.diffusion.scheduler_settings`.

    Raises:
        StraightflowError: If the process, one of its settings or the prediction type is of a kind not supported, or
            the network predicts noise where there is nothing else to see.
    """
    settings = read_settings(config)
    if isinstance(settings, EDMSettings):
        return _preconditioned(settings)
    return _variance_exploding(settings) if isinstance(settings, ExplodingSettings) else _variance_preserving(settings)


def noise_schedule_of(scheduler: SchedulerMixin) -> NoiseSchedule:
    """The forward process of a scheduler as it would be saved."""
    return read_noise_schedule(json.loads(scheduler.to_json_string()))


def _variance_preserving(settings: PreservingSettings) -> NoiseSchedule:
    alphas_cumprod = DDPMScheduler(**settings.scheduler).alphas_cumprod.double().numpy()
    _require_falling(alphas_cumprod)
    alpha, sigma = np.sqrt(alphas_cumprod), np.sqrt(1 - alphas_cumprod)
    if alpha[-1] < LEAST_ALPHA_OF_EPSILON and settings.prediction == "epsilon":
        raise StraightflowError(
            expected="v_prediction or sample for betas rescaled to zero terminal signal-to-noise ratio",
            found="epsilon, which says nothing about the image where alpha is 0 (Lin et al. 2024, sec. 3.2)",
            mend="correct scheduler_config.json to what the teacher was trained with, or name another teacher",
        )
    log_ratio = _finite_log_ratio(alpha, sigma)
    least = LEAST_LOG_RATIO_OF_EPSILON if settings.prediction == "epsilon" else -math.inf
    seen = log_ratio >= least
    return NoiseSchedule(
        alpha=alpha[seen],
        sigma=sigma[seen],
        time=np.arange(len(alpha), dtype=np.float64)[seen],
        log_ratio=log_ratio[seen],
        prediction=settings.prediction,
        exploding=False,
    )


def _require_falling(alphas_cumprod: np.ndarray) -> None:
    """Checks that every level has more noise than the one before, the first some, and only the last no image."""
    falls = np.all(np.diff(alphas_cumprod) < 0) and alphas_cumprod[0] < 1 and alphas_cumprod[-2] > 0
    if not falls or alphas_cumprod[-1] < 0:
        raise StraightflowError(
            expected="betas between 0 and 1, so that noise rises from level to level, in scheduler_config.json",
            found=f"products of 1 - beta from {alphas_cumprod[0]:.6g} to {alphas_cumprod[-1]:.6g} that do not fall "
            "from each level to the next",
            mend="correct it to what the teacher was trained with, or name another teacher",
        )


def _variance_exploding(settings: ExplodingSettings) -> NoiseSchedule:
    """Geometric noise scales on images in [0, 1] (Song et al. 2021, app. C); on [-1, 1] they are twice as large."""
    low, high = settings.sigma_min, settings.sigma_max
    scale = low * (high / low) ** np.linspace(0, 1, settings.num_levels)
    return NoiseSchedule(
        alpha=np.ones_like(scale),
        sigma=2 * scale,
        time=scale,
        log_ratio=-np.log(2 * scale),
        prediction="score",
        exploding=True,
    )


def _interpolated(x: torch.Tensor, places: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """``numpy.interp`` on the device of ``x``, for which the host does not wait: ``places`` rise, at least two."""
    right = torch.searchsorted(places, x).clamp(1, len(places) - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (places[right] - places[left])
    return values[left] + slope * (x.clamp(places[0], places[-1]) - places[left])


def _preconditioned(settings: EDMSettings) -> NoiseSchedule:
    """The noise levels of Karras et al. 2022, on images in [-1, 1]."""
    sigma = settings.levels.falling(settings.num_levels)[::-1].copy()
    return NoiseSchedule(
        alpha=np.ones_like(sigma),
        sigma=sigma,
        time=noise_time(sigma),
        log_ratio=-np.log(sigma),
        prediction="v_prediction" if settings.preconditioning.negative else "epsilon",
        exploding=True,
        preconditioning=settings.preconditioning,
        sampled_levels=settings.levels,
    )


def _finite_log_ratio(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """log(alpha / sigma), extrapolated linearly to the last level if alpha is 0 there."""
    with np.errstate(divide="ignore"):
        log_ratio = np.log(alpha) - np.log(sigma)
    if np.isneginf(log_ratio[-1]):
        log_ratio[-1] = 2 * log_ratio[-2] - log_ratio[-3]
    result: np.ndarray = log_ratio
    return result
