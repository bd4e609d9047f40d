"""Leaving out the pairs with the largest ‖x_1 - x_0‖.

A teacher's trajectories bend most between distant pairs; training without the farthest tenth is known to help. Nothing
is deleted: one bit per pair says whether it is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from pipeline.config.couplings import num_dropped_pairs
from pipeline.couplings.manifest import KEPT_PAIRS, Manifest, PairFilter, damaged
from pipeline.couplings.shard import write_shard


def kept_pairs(transport_costs: np.ndarray, dropped_share: float) -> np.ndarray:
    """Which pairs to keep: all but the ``dropped_share`` of largest cost, rounded down; ties drop the later pair.

    Args:
        transport_costs: ‖x_1 - x_0‖²/d of every pair, (num_pairs,).
        dropped_share: In [0, 1).

    Returns:
        Bool, (num_pairs,).
    """
    kept = np.ones(len(transport_costs), dtype=bool)
    num_dropped = num_dropped_pairs(len(transport_costs), dropped_share)
    order = np.argsort(transport_costs, kind="stable")
    kept[order[len(order) - num_dropped :]] = False
    return kept


def write_pair_filter(folder: Path, transport_costs: np.ndarray, dropped_share: float) -> PairFilter | None:
    """Writes which pairs of the store in ``folder`` are kept; None, and no file, where all are."""
    kept = kept_pairs(transport_costs, dropped_share)
    if kept.all():
        return None
    return PairFilter(
        dropped_share=dropped_share,
        num_dropped=int((~kept).sum()),
        smallest_dropped_cost=float(transport_costs[~kept].min()),
        file=KEPT_PAIRS,
        sha256=write_shard(folder / KEPT_PAIRS, {"kept": torch.from_numpy(np.packbits(kept))}),
    )


def read_kept_indices(folder: Path, manifest: Manifest) -> np.ndarray | None:
    """Indices of the pairs that a store keeps, ascending; None where it keeps all.

    Raises:
        StraightflowError: If the file does not keep as many as the manifest says.
    """
    if manifest.pair_filter is None:
        return None
    packed = load_file(folder / manifest.pair_filter.file)["kept"]
    kept = np.flatnonzero(np.unpackbits(packed, count=manifest.num_pairs))
    expected = manifest.num_pairs - manifest.pair_filter.num_dropped
    if len(kept) != expected:
        raise damaged(folder, f"{expected} pairs kept by {manifest.pair_filter.file}", str(len(kept)))
    return kept
