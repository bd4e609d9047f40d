"""Prints what a store of couplings holds, checks its hashes and draws a grid of its pairs, if they are images.

``python -m stages.inspect couplings/round1`` writes the grid to runs/inspect/round1.png. Without a folder it lists the
unfinished stores in runs/, and which round each belongs to.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config.graph import Config
from pipeline.couplings.manifest import Manifest
from pipeline.couplings.picture import draw_pairs
from pipeline.couplings.store import CouplingStore
from pipeline.couplings.unfinished import unfinished_stores
from pipeline.data.order import evenly_spaced
from pipeline.system.atomic import atomic_file
from stages import paths
from stages.entry import run, single_argument

GRID_PAIRS = 32


def main(config: Config, arguments: list[str]) -> None:
    """Takes a round's folder or the store in it, or nothing."""
    if not arguments:
        print(list_unfinished(config))
        return
    folder = Path(single_argument(arguments, "a folder such as couplings/round1"))
    folder = folder / "store" if (folder / "store").is_dir() else folder
    store = CouplingStore(folder)
    for name, value in describe(store.manifest).items():
        print(f"{name:<20} {value}")
    print(f"{'hashes':<20} all {len(store.manifest.shards)} shards match; the noise check matches")
    if not store.manifest.space.is_visual:
        print(f"{'picture':<20} none of {store.manifest.space.noun}s; report/figures shows them")
        return
    name = folder.resolve().parent.name if folder.name == "store" else folder.name
    picture = draw_pairs(store.load(evenly_spaced(len(store), GRID_PAIRS)))
    target = paths.RUNS / "inspect" / f"{name}.png"
    with atomic_file(target) as temporary:
        picture.save(temporary, "png")
    print(f"{'picture':<20} {target}: noise left, image right")


def list_unfinished(config: Config) -> str:
    """A line for every unfinished store: what it holds, and whether a round goes on with it."""
    lines = []
    for found in unfinished_stores(paths.RUNS):
        rounds = [name for name, item in config.rounds.items() if found.is_of(item.couplings)]
        use = f"as {' and '.join(rounds)} is configured now" if rounds else "of no round as configured now"
        lines.append(f"{found.describe()}; {use}")
    return "\n".join(lines) or f"no unfinished couplings in {paths.RUNS}"


def describe(manifest: Manifest) -> dict[str, str]:
    """What a manifest says, in words."""
    inverted = sum(shard.num_pairs for shard in manifest.shards if shard.is_from_images)
    dropped = manifest.pair_filter
    settings = ", ".join(
        f"{key} {value}" for key, value in manifest.solver.model_dump().items() if key != "name" and value is not None
    )
    return {
        "pairs": f"{manifest.num_pairs:,} in {len(manifest.shards)} shards of at most {manifest.shard_pairs:,}",
        "made from images": f"{inverted:,}",
        "left out": f"{dropped.num_dropped:,}, all with ‖x_1 - x_0‖²/d from {dropped.smallest_dropped_cost:.4g}"
        if dropped
        else "0",
        "images": f"{'×'.join(map(str, manifest.shape))} {manifest.dtype}",
        "labels": "none" if manifest.num_classes is None else f"{manifest.num_classes} classes",
        "seed": str(manifest.seed),
        "source": f"{manifest.source}, fingerprint {manifest.source_fingerprint[:12]}",
        "solver": f"{manifest.solver.name}, {settings}; {manifest.nfe_mean:g} network calls a pair",
        "batch size": f"{manifest.batch_size} in {manifest.precision}",
        "transport cost": f"{manifest.transport_cost:.4f} a dimension",
        "clipped": f"{manifest.clipped_fraction:.3%} of image entries",
    }


if __name__ == "__main__":
    run(main)
