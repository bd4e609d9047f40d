"""Muon: momentum whose step of a weight matrix has all its singular values near one (Jordan et al. 2024)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable

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
    eq. 4). ``torch.optim.Muon`` with ``match_rms_adamw`` is the same of Linear weights, the only ones that it takes.

    Args:
        params: Weights; matrices of one shape are orthogonalized together.
        lr: Learning rate, like AdamW's.
        weight_decay: Decoupled, as AdamW's.
        dtype: Of the orthogonalization.
    """

    def __init__(
        self, params: Iterable[torch.nn.Parameter], *, lr: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step along the gradients; parameters without one stay as they are."""
        assert closure is None  # a training step has its gradients
        for group in self.param_groups:
            for same_shape in _by_shape(group["params"]):
                momenta = [to_full(self._momentum(weight), weight).flatten(1) for weight in same_shape]
                directions = orthogonalized(torch.stack(momenta).to(self._dtype))
                rows, columns = directions.shape[1:]
                length = group["lr"] * 0.2 * math.sqrt(max(rows, columns))
                for weight, direction in zip(same_shape, directions, strict=True):
                    update = local_values(direction.reshape(weight.shape).to(weight.dtype), weight)
                    own = to_local(weight)
                    own.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=length)

    def _momentum(self, weight: torch.nn.Parameter) -> torch.Tensor:
        """Nesterov's: the gradient and its running mean together."""
        gradient = weight.grad
        assert gradient is not None
        if not self.state[weight]:
            self.state[weight]["momentum"] = torch.zeros_like(weight)
        momentum = self.state[weight]["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)


def orthogonalized(matrices: torch.Tensor) -> torch.Tensor:
    """About U Vᵀ of each matrix U S Vᵀ: a Newton-Schulz iteration brings singular values to between 0.7 and 1.2.

    Args:
        matrices: (batch, rows, columns).

    Returns:
        The same shape and type.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalized(matrices.mT).mT
    linear, cubic, quintic = _QUINTIC
    x: torch.Tensor = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x


def hidden_weights(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Weights of the linear layers and convolutions of ``network`` but for the first and the last one.

    Those that read the sample and write the result are AdamW's, with biases, norms and embeddings (Jordan et al. 2024).
    """
    layers = (torch.nn.Linear, torch.nn.Conv2d)
    weights = [next(module.parameters(recurse=False)) for module in network.modules() if isinstance(module, layers)]
    return weights[1:-1]


def _by_shape(weights: Iterable[torch.nn.Parameter]) -> Iterable[list[torch.nn.Parameter]]:
    groups: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
    for weight in weights:
        if weight.grad is not None:
            groups[weight.shape].append(weight)
    return groups.values()
