"""The preconditioned networks of Karras et al. 2022, table 1, column "Ours (EDM)", and their noise levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch


@dataclass(frozen=True)
class Preconditioning:
    """How an EDM network F sees x = x_1 + σ ε, and what its output says of x_1.

    Attributes:
        sigma_data: Standard deviation of the data that it was trained for.
        negative: Whether it predicts -F, as networks with diffusers' ``v_prediction`` do.
    """

    sigma_data: float
    negative: bool = False

    def network_input(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """c_in x, of variance 1 where data has ``sigma_data``."""
        return x / (sigma**2 + self.sigma_data**2) ** 0.5

    def estimate(self, x: torch.Tensor, output: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
        """x̂_1 = c_skip x + c_out F (eq. 7)."""
        variance = sigma**2 + self.sigma_data**2
        c_skip, c_out = self.sigma_data**2 / variance, sigma * self.sigma_data / variance**0.5
        return c_skip * x + (-c_out if self.negative else c_out) * output


@dataclass(frozen=True)
class NoiseLevels:
    """The levels at which diffusers' EDM schedulers call a network.

    Attributes:
        sigma_min: Least of them.
        sigma_max: Largest.
        spacing: ``karras``, equal steps of σ^(1/ρ) (eq. 5), or ``exponential``, of log σ.
        rho: ρ of ``karras``.
    """

    sigma_min: float
    sigma_max: float
    spacing: Literal["karras", "exponential"] = "karras"
    rho: float = 7.0

    def falling(self, count: int) -> np.ndarray:
        """``count`` levels from the largest to the least, (count,), float64; a single one is the largest."""
        shares = np.linspace(0, 1, count)
        if self.spacing == "exponential":
            levels: np.ndarray = self.sigma_max * (self.sigma_min / self.sigma_max) ** shares
        else:
            largest, least = self.sigma_max ** (1 / self.rho), self.sigma_min ** (1 / self.rho)
            levels = (largest + shares * (least - largest)) ** self.rho
        return levels


def noise_time(sigma: np.ndarray) -> np.ndarray:
    """c_noise = ln(σ) / 4, the network's time input."""
    times: np.ndarray = np.log(sigma) / 4
    return times
