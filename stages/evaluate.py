"""Measures one model at every step count."""

from __future__ import annotations

from dataclasses import asdict

from safetensors.torch import save_file

from pipeline.atomic import atomic_file, write_json
from pipeline.compute import open_runtime
from pipeline.config import ONE_PROCESS, Config
from pipeline.evaluation import measure_straightness, sweep
from pipeline.models import load_sampler
from stages import paths
from stages.entry import run, single_argument
from stages.measuring import open_measure


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/evaluate/<model>.json and samples/<model>.safetensors."""
    name = single_argument(arguments, "a model")
    runtime = open_runtime(config.compute, ONE_PROCESS)
    extract, reference = open_measure(config, runtime.device)
    sampler = load_sampler(paths.model(name), runtime)
    solvers: tuple[str, ...] = config.evaluate.teacher_solvers if sampler.noise_schedule else ("euler",)
    rows, grids = sweep(
        sampler,
        name,
        solvers,
        config.evaluate,
        extract,
        reference,
        features=config.features.name,
        reference_split=config.features.reference,
    )
    curve = measure_straightness(sampler, config.evaluate)
    with atomic_file(paths.samples(name)) as temporary:
        save_file(grids, temporary)
    content = {
        "model": name,
        "rows": [asdict(row) for row in rows],
        "straightness": curve.absolute,
        "straightness_normalised": curve.normalised,
        "straightness_num_samples": config.evaluate.straightness.num_samples,
        "straightness_num_steps": config.evaluate.straightness.num_steps,
        "device": runtime.describe(),
        "precision": runtime.precision,
    }
    write_json(paths.evaluation(name), content)


if __name__ == "__main__":
    run(main)
