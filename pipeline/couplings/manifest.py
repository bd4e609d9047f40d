"""The manifest of a store, and checks of the store's files against it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.couplings import ImageToNoiseConfig, storage_problem
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.section import NonNegativeFloat, NonNegativeInt, PositiveInt, Probability, Seed, Sha256, UnitFloat
from pipeline.config.solver import SolverConfig, states_problem
from pipeline.couplings.noise_normality import NoiseNormality
from pipeline.data.pixels import StoredType
from pipeline.data.space import LATENTS, Space, space_of_shape
from pipeline.system.errors import StraightflowError, one_line, validation_problems
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.replacing import holding_only
from pipeline.system.whole_files import read_json

FORMAT: Literal["straightflow-couplings"] = "straightflow-couplings"
VERSION: Literal[2] = 2
VERSION_WITH_STATES: Literal[3] = 3
"""Of stores that keep states; others are written as they were before there were any."""
MANIFEST = "manifest.json"
KEPT_PAIRS: Literal["kept.safetensors"] = "kept.safetensors"
MAKE_AGAIN = "make the couplings again with `dvc repro --force couplings@ROUND`"
_SHARD_NAME = re.compile(r"^shard-\d{6}\.safetensors$")


_NOT_WRITTEN_IF_NONE = Field(exclude_if=lambda value: value is None)
Direction = Literal["noise_to_image", "image_to_noise"]


@dataclass(frozen=True)
class StoredNoise(NoiseNormality):
    """Moments of the noise that images were inverted to, and the error of storing it in float16.

    Attributes:
        float16_error: Root mean square of the difference between solved and stored noise.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    float16_error: float


@dataclass(frozen=True)
class StoredStates:
    """What is known of the states in a shard, and the error of storing them in float16.

    Attributes:
        float16_error: Root mean square of the difference between solved and stored states.
        remaining_cost: Mean of ‖x_1 - z‖²/d over its pairs and their states z: what is left of the transport cost.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    float16_error: NonNegativeFloat
    remaining_cost: NonNegativeFloat


class ShardRecord(BaseModel):
    """One shard.

    Attributes:
        file: Name of the file.
        num_pairs: Pairs in it.
        sha256: Hash of the file.
        clipped_fraction: Share of image entries that were outside [-1, 1] by more than
            :data:`pipeline.couplings.pair_measures.CLIPPED_BEYOND` before they were stored; 0 for points and latents.
        transport_cost: Mean of ‖x_1 - x_0‖²/d over its pairs, d = C·H·W.
        direction: ``noise_to_image`` pairs have noise from the seed; ``image_to_noise`` pairs have it in the shard.
        noise: Moments of the noise in the shard; None where it is drawn from the seed.
        states: Of the states in the shard; None, and not written, where there are none.
        storage_error: Root mean square of the difference between solved and stored latents; None, and not written, for
            images and points.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    file: str
    num_pairs: PositiveInt
    sha256: Sha256
    clipped_fraction: UnitFloat
    transport_cost: NonNegativeFloat
    direction: Direction = "noise_to_image"
    noise: StoredNoise | None = None
    states: Annotated[StoredStates | None, _NOT_WRITTEN_IF_NONE] = None
    storage_error: Annotated[NonNegativeFloat | None, _NOT_WRITTEN_IF_NONE] = None

    @property
    def is_from_images(self) -> bool:
        """Whether its pairs were made from real images, so that their noise is in the shard."""
        return self.direction == "image_to_noise"


