"""Whether values are finite, told where they are."""

from __future__ import annotations

import torch


def all_finite(values: torch.Tensor) -> torch.Tensor:
    """Whether no entry is NaN or infinite: a boolean scalar on the device of ``values``, which have an entry.

    By the least and the largest entry, which one pass finds without memory of its own; both are NaN if any entry is.
    """
    least, largest = torch.aminmax(values)
    return (least > -torch.inf) & (largest < torch.inf)
