"""A batch of pairs as it is stored, and what is said of it: computed where the pairs are, and read by no one yet."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.couplings.manifest import Direction
from pipeline.couplings.pair_measures import num_clipped, remaining_costs, transport_costs
from pipeline.couplings.pairs import Pairs
from pipeline.couplings.shard import IMAGES, LABELS, NOISE, STATES
from pipeline.data.pixels import StoredType, from_stored, to_stored
from pipeline.data.space import Space
from pipeline.system.finite import all_finite

CHECKED = ("images", "noise", "states")
"""What of a pair has to be finite."""


@dataclass(frozen=True)
class StoredPairs:
    """Pairs of one batch, on their device.

    Attributes:
        tensors: As the shard holds them, by name.
        finite: Whether all of each of ``CHECKED`` is finite, bool, (3,).
        transport_costs: ‖x_1 - x_0‖²/d of each pair as stored, (batch,).
        num_clipped: Entries that were clipped, a scalar; None where none are.
        storage_squared_error: Sum of squares by which storing moved entries, a scalar; None unless they are decoded.
        noise_squared_errors: By which float16 moved the entries of the noise, if that is stored, (batch · d,).
        remaining_costs: See :func:`pipeline.couplings.pair_measures.remaining_costs`; None without states.
        states_squared_error: Mean square by which float16 moved the states, a scalar; None without.
    """

    tensors: dict[str, torch.Tensor]
    finite: torch.Tensor
    transport_costs: torch.Tensor
    num_clipped: torch.Tensor | None
    storage_squared_error: torch.Tensor | None
    noise_squared_errors: torch.Tensor | None
    remaining_costs: torch.Tensor | None
    states_squared_error: torch.Tensor | None


@torch.inference_mode()
def stored_pairs(pairs: Pairs, dtype: StoredType, direction: Direction, space: Space) -> StoredPairs:
    """Rounds pairs to what is stored, and measures them; no value is waited for.

    Args:
        pairs: As they were solved.
        dtype: Stored type of images.
        direction: How they were solved: noise that images were taken to is stored.
        space: What the samples are: bounded ones are clipped, and of those that are decoded the error is told.
    """
    images = to_stored(pairs.x_1, dtype)
    x_0, x_1 = pairs.x_0, from_stored(images)
    tensors = {IMAGES: images}
    noise_errors = costs_left = states_error = None
    if direction == "image_to_noise":
        tensors[NOISE] = pairs.x_0.half()
        x_0 = tensors[NOISE].float()
        noise_errors = (x_0 - pairs.x_0).square_().flatten()
    if pairs.labels is not None:
        tensors[LABELS] = pairs.labels.int()
    if pairs.states is not None:
        tensors[STATES] = pairs.states.z
        costs_left, states_error = remaining_costs(pairs.states.z, x_1), pairs.states.squared_error
    return StoredPairs(
        tensors,
        _are_finite(pairs),
        transport_costs(x_0, x_1),
        num_clipped(pairs.x_1) if space.is_bounded else None,
        (x_1 - pairs.x_1).double().square_().sum() if space.is_decoded else None,
        noise_errors,
        costs_left,
        states_error,
    )


def _are_finite(pairs: Pairs) -> torch.Tensor:
    finite = [all_finite(pairs.x_1), all_finite(pairs.x_0)]
    finite.append(torch.ones_like(finite[0]) if pairs.states is None else all_finite(pairs.states.z))
    return torch.stack(finite)
