"""Any diffusers DDPM as a deterministic map from noise to image."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from pipeline.config import SolverConfig
from pipeline.interpolation import per_sample
from pipeline.solvers import CountingField, Solution

# One sampler for every use: starts at the noisiest step, clips nothing.
_DETERMINISTIC = {"timestep_spacing": "trailing", "thresholding": False, "final_sigmas_type": "zero"}


def build_scheduler(
    noise_schedule: dict[str, Any], solver: str
) -> DPMSolverMultistepScheduler | UniPCMultistepScheduler:
    """The diffusers scheduler of a named deterministic solver.

    DDIM at eta = 0 is the first-order DPM-Solver++ (Lu et al. 2022, sec. 4), and is taken from there: the
    stock ``DDIMScheduler`` steps by the integer part of 1000/num_steps, so that for step counts that do
    not divide 1000 its steps do not meet.

    Args:
        noise_schedule: Configuration of the teacher's own scheduler (betas, prediction type).
        solver: ``ddim`` (Song et al. 2021, eta = 0) or ``unipc`` (Zhao et al. 2023).
    """
    if solver == "ddim":
        return DPMSolverMultistepScheduler.from_config(
            noise_schedule, solver_order=1, algorithm_type="dpmsolver++", **_DETERMINISTIC
        )
    return UniPCMultistepScheduler.from_config(noise_schedule, **_DETERMINISTIC)


def generate(
    network: torch.nn.Module, noise_schedule: dict[str, Any], x_0: torch.Tensor, solver: SolverConfig
) -> Solution:
    """Solves the teacher's ODE from noise to image.

    Args:
        network: The teacher's UNet.
        noise_schedule: Configuration of its scheduler.
        x_0: (batch, channels, height, width).
        solver: ``ddim`` or ``unipc`` with its steps.

    Returns:
        Images, not clipped, and the network calls made.
    """
    scheduler = build_scheduler(noise_schedule, solver.name)
    scheduler.set_timesteps(solver.num_steps, device=x_0.device)
    counted = CountingField(lambda x, t: network(x, t).sample[:, : x.shape[1]].float())
    x = x_0
    for timestep in scheduler.timesteps:
        x = scheduler.step(counted(x, timestep), timestep, x).prev_sample
    return Solution(x, counted.nfe)


class TeacherVelocity:
    """The teacher's probability-flow ODE as a velocity field on the rectified-flow time axis.

    With r = t/(1 - t), the point x_t of a linear path corresponds to x_t / S, S = sqrt((1 - t)² + t²), of the
    variance-preserving process where ᾱ = t²/S²; the network's time is found by interpolating log SNR
    (Lee et al. 2024, sec. 3). The velocity is x̂_1 - ε̂.

    Args:
        network: Epsilon-, sample- or v-predicting UNet.
        noise_schedule: Configuration of its scheduler.
    """

    def __init__(self, network: torch.nn.Module, noise_schedule: dict[str, Any]) -> None:
        self._network = network
        scheduler = build_scheduler(noise_schedule, "ddim")
        alphas_cumprod: torch.Tensor = scheduler.alphas_cumprod.double()
        self._prediction_type = scheduler.config["prediction_type"]
        self._signal_ratio: torch.Tensor = (alphas_cumprod / (1 - alphas_cumprod)).sqrt()

    @property
    def time_range(self) -> tuple[float, float]:
        """Smallest and largest t that the noise schedule covers."""
        ratio = self._signal_ratio[[-1, 0]]
        start, end = (ratio / (1 + ratio)).tolist()
        return start, end

    def __call__(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Velocity at ``x_t`` (batch, …) and times ``t`` (batch,) within :attr:`time_range`."""
        signal, noise = per_sample(t, x_t), per_sample(1 - t, x_t)
        scale = (signal.square() + noise.square()).sqrt()
        x_vp = x_t / scale
        output: torch.Tensor = self._network(x_vp, self._network_time(t)).sample[:, : x_t.shape[1]].float()
        alpha, sigma = signal / scale, noise / scale
        if self._prediction_type == "epsilon":
            return (x_vp - sigma * output) / alpha - output
        if self._prediction_type == "sample":
            return output - (x_vp - alpha * output) / sigma
        return (alpha * x_vp - sigma * output) - (alpha * output + sigma * x_vp)

    def _network_time(self, t: torch.Tensor) -> torch.Tensor:
        """Continuous timestep index whose log SNR is that of ``t``, by linear interpolation."""
        log_ratio = self._signal_ratio.log().flip(0).to(t.device)
        # Adaptive solvers probe a little past the ends, where the ratio has no logarithm.
        within = t.double().clamp(*self.time_range)
        wanted = torch.log(within / (1 - within)).clamp(log_ratio[0], log_ratio[-1])
        upper = torch.searchsorted(log_ratio, wanted).clamp(1, len(log_ratio) - 1)
        lower = upper - 1
        share = (wanted - log_ratio[lower]) / (log_ratio[upper] - log_ratio[lower])
        return (len(log_ratio) - 1 - (lower + share)).to(t.dtype)
