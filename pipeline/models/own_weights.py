"""Whether weights are those of the network that they are read into."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from diffusers import ModelMixin

from pipeline.system.errors import StraightflowError


def require_own_weights(
    origin: str,
    missing: Collection[str],
    unexpected: Collection[str],
    misshapen: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> None:
    """Refuses weights of other names; diffusers fills missing tensors with random numbers and only warns.

    Args:
        origin: Names the model in errors.
        missing: Tensors of the network that its file lacks.
        unexpected: Tensors of the file that the network has not.
        misshapen: Shapes in the file that are not the network's.

    Raises:
        StraightflowError: If there are any.
    """
    problems = [
        f"a file that {problem} {min(names)}, {len(names)} such in all"
        for problem, names in (("has no tensor", missing), ("has a tensor", unexpected))
        if names
    ]
    if misshapen:
        name = min(misshapen)
        problems.append(f"a file with {name} of shape {misshapen[name]}, {len(misshapen)} such in all")
    if problems:
        raise StraightflowError(
            expected=f"the weights that the configuration in {origin} describes, by their names in diffusers",
            found="; ".join(problems),
            mend="put weights and config.json of one architecture together (saved from the network itself, not from a "
            "compiled or parallel wrapper), or name another model",
        )


def require_finite_weights(location: Path, network: ModelMixin) -> None:
    """Raises StraightflowError if a weight of the network read from ``location`` is NaN or infinite."""
    for name, values in network.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            raise StraightflowError(
                expected=f"finite weights in {location}",
                found=f"NaN or infinity in {name}",
                mend="take a checkpoint from before its training broke down",
            )
