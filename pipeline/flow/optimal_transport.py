"""Pairs noise with images so that their paths cross less."""

from __future__ import annotations

import torch


def pair_by_optimal_transport(x_0: torch.Tensor, x_1: torch.Tensor) -> torch.Tensor:
    """Reorders noise to minimise Σ ‖x_1 - x_0‖² over a batch (Pooladian et al. 2023; Tong et al. 2024, sec. 3.2).

    The optimal plan between two equally weighted sets of the same size is a permutation. It is found exactly; the cost
    grows with the cube of the batch size.

    Args:
        x_0: Noise, (batch, …), on the CPU.
        x_1: Images, same shape.

    Returns:
        ``x_0`` with its rows reordered: row i belongs to image i.
    """
    from scipy.optimize import linear_sum_assignment  # imported here: training on given pairs does not need it

    # ‖x_1 - x_0‖² differs from -2 x_1·x_0 by terms that no permutation changes.
    cost = -(x_1.flatten(1).double() @ x_0.flatten(1).double().T)
    _, columns = linear_sum_assignment(cost.numpy())
    return x_0[torch.from_numpy(columns)]
