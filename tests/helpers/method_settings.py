"""Settings of every method that have no default."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "reflow": {"timesteps": {"name": "uniform"}},
    "fixed_steps": {"num_steps": 4},
    "any_step": {"share_at_noise": 0.75},
    "frechet": {"share_at_noise": 0.75, "generated_per_pair": 3},
    "cmt": {},
    "mean_flow": {"share_of_velocity": 0.25},
    "shortcut": {"share_of_velocity": 0.5, "share_of_pairs": 0.25},
    "progressive": {"num_steps": 4},
    "consistency": {"ode_solver": "euler"},
}
