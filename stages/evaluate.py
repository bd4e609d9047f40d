"""Measures one model at every step count.

Each kind of data imports what it alone needs: loading both costs seconds.
"""

from __future__ import annotations

from dataclasses import asdict

from safetensors.numpy import save_file

from pipeline.config.graph import Config, learns_mean_velocity
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.atomic import atomic_file, write_json
from stages import paths
from stages.code import code_of
from stages.entry import run, single_argument


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/evaluate/<model>.json and samples/<model>.safetensors."""
    name = single_argument(arguments, "a model")
    runtime = open_runtime(config.compute, config.launch)
    evaluate = _evaluate_points if config.data.is_points else _evaluate_images
    evaluate(config, name, runtime)


def _evaluate_images(config: Config, name: str, runtime: Runtime) -> None:
    from pipeline.evaluation.sweep import sweep
    from pipeline.evaluation.trajectories import cached_trajectories
    from stages.measuring import open_measure

    extractor, reference = open_measure(config, runtime)
    sampler, code = load_sampler(paths.model(name), runtime), code_of("evaluate")
    found = sweep(sampler, name, config.evaluate, extractor, reference, paths.CELLS, code=code)
    if not runtime.is_main:
        return
    trajectories = cached_trajectories(sampler, config.evaluate, paths.CELLS, code=code)
    with atomic_file(paths.samples(name)) as temporary:
        save_file(found.images, temporary)
    content = {
        "model": name,
        "rows": [asdict(row) for row in found.rows],
        "trajectories": asdict(trajectories)
        | {
            "num_samples": config.evaluate.straightness.num_samples,
            "num_steps": config.evaluate.straightness.num_steps,
            "seed": config.evaluate.seed,
        },
        "device": runtime.describe(),
        "precision": runtime.precision,
    }
    write_json(paths.evaluation(name), content)


def _evaluate_points(config: Config, name: str, runtime: Runtime) -> None:
    from pipeline.evaluation.points import evaluate_points
    from pipeline.toys.distributions import TOYS

    sampler = load_sampler(paths.model(name), runtime)
    exact = learns_mean_velocity(config, name)
    content, arrays = evaluate_points(sampler, name, TOYS[config.data.source], config.evaluate, has_exact_target=exact)
    with atomic_file(paths.samples(name)) as temporary:
        save_file(arrays, temporary)
    write_json(paths.evaluation(name), content | {"device": runtime.describe(), "precision": runtime.precision})


if __name__ == "__main__":
    run(main)
