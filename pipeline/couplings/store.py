"""Reading a finished store: memory-mapped, any pairs in any order."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.couplings.manifest import check_files, damaged, read_manifest
from pipeline.couplings.pair_filter import read_kept_indices
from pipeline.couplings.shard import IMAGES, LABELS, NOISE, STATES, map_shard
from pipeline.data.pixels import from_stored
from pipeline.flow.noise import noise_check, sample_noise, stream_key

# Each map holds a file descriptor, and a process usually may have 1,024.
MAPPED_SHARDS = 256


class CouplingStore:
    """A finished store. Pairs are addressed from 0 to len - 1, without the dropped ones.

    Args:
        folder: The store.
        verify: Whether to hash every shard.

    Raises:
        StraightflowError: If anything in the store is missing, damaged or made with another generator.
    """

    def __init__(self, folder: Path, *, verify: bool = True) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        check_files(folder, self.manifest, verify=verify)
        self._key = stream_key("couplings", self.manifest.seed)
        found = noise_check(self._key, self.manifest.shape)
        if found != self.manifest.noise_check:
            raise damaged(
                folder,
                f"noise check {self.manifest.noise_check[:12]}",
                f"{found[:12]}: this machine's generator draws other noise than the one that made the images",
            )
        self._shard = functools.lru_cache(MAPPED_SHARDS)(self._map)
        for shard in range(len(self.manifest.shards)):
            self._map(shard)  # finds what is truncated or of another shape without hashing it
        self._from_images = np.array([shard.is_from_images for shard in self.manifest.shards])
        self._kept = read_kept_indices(folder, self.manifest)

    def __reduce__(self) -> tuple[Callable[..., CouplingStore], tuple[Path]]:
        """A loader's worker opens the store itself, without hashing it again, instead of receiving its pairs."""
        return functools.partial(CouplingStore, verify=False), (self.folder,)

    def __len__(self) -> int:
        return self.manifest.num_pairs if self._kept is None else len(self._kept)

    def seed_indices(self, indices: np.ndarray) -> np.ndarray:
        """Indices of these pairs before any were dropped; their noise is drawn from the seed at these indices."""
        return indices if self._kept is None else self._kept[indices]

    def shards_of(self, indices: np.ndarray) -> np.ndarray:
        """Numbers of the shards that these pairs are in, (len(indices),)."""
        found: np.ndarray = self.seed_indices(indices) // self.manifest.shard_pairs
        return found

    def images(self, indices: np.ndarray) -> torch.Tensor:
        """Stored images of these pairs, in their stored type, (len(indices), …)."""
        return self.made_images(self.seed_indices(indices))

    def x_1(self, indices: np.ndarray) -> torch.Tensor:
        """Images of these pairs as float32, (len(indices), …)."""
        return from_stored(self.images(indices))

    def are_from_images(self, indices: np.ndarray) -> np.ndarray:
        """Which of these pairs were made from real images; bool, (len(indices),)."""
        return self.are_made_from_images(self.seed_indices(indices))

    def noise_heads(self, indices: np.ndarray) -> torch.Tensor:
        """First entries of these pairs' standard normal noise, (len(indices), at most 16), to tell noises apart."""
        entries = min(16, math.prod(self.manifest.shape))
        return self._noise(self.seed_indices(indices), (entries,))

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Pairs as float32 ``x_0`` and ``x_1``, each (len(indices), …), and int64 ``labels`` if there are any.

        States are left where they are: see :meth:`states`.
        """
        return self.load_made(self.seed_indices(indices))

    def load_made(self, seed_indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Like :meth:`load`, of pairs by their indices before any were dropped."""
        batch = {
            "x_0": self._noise(seed_indices, self.manifest.shape, self.manifest.noise),
            "x_1": from_stored(self.made_images(seed_indices)),
        }
        if self.manifest.num_classes is not None:
            batch["labels"] = torch.from_numpy(self._gather(LABELS, seed_indices)).long()
        return batch

    def labels(self, indices: np.ndarray) -> np.ndarray:
        """Classes of these pairs, int32, (len(indices),); of a store that has them."""
        return self._gather(LABELS, self.seed_indices(indices))

    def states(self, indices: np.ndarray) -> torch.Tensor:
        """States of these pairs at the manifest's ``state_times``, float16, (len(indices), states, …)."""
        return self.made_states(self.seed_indices(indices))

    def made_states(self, seed_indices: np.ndarray) -> torch.Tensor:
        """Like :meth:`states`, of pairs by their indices before any were dropped."""
        return torch.from_numpy(self._gather(STATES, seed_indices))

    def made_images(self, seed_indices: np.ndarray) -> torch.Tensor:
        """Like :meth:`images`, of pairs by their indices before any were dropped."""
        return torch.from_numpy(self._gather(IMAGES, seed_indices))

    def are_made_from_images(self, seed_indices: np.ndarray) -> np.ndarray:
        """Like :meth:`are_from_images`, of pairs by their indices before any were dropped."""
        found: np.ndarray = self._from_images[seed_indices // self.manifest.shard_pairs]
        return found

    def locate(self, index: int) -> str:
        """Shard file and row of a pair, for messages."""
        shard, row = divmod(int(self.seed_indices(np.array([index]))[0]), self.manifest.shard_pairs)
        return f"{self.manifest.shards[shard].file} row {row}"

    def _map(self, shard: int) -> dict[str, np.ndarray]:
        return map_shard(self.folder, self.manifest, self.manifest.shards[shard])

    def _noise(
        self, seed_indices: np.ndarray, shape: tuple[int, ...], distribution: NoiseConfig = STANDARD_NOISE
    ) -> torch.Tensor:
        """The first entries of noise, as many as ``shape`` holds, in that shape."""
        noise = torch.empty(len(seed_indices), *shape)
        from_seed = ~self.are_made_from_images(seed_indices)
        if from_seed.any():
            # A stream begins with the same numbers however many are drawn.
            noise[from_seed] = sample_noise(self._key, seed_indices[from_seed].tolist(), shape, distribution)
        if not from_seed.all():
            stored = torch.from_numpy(self._gather(NOISE, seed_indices[~from_seed])).float()
            noise[~from_seed] = stored.flatten(1)[:, : math.prod(shape)].reshape(-1, *shape)
        return noise

    def _gather(self, name: str, seed_indices: np.ndarray) -> np.ndarray:
        shards, rows = np.divmod(seed_indices, self.manifest.shard_pairs)
        first = self._shard(int(shards[0]) if len(shards) else 0)[name]
        result = np.empty((len(seed_indices), *first.shape[1:]), dtype=first.dtype)
        for shard in np.unique(shards):
            chosen = shards == shard
            result[chosen] = self._shard(int(shard))[name][rows[chosen]]
        return result
