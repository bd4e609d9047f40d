"""Muon: momentum whose step of a weight matrix has all its singular values near one (Jordan et al. 2024)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch

from pipeline.training.sharding import local_values, to_full, to_local

_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of X, X Xᵀ X and (X Xᵀ)² X, which raise small singular values fastest (Jordan et al. 2024)."""
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """For the hidden weights of a network, of two dimensions or more; a convolution's is the matrix (out, in · k · k).

    A step is W ← (1 - lr · weight_decay) W - lr · 0.2 sqrt(max(rows, columns)) · orthogonalized(Nesterov momentum). The
    factor gives its entries the size of AdamW's steps, whose learning rates fit (Liu et al. 2025, arXiv 2502.16982,
    eq. 4). ``torch.optim.Muon`` with ``match_rms_adamw`` is the same of Linear weights, the only ones that it takes, in
    bfloat16; this is in float32.

    Args:
        params: Weights.
        lr: Learning rate, like AdamW's.
        weight_decay: Decoupled, as AdamW's.
    """

    def __init__(self, params: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step along the gradients; parameters without one stay as they are."""
        assert closure is None  # a training step has its gradients
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            directions = orthogonalized([to_full(self._momentum(weight), weight).flatten(1) for weight in weights])
            for weight, direction in zip(weights, directions, strict=True):
                length = group["lr"] * 0.2 * math.sqrt(max(direction.shape))
                update = local_values(direction.reshape(weight.shape), weight)
                to_local(weight).mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=length)

    def _momentum(self, weight: torch.nn.Parameter) -> torch.Tensor:
        """Nesterov's: the gradient and its running mean together."""
        gradient = weight.grad
        assert gradient is not None
        if not self.state[weight]:
            self.state[weight]["momentum"] = torch.zeros_like(weight)
        momentum = self.state[weight]["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)


def orthogonalized(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """About U Vᵀ of each matrix U S Vᵀ: a Newton-Schulz iteration brings singular values to between 0.7 and 1.2.

    An iteration is X ← (a I + b G + c G²) X with G = X Xᵀ. Its factors commute with G, so they are multiplied without
    X, of all matrices with as many rows at once; X has the fewer rows.

    Args:
        matrices: Each (rows, columns).

    Returns:
        The same shapes.
    """
    wide = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT for matrix in matrices]
    unit = [matrix / matrix.norm().clamp(min=1e-7) for matrix in wide]
    places: dict[int, list[int]] = defaultdict(list)
    for place, matrix in enumerate(unit):
        places[len(matrix)].append(place)
    factors: dict[int, torch.Tensor] = {}
    for same_rows in places.values():
        found = _factors(torch.stack([unit[place] @ unit[place].mT for place in same_rows]))
        factors |= dict(zip(same_rows, found, strict=True))
    results = [factors[place] @ matrix for place, matrix in enumerate(unit)]
    return [
        result if matrix.shape[0] <= matrix.shape[1] else result.mT
        for matrix, result in zip(matrices, results, strict=True)
    ]


def _factors(grams: torch.Tensor) -> torch.Tensor:
    """What all iterations multiply X by, for each G = X Xᵀ (batch, rows, rows)."""
    linear, cubic, quintic = _QUINTIC
    product = torch.eye(grams.shape[1], device=grams.device).expand_as(grams)
    for _ in range(_ITERATIONS):
        factor = torch.baddbmm(grams, grams, grams, beta=cubic, alpha=quintic)
        factor.diagonal(dim1=1, dim2=2).add_(linear)
        product, grams = factor @ product, factor @ grams @ factor
    return product


def hidden_weights(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Weights of the linear layers and convolutions of ``network`` but for the first and the last one.

    Those that read the sample and write the result are AdamW's, with biases, norms and embeddings (Jordan et al. 2024).
    """
    layers = (torch.nn.Linear, torch.nn.Conv2d)
    weights = [next(module.parameters(recurse=False)) for module in network.modules() if isinstance(module, layers)]
    return weights[1:-1]
