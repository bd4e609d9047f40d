"""Muon: momentum whose step of a weight matrix has all its singular values near one (Jordan et al. 2024)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from pipeline.training.sharding import local_values, to_full, to_local

_MOMENTUM = 0.95
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of X, X Xᵀ X and (X Xᵀ)² X, which raise small singular values fastest (Jordan et al. 2024)."""
_ITERATIONS = 5
_CHUNK = 2**24
"""Entries of weights that are orthogonalized, and gathered where they are sharded, at a time."""


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
            for weights in _chunks([weight for weight in group["params"] if weight.grad is not None]):
                self._step_of(weights, group["lr"], group["weight_decay"])

    def _step_of(self, weights: Sequence[torch.nn.Parameter], lr: float, weight_decay: float) -> None:
        """Takes the step of some weights; sharded momenta are gathered for them.

        What is done to each is asked for together: a GPU would wait for so many small operations.
        """
        whole = [to_full(own, weight) for own, weight in zip(self._momenta(weights), weights, strict=True)]
        directions = orthogonalized([momentum.flatten(1) for momentum in whole])
        torch._foreach_mul_([to_local(weight) for weight in weights], 1 - lr * weight_decay)
        updates: dict[float, tuple[list[torch.Tensor], list[torch.Tensor]]] = defaultdict(lambda: ([], []))
        for weight, direction in zip(weights, directions, strict=True):
            values, changes = updates[lr * 0.2 * math.sqrt(max(direction.shape))]
            values.append(to_local(weight))
            changes.append(local_values(direction.reshape(weight.shape), weight))
        for length, (values, changes) in updates.items():
            torch._foreach_sub_(values, changes, alpha=length)

    def _momenta(self, weights: Sequence[torch.nn.Parameter]) -> Sequence[torch.Tensor]:
        """Nesterov's, of the parts that this process holds: the gradients and their running means together."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        gradients = [to_local(weight.grad) for weight in weights if weight.grad is not None]
        momenta = [to_local(self.state[weight]["momentum"]) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
        return torch._foreach_lerp(gradients, momenta, _MOMENTUM)


def orthogonalized(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """About U Vᵀ of each matrix U S Vᵀ: a Newton-Schulz iteration brings singular values to between 0.7 and 1.2.

    An iteration is X ← (a I + b G + c G²) X with G = X Xᵀ. Its factors commute with G, so they are multiplied without
    X, of all matrices with as many rows at once; X has the fewer rows. Matrices of one shape share a product for G, as
    that of a single one, of rows x rows, has too few tiles for all of a GPU. Rounding makes small eigenvalues of G
    negative, and each iteration multiplies them by a², so products are in float32 even where TF32 is allowed.

    Args:
        matrices: Each (rows, columns), float32.

    Returns:
        The same shapes.
    """
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        wide = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT for matrix in matrices]
        places: dict[torch.Size, list[int]] = defaultdict(list)
        for place, matrix in enumerate(wide):
            places[matrix.shape].append(place)
        norms = torch._foreach_norm(wide)
        unit = {
            shape: torch.stack([wide[place] for place in chosen]).div_(
                torch.stack([norms[place] for place in chosen]).clamp(min=1e-7)[:, None, None]
            )
            for shape, chosen in places.items()
        }
        results = dict[int, torch.Tensor]()
        for rows in {shape[0]: None for shape in unit}:
            shapes = [shape for shape in unit if shape[0] == rows]
            factors = _factors(torch.cat([unit[shape] @ unit[shape].mT for shape in shapes]))
            for shape, of_shape in zip(
                shapes, torch.split(factors, [len(unit[shape]) for shape in shapes]), strict=True
            ):
                results |= zip(places[shape], of_shape @ unit.pop(shape), strict=True)
    finally:
        torch.set_float32_matmul_precision(allowed)
    return [
        results[place] if matrix.shape[0] <= matrix.shape[1] else results[place].mT
        for place, matrix in enumerate(matrices)
    ]


def _factors(grams: torch.Tensor) -> torch.Tensor:
    """What all iterations multiply X by, for each G = X Xᵀ (batch, rows, rows)."""
    product = factor = _factor(grams)
    for _ in range(_ITERATIONS - 1):
        grams = factor @ grams @ factor
        factor = _factor(grams)
        product = factor @ product
    return product


def _factor(grams: torch.Tensor) -> torch.Tensor:
    """What one iteration multiplies X by: a I + b G + c G²."""
    linear, cubic, quintic = _QUINTIC
    factor = torch.baddbmm(grams, grams, grams, beta=cubic, alpha=quintic)
    factor.diagonal(dim1=1, dim2=2).add_(linear)
    return factor


def hidden_weights(network: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Weights of the linear layers and convolutions of ``network`` but for the first and the last one.

    Those that read the sample and write the result are AdamW's, with biases, norms and embeddings (Jordan et al. 2024).
    A decoder comes last, wherever its class lists it.
    """
    named = sorted(network.named_modules(), key=lambda item: "decoder" in item[0].split("."))
    layers = [module for _, module in named if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)]
    return [next(layer.parameters(recurse=False)) for layer in layers[1:-1]]


def step_bytes(weights: Sequence[torch.nn.Parameter]) -> int:
    """About the most that a step takes beside momenta and gradients.

    Beside each square weight of a chunk, eight as large: Nesterov's momentum, the same of norm 1, and six for G
    and its factors; for others less.
    """
    return max((8 * 4 * sum(weight.numel() for weight in chunk) for chunk in _chunks(weights)), default=0)


def _chunks(weights: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """The weights in order, as many at a time as have ``_CHUNK`` entries together, or a single larger one."""
    chunk: list[torch.nn.Parameter] = []
    for weight in weights:
        if chunk and sum(item.numel() for item in chunk) + weight.numel() > _CHUNK:
            yield chunk
            chunk = []
        chunk.append(weight)
    if chunk:
        yield chunk