class PairFilter(BaseModel):
    """The pairs left out of a store, see :mod:`pipeline.couplings.pair_filter`.

    Attributes:
        dropped_share: Configured share of pairs to drop.
        num_dropped: Pairs dropped.
        smallest_dropped_cost: ‖x_1 - x_0‖²/d of the closest pair dropped.
        file: File with one bit per pair, set if the pair is kept.
        sha256: Hash of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    dropped_share: Probability
    num_dropped: PositiveInt
    smallest_dropped_cost: NonNegativeFloat
    file: Literal["kept.safetensors"]
    sha256: Sha256


class Manifest(BaseModel):
    """What a store holds and how it was made.

    Attributes:
        num_pairs: Pairs in all shards, including those that ``pair_filter`` leaves out.
        shard_pairs: Pairs in every shard but the last.
        shape: (channels, height, width) of images or latents, (dim,) of points.
        samples: ``latents`` where the source has an autoencoder. None, and not written, where the shape says what a
            sample is: an image or a point.
        dtype: Stored type of samples; ``uint8`` is u / 127.5 - 1.
        seed: Store seed; noise is a function of it and a pair's index.
        noise: Distribution of x_0.
        noise_check: :func:`pipeline.flow.noise.noise_check` of the seed.
        source: Model that made the pairs.
        source_fingerprint: Of its folder.
        solver: Its solver with its settings.
        nfe_mean: Mean network calls per pair.
        batch_size: Images per network call; other batch sizes give the same images up to rounding.
        precision: Autocast type of the network calls.
        num_classes: Classes of the labels in the shards; None where there are none.
        class_counts: How often each class was drawn for pairs made from noise, as a share of their sum; None, and not
            written, where all were drawn alike.
        image_to_noise: Share and solver of the pairs made from real images; None where there are none.
        pair_filter: Pairs left out; None where there are none.
        state_times: Straight-line times of the states kept with every pair, rising, in (0, 1); the state that the first
            step begins at is the noise. None, and not written, where no states are kept.
        shards: The shards, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    format: Literal["straightflow-couplings"]
    version: Literal[2, 3]
    num_pairs: PositiveInt
    shard_pairs: PositiveInt
    shape: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    samples: Annotated[Literal["latents"] | None, _NOT_WRITTEN_IF_NONE] = None
    dtype: StoredType
    seed: Seed
    noise: NoiseConfig = STANDARD_NOISE
    noise_check: Sha256
    source: str
    source_fingerprint: Sha256
    solver: SolverConfig
    nfe_mean: NonNegativeFloat
    batch_size: PositiveInt
    precision: str
    num_classes: PositiveInt | None = None
    class_counts: Annotated[tuple[NonNegativeInt, ...] | None, _NOT_WRITTEN_IF_NONE] = None
    image_to_noise: ImageToNoiseConfig | None = None
    pair_filter: PairFilter | None = None
    state_times: Annotated[tuple[float, ...] | None, _NOT_WRITTEN_IF_NONE] = None
    shards: tuple[ShardRecord, ...]

    @property
    def space(self) -> Space:
        """What the samples of its pairs are."""
        return space_of_shape(self.shape) if self.samples is None else LATENTS

    @property
    def storage_error(self) -> float | None:
        """The largest root mean square error of stored latents, over all shards; None for images and points."""
        errors = [shard.storage_error for shard in self.shards if shard.storage_error is not None]
        return max(errors, default=None)

    @property
    def clipped_fraction(self) -> float:
        """Share of clipped image entries over all shards."""
        return sum(shard.clipped_fraction * shard.num_pairs for shard in self.shards) / self.num_pairs

    @property
    def transport_cost(self) -> float:
        """Mean ‖x_1 - x_0‖²/d over all shards."""
        return sum(shard.transport_cost * shard.num_pairs for shard in self.shards) / self.num_pairs


is_store_folder = holding_only(MANIFEST, "shard-??????.safetensors", KEPT_PAIRS)
"""Whether a folder holds the files of a store, whole or damaged, and nothing else."""


def shard_name(index: int) -> str:
    """File name of the index-th shard."""
    return f"shard-{index:06d}.safetensors"


def read_manifest(folder: Path) -> Manifest:
    """Reads a store's manifest.

    Raises:
        StraightflowError: If it is missing, not JSON or of another version, names files that no store has, or has
            numbers that are impossible or contradict each other.
    """
    path = folder / MANIFEST
    try:
        content = read_json(path)
        if isinstance(content, dict) and content.get("version") not in (VERSION, VERSION_WITH_STATES):
            known = f"version {VERSION} or {VERSION_WITH_STATES}"
            raise damaged(folder, f"a manifest of {known} in {path}", f"version {content.get('version')}")
        manifest = Manifest.model_validate(content)
    except OSError as error:
        raise damaged(folder, f"a manifest at {path}", str(error)) from error
    except ValidationError as error:
        raise damaged(folder, f"a {FORMAT} manifest in {path}", validation_problems(error)) from error
    except ValueError as error:
        raise damaged(folder, f"a {FORMAT} manifest in {path}", one_line(error)) from error
    _check_names(folder, manifest)
    _check_counts(folder, manifest)
    _check_states(folder, manifest)
    _check_class_counts(folder, manifest)
    _check_latents(folder, manifest)
    return manifest


