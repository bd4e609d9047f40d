"""A store in the making: its model, its settings, and the folder of its finished shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.couplings import CouplingsConfig, storage_problem
from pipeline.couplings.manifest import VERSION
from pipeline.couplings.unfinished import PREFIX, FinishedShard, UnfinishedStore
from pipeline.data.sample_set import SampleSet
from pipeline.data.space import LATENTS
from pipeline.flow.noise import noise_check, stream_key
from pipeline.models.sampler import Sampler
from pipeline.system.blocks import batches_of
from pipeline.system.code import NO_CODE
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_json

# Settings that change the whole store but not the content of a full shard.
_NOT_OF_A_SHARD = {"num_pairs", "drop_farthest_share"}


@dataclass(frozen=True)
class CouplingRun:
    """A store in the making.

    Attributes:
        sampler: Model that the pairs are drawn from.
        config: How.
        unfinished: Its finished shards.
        images: Real images, for the pairs made from them.
    """

    sampler: Sampler
    config: CouplingsConfig
    unfinished: UnfinishedStore
    images: SampleSet | None = None

    @property
    def num_shards(self) -> int:
        """Shards of the whole store."""
        return -(-self.config.num_pairs // self.config.shard_pairs)

    def indices(self, shard: int) -> range:
        """Indices of the pairs in a shard."""
        size = self.config.shard_pairs
        return range(shard * size, min((shard + 1) * size, self.config.num_pairs))

    def batches(self, shard: int) -> list[range]:
        """Indices of the pairs of a shard that are solved together."""
        return batches_of(self.indices(shard), self.config.batch_size)

    def finished(self, shard: int) -> FinishedShard | None:
        """The record of a shard, if it is made."""
        return self.unfinished.finished(shard, len(self.indices(shard)))


def open_run(
    sampler: Sampler,
    config: CouplingsConfig,
    runs_folder: Path,
    images: SampleSet | None = None,
    *,
    code: Mapping[str, str] = NO_CODE,
) -> CouplingRun:
    """Opens the unfinished store of these inputs, or begins one, in ``runs_folder``.

    Args:
        sampler: Model that the pairs are drawn from.
        config: How.
        runs_folder: Where unfinished stores live.
        images: Real images; needed where ``config.image_to_noise`` asks for pairs made from them.
        code: Code that makes the pairs, see :func:`pipeline.system.code.reached_code`; shards made by other code, or by
            a generator that draws other noise, are not reused.

    Raises:
        StraightflowError: If latents are to be stored in 8 bits.
    """
    problem = storage_problem(config.dtype) if sampler.space is LATENTS else None
    if problem is not None:
        raise StraightflowError(
            expected=f"a stored type that holds the latents of {config.source}", found=problem, mend="change dtype"
        )
    sampler = sampler.drawing(config.classes)
    inverted = images if config.image_to_noise is not None else None
    # Which shards are made from images depends on the number of pairs.
    without_effect = _NOT_OF_A_SHARD if inverted is None else _NOT_OF_A_SHARD - {"num_pairs"}
    settings = config.model_dump(mode="json", exclude=without_effect)
    noise = noise_check(stream_key("couplings", config.seed), sampler.shape)
    parts = [VERSION, sampler.fingerprint, sampler.runtime.precision, sampler.shape, settings, noise, dict(code)]
    if inverted is not None:
        parts.append(inverted.fingerprint)
    inputs = fingerprint_json(parts)
    run = CouplingRun(sampler, config, UnfinishedStore(runs_folder / f"{PREFIX}{inputs[:16]}"), images)
    run.unfinished.open(settings)
    return run
