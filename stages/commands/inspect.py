"""Shows what a store of couplings holds, checks its files, and draws some of its pairs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from PIL import Image

from pipeline.config.couplings import CouplingsConfig
from pipeline.couplings.inventory import unfinished_stores
from pipeline.couplings.manifest import MANIFEST, Manifest
from pipeline.couplings.recount import require_true_manifest
from pipeline.couplings.store import CouplingStore
from pipeline.data.mosaic import mosaic
from pipeline.data.order import evenly_spaced
from pipeline.data.pixels import to_uint8
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError, nearest
from pipeline.training.inventory import unfinished_trainings
from stages import paths

GRID_PAIRS = 32
GAP = 8
NOISE_RANGE = 3.0


def inspect_store(folder: Path) -> None:
    """Prints what the store holds and draws some of its pairs to ``runs/inspect/``, if they are images.

    Args:
        folder: Of couplings, or of the store in it.

    Raises:
        StraightflowError: If there is no store, or anything in it is not as it was saved.
    """
    location = find_store(folder)
    store = CouplingStore(location)
    require_true_manifest(store)
    for name, value in describe(store.manifest).items():
        print(f"{name:<20} {value}")
    print(f"{'hashes':<20} all {len(store.manifest.shards)} shards match; the noise check matches")
    print(f"{'measured again':<20} the pairs are as the manifest says")
    space = store.manifest.space
    if space.is_decoded:
        print(f"{'picture':<20} none of {space.noun}s, which {store.manifest.source} decodes; the report shows images")
        return
    if not space.is_visual:
        print(f"{'picture':<20} none of {space.noun}s; report/figures shows them")
        return
    name = location.resolve().parent.name if location.name == "store" else location.name
    picture = draw_pairs(store.load(evenly_spaced(len(store), GRID_PAIRS)))
    target = paths.RUNS / "inspect" / f"{name}.png"
    with atomic_file(target) as temporary:
        picture.save(temporary, "png")
    print(f"{'picture':<20} {target}: noise left, image right")


def find_store(folder: Path) -> Path:
    """The store in a folder of couplings, or ``folder`` itself."""
    found = next((path for path in (folder / "store", folder) if (path / MANIFEST).is_file()), None)
    if found is None:
        known = sorted(str(path.parent.parent) for path in paths.PROJECT.glob(str(paths.couplings("*") / MANIFEST)))
        raise StraightflowError(
            expected="a folder of couplings with their store, or the store itself",
            found=f"no {MANIFEST} in {folder}" if folder.exists() else f"{str(folder)!r}{nearest(str(folder), known)}",
            mend="correct the name, or make the couplings with `dvc repro`",
        )
    return found


def list_unfinished(couplings: Mapping[str, CouplingsConfig], models: Collection[str]) -> str:
    """A line for every unfinished store and training: what it holds, and the couplings or model that go on with it.

    Args:
        couplings: Configured couplings, by name.
        models: Names of all models.
    """
    lines = []
    for found in unfinished_stores(paths.RUNS):
        names = [name for name, settings in couplings.items() if found.is_of(settings)]
        use = f"as {' and '.join(names)} is configured now" if names else "of no couplings as configured now"
        lines.append(f"{found.describe()}; {use}")
    for training in unfinished_trainings(paths.RUNS):
        # Only the stage, once it has read its inputs, knows whether they are unchanged.
        use = "goes on if its inputs are as they were" if training.model in models else "of no model as configured now"
        lines.append(f"{training.describe()}; {use}")
    return "\n".join(lines) or f"no unfinished couplings or trainings in {paths.RUNS}"


def describe(manifest: Manifest) -> dict[str, str]:
    """What a manifest says, in words."""
    inverted = sum(shard.num_pairs for shard in manifest.shards if shard.is_from_images)
    dropped = manifest.pair_filter
    settings = ", ".join(
        f"{key} {value}" for key, value in manifest.solver.model_dump().items() if key != "name" and value is not None
    )
    said = {
        "pairs": f"{manifest.num_pairs:,} in {len(manifest.shards)} shards of at most {manifest.shard_pairs:,}",
        "made from images": f"{inverted:,}",
        "left out": f"{dropped.num_dropped:,}, all with ‖x_1 - x_0‖²/d from {dropped.smallest_dropped_cost:.4g}"
        if dropped
        else "0",
        f"{manifest.space.noun}s": f"{'×'.join(map(str, manifest.shape))} {manifest.dtype}",
        "labels": "none" if manifest.num_classes is None else f"{manifest.num_classes} classes",
        "seed": str(manifest.seed),
        "source": f"{manifest.source}, fingerprint {manifest.source_fingerprint[:12]}",
        "solver": f"{manifest.solver.name}, {settings}; {manifest.nfe_mean:g} network calls a pair",
        "batch size": f"{manifest.batch_size} in {manifest.precision}",
        "transport cost": f"{manifest.transport_cost:.4f} a dimension",
    }
    if manifest.space.is_bounded:
        said["clipped"] = f"{manifest.clipped_fraction:.3%} of image entries"
    if manifest.storage_error is not None:
        said["stored with"] = f"RMS error {manifest.storage_error:.1e}"
    if manifest.state_times is not None:
        said["states"] = _states_in_words(manifest, manifest.state_times)
    return said


def _states_in_words(manifest: Manifest, times: tuple[float, ...]) -> str:
    errors = [shard.states.float16_error for shard in manifest.shards if shard.states is not None]
    num_bytes = 2 * len(times) * math.prod(manifest.shape)
    return (
        f"{len(times)} a pair, at t = {', '.join(f'{t:.3g}' for t in times)}; float16, {num_bytes:,} bytes a pair, "
        f"RMS error {max(errors):.1e}"
    )


def draw_pairs(pairs: dict[str, torch.Tensor], *, columns: int = 8, side: int = 64) -> Image.Image:
    """Draws every pair as noise left, image right.

    Args:
        pairs: ``x_0`` and ``x_1``, (batch, channels, height, width); noise is shown from -3 to 3.
        columns: Pairs in a row.
        side: Smallest side of a drawn image in pixels; small images are enlarged by a whole factor.
    """
    both = torch.cat([to_uint8(pairs["x_0"] / NOISE_RANGE), to_uint8(pairs["x_1"])], dim=3)
    scale = max(1, -(-side // pairs["x_1"].shape[3]))
    return Image.fromarray(mosaic(both.numpy(), columns, scale=scale, gap=GAP, gap_value=255))
