"""What a manifest says of pairs: measured when they are made, and again before they are trained on."""

from __future__ import annotations

import torch

# An entry this far outside [-1, 1] counts as clipped: about 6 of 255 grey levels. Anything closer is solver error
# around exact black and white.
CLIPPED_BEYOND = 0.05


def transport_costs(x_0: torch.Tensor, x_1: torch.Tensor) -> torch.Tensor:
    """‖x_1 - x_0‖²/d of each pair, d entries in a sample; float32, (batch,), on the pairs' device."""
    return (x_1 - x_0).square_().flatten(1).mean(1)


def remaining_costs(z: torch.Tensor, x_1: torch.Tensor) -> torch.Tensor:
    """‖x_1 - z_i‖²/d of each pair, a mean over its stored states.

    Args:
        z: States, float16, (batch, states, …).
        x_1: Images, float32, (batch, …).

    Returns:
        Float32, (batch,), on the pairs' device.
    """
    states = z.unbind(dim=1)
    total = transport_costs(states[0].float(), x_1)
    # One after another, so that the sum does not depend on how a device reduces.
    for state in states[1:]:
        total += transport_costs(state.float(), x_1)
    return total / len(states)


def num_clipped(x_1: torch.Tensor) -> torch.Tensor:
    """Entries of images, as they were solved, that are outside [-1, 1] by more than ``CLIPPED_BEYOND``; a scalar."""
    return torch.count_nonzero(x_1.abs() > 1 + CLIPPED_BEYOND)


def possibly_clipped(stored: torch.Tensor) -> tuple[int, int]:
    """Least and largest :func:`num_clipped` that stored images may have had before they were stored.

    8 bits keep of a clipped entry that it is black or white. Rounding to float16 may move an entry onto the limit, or
    off it.
    """
    if stored.dtype == torch.uint8:
        return 0, int(((stored == 0) | (stored == 255)).sum())
    limit = torch.tensor(1 + CLIPPED_BEYOND).to(stored.dtype)
    beyond, at = int((stored.abs() > limit).sum()), int((stored.abs() == limit).sum())
    return beyond, beyond + (at if stored.dtype == torch.float16 else 0)
