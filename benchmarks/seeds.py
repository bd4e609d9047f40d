"""The headline's student trained again from other seeds: ``python -m benchmarks.seeds RUN``.

``RUN`` is the folder of a finished run of an image preset. Its headline's student is trained again from ``--seeds``
seeds that follow its own, on the same couplings and from the same start, and measured as the headline is: the same
noises, numbers of samples and features, judge included. An interval of one student says nothing about another training;
the spread of these does.

    python -m benchmarks.seeds . --write docs/seeds.md

Students and measures are kept in ``RUN/runs/seeds``, and an interrupted training resumes from its checkpoint.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.config.solver import SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.couplings.manifest import MANIFEST
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.reference import open_run_references
from pipeline.evaluation.sweep import sweep
from pipeline.methods.build import build_method
from pipeline.metrics.image_row import ImageRow
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.report.images.results import CouplingsResult
from pipeline.report.reading import load_json
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import EXIT_RESUME, InterruptedRunError, StraightflowError
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder, fingerprint_json
from pipeline.training.heldout import heldout_split
from pipeline.training.loop import train
from pipeline.training.samples import Subset
from stages import paths
from stages.student import starting_student


def main() -> None:
    """Trains, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the finished run")
    parser.add_argument("--seeds", type=int, default=2, help="trainings beside the run's own (default: 2)")
    parser.add_argument("--write", type=Path, help="page to write the table to")
    options = parser.parse_args()
    try:
        page = measure_seeds(options.run, options.seeds)
    except (StraightflowError, InterruptedRunError) as error:
        raise SystemExit(EXIT_RESUME if isinstance(error, InterruptedRunError) else str(error)) from error
    print("\n".join(page))
    if options.write is not None:
        with atomic_file(options.write) as temporary:
            temporary.write_text("\n".join(page) + "\n", "utf-8")


def measure_seeds(folder: Path, num_seeds: int) -> list[str]:
    """Lines of the page."""
    config = load_config(folder / "params.yaml")
    runtime = open_runtime(config.compute, ONE_PROCESS)
    name = config.headline
    own, couplings = config.students[name], config.students[name].couplings
    models = {own.seed: folder / paths.model(name)}
    for seed in range(own.seed + 1, own.seed + 1 + num_seeds):
        models[seed] = trained(folder, name, own.model_copy(update={"seed": seed}), runtime)
    references = open_run_references(config, runtime, paths.measuring(folder))
    count = config.evaluate.headline.num_samples
    cells = [(SolverConfig(name="euler", num_steps=steps), count) for steps in config.evaluate.headline.num_steps]
    rows = {
        seed: sweep(
            load_sampler(model, runtime), f"{name}, seed {seed}", cells, config.evaluate, references,
            folder / "runs/seeds/cells",
        ).rows
        for seed, model in models.items()
    }  # fmt: skip
    quality = load_json(folder / f"couplings/{couplings}/quality.json", CouplingsResult)
    return describe(config, rows, quality.rows, runtime)


def trained(folder: Path, name: str, settings: StudentConfig, runtime: Runtime) -> Path:
    """Folder of the student of these settings, trained unless it is there."""
    store = CouplingStore(folder / paths.couplings(settings.couplings))
    start = folder / paths.model(settings.init)
    inputs = [
        [settings.result_settings(), runtime.precision],
        [fingerprint_folder(start), fingerprint_file(store.folder / MANIFEST)],
    ]
    place = folder / "runs/seeds" / f"{name}-{settings.seed}-{fingerprint_json(inputs)[:16]}"
    if place.is_dir():
        return place
    network = starting_student(name, start, store, settings.dropout)
    kept, heldout = heldout_split(len(store), settings.heldout_items, store.manifest.seed)
    checkpoints = place.with_name(f"{place.name}-checkpoints")
    train(
        network,
        Subset(store, kept),
        build_method(settings.method, settings.loss, runtime.device),
        settings,
        runtime,
        checkpoints,
        f"{name}, seed {settings.seed}",
        heldout=Subset(store, heldout) if settings.heldout_items else None,
    )
    save_student(network, place)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return place


def describe(
    config: Config, rows: dict[int, Sequence[ImageRow]], couplings: Sequence[ImageRow], runtime: Runtime
) -> list[str]:
    """The page: FID of every seed by steps, their mean and spread, by each kind of features."""
    count = config.evaluate.headline.num_samples
    name, student = config.headline, config.students[config.headline]
    made_of = f"{config.couplings[student.couplings].num_pairs:,} pairs and {student.num_steps:,} steps"
    lines = [
        f"# {name} from {len(rows)} training seeds",
        "",
        f"FID of {count:,} samples, preset {config.name} with {made_of}, noise seed {config.evaluate.seed}, "
        f"{runtime.precision}, with "
        "the same couplings and start. Spread: the standard deviation over seeds. `python -m benchmarks.seeds` makes "
        "this page.",
    ]
    for features in dict.fromkeys(row.features for found in rows.values() for row in found):
        chosen = {
            seed: {row.num_steps: row for row in found if row.features == features and row.num_samples == count}
            for seed, found in rows.items()
        }
        steps = list(next(iter(chosen.values())))
        judge = ", the judge" if next(iter(next(iter(chosen.values())).values())).is_judge else ""
        heads = [f"{item} step{'s' if item and item > 1 else ''}" for item in steps]
        lines += ["", f"## {features}{judge}", "", f"| seed | {' | '.join(heads)} |", "|---" * (len(steps) + 1) + "|"]
        for seed, cells in chosen.items():
            lines.append(f"| {seed} | {' | '.join(f'{cells[item].fid:.2f}' for item in steps)} |")
        fids = np.array([[cells[item].fid for item in steps] for cells in chosen.values()])
        lines.append(f"| mean ± spread | {' | '.join(map(_with_spread, fids.T))} |")
        store = next((row for row in couplings if row.features == features and row.num_samples == count), None)
        if store is not None:
            lines.append(f"| ÷ couplings ({store.fid:.2f}) | {' | '.join(map(_with_spread, fids.T / store.fid))} |")
    return lines


def _with_spread(values: np.ndarray) -> str:
    spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    digits = 3 if values.mean() < 2 else 2
    return f"{values.mean():.{digits}f} ± {spread:.{digits}f}"


if __name__ == "__main__":
    main()