def check_files(folder: Path, manifest: Manifest, *, verify: bool) -> None:
    """Checks that a store has the files of its manifest and no others, and with ``verify`` their hashes.

    Raises:
        StraightflowError: Naming the file that is missing, extra or changed.
    """
    hashes = {shard.file: shard.sha256 for shard in manifest.shards}
    if manifest.pair_filter is not None:
        hashes[manifest.pair_filter.file] = manifest.pair_filter.sha256
    extra = sorted({item.name for item in folder.iterdir()} - {MANIFEST, *hashes})
    if extra:
        raise damaged(folder, "only the manifest and its shards", ", ".join(extra))
    for name, sha256 in hashes.items():
        path = folder / name
        if not path.is_file():
            raise damaged(folder, f"shard {name}", "no such file")
        if verify and fingerprint_file(path) != sha256:
            raise damaged(folder, f"shard {name} with SHA-256 {sha256[:12]}…", "other content")


def damaged(folder: Path, expected: str, found: str) -> StraightflowError:
    """The error for a store that is not what it should be."""
    return StraightflowError(
        expected=expected,
        found=found,
        mend=f"move {folder} elsewhere if anything in it is to be kept, and {MAKE_AGAIN}",
    )


def _check_names(folder: Path, manifest: Manifest) -> None:
    for shard in manifest.shards:
        if not _SHARD_NAME.match(shard.file):
            raise damaged(folder, "shard file names like shard-000000.safetensors", repr(shard.file))
    names = [shard.file for shard in manifest.shards]
    if names != [shard_name(index) for index in range(len(names))]:
        raise damaged(folder, "shards numbered from 0 without gaps", ", ".join(names))


def _check_counts(folder: Path, manifest: Manifest) -> None:
    """Pairs are found by dividing their index by ``shard_pairs``, so every shard but the last must be full."""
    counts = [shard.num_pairs for shard in manifest.shards]
    if sum(counts) != manifest.num_pairs or not counts:
        raise damaged(folder, f"{manifest.num_pairs} pairs in all shards", str(sum(counts)))
    full, last = manifest.shard_pairs, counts[-1]
    if any(count != full for count in counts[:-1]) or last > full:
        raise damaged(
            folder, f"shards of {full} pairs, as shard_pairs says, the last of at most as many", f"shards of {counts}"
        )
    inverted = [shard.is_from_images for shard in manifest.shards]
    if manifest.image_to_noise is not None:
        found = sum(count for count, backward in zip(counts, inverted, strict=True) if backward)
        promised = round(manifest.num_pairs * manifest.image_to_noise.share)
        if found != promised:
            raise damaged(folder, f"{promised} pairs made from images, as image_to_noise.share says", str(found))
    dropped = manifest.pair_filter
    if dropped is not None and dropped.num_dropped != int(manifest.num_pairs * dropped.dropped_share):
        raise damaged(
            folder,
            f"{dropped.dropped_share:g} of {manifest.num_pairs} pairs left out, as dropped_share says",
            str(dropped.num_dropped),
        )


def _check_class_counts(folder: Path, manifest: Manifest) -> None:
    """They are of all classes, or of all but the last, which stands for none."""
    counts, classes = manifest.class_counts, manifest.num_classes
    if counts is not None and (classes is None or len(counts) not in (classes - 1, classes) or sum(counts) == 0):
        raise damaged(folder, f"class_counts of the {classes or 'no'} classes, or all but the last", str(counts)[:80])


def _check_latents(folder: Path, manifest: Manifest) -> None:
    """Latents are unbounded floats, and every shard of them says what storing cost; others say nothing of it."""
    are_latents = manifest.samples is not None
    if any((shard.storage_error is not None) != are_latents for shard in manifest.shards):
        raise damaged(folder, "a storage_error in every shard of latents, and in no other", "some of both")
    problem = storage_problem(manifest.dtype) if are_latents else None
    if problem is not None:
        raise damaged(folder, "latents in a type of floats", problem)


def _check_states(folder: Path, manifest: Manifest) -> None:
    """Either version, times and shards all speak of states or none, and each step but the first has a time."""
    times = manifest.state_times
    told = [manifest.version == VERSION_WITH_STATES, *(shard.states is not None for shard in manifest.shards)]
    if told != [times is not None] * len(told):
        raise damaged(folder, "states in every shard and state_times, or in none", "some of both")
    if times is None:
        return
    problem = states_problem(manifest.solver)
    if problem is not None or manifest.image_to_noise is not None:
        raise damaged(folder, "states of a solver that has them, of pairs made from noise", problem or "image_to_noise")
    if len(times) != manifest.solver.steps - 1 or list(times) != sorted({0.0, *times, 1.0})[1:-1]:
        raise damaged(folder, f"{manifest.solver.steps - 1} state_times rising between 0 and 1", str(list(times)))
