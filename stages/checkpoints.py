"""Few-step FID of the checkpoints of a student in training: ``python -m stages.checkpoints round1 --out models/best``.

Measures every weight average of every checkpoint in ``runs/``, while the training runs or after it was stopped, so that
step and half-life can be chosen by FID without training again. The noises are not those of evaluation, so that what is
chosen is not measured on what it was chosen by.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import DISTILLED, Config
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.few_step_fid import open_few_step_fid
from pipeline.flow.noise import stream_key
from pipeline.models.networks import load_network, noise_of, num_classes, sample_shape, starting_network
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.training.checkpoint import load_average, saved_averages
from stages import paths
from stages.entry import run

BATCH_SIZE = 250


def main(config: Config, arguments: list[str]) -> None:
    """Prints a row for each average, best first, and saves the best one if asked to."""
    options = _parser().parse_args(arguments)
    if options.model != DISTILLED and options.model not in config.rounds:
        raise StraightflowError(
            expected=f"one of {', '.join((*config.rounds, DISTILLED))}", found=options.model, mend="name a student"
        )
    settings = config.distill if options.model == DISTILLED else config.rounds[options.model].train
    runtime = open_runtime(config.compute, ONE_PROCESS)
    network = runtime.place(starting_network(load_network(paths.model(settings.init))))
    sampler = Sampler(
        sample_shape(network), options.model, None, network, runtime, noise_of(network), num_classes(network)
    )
    fid_of = open_few_step_fid(
        config,
        runtime,
        paths.measuring(),
        sampler.shape,
        key=stream_key("training", 0),
        num_samples=options.num_samples,
        batch_size=BATCH_SIZE,
        setting="--num-samples",
    )
    print(f"FID: {fid_of.describe()}")
    best: tuple[float, str] | None = None
    for file in _averages(options.model):
        try:
            load_average(file, network)
        except FileNotFoundError:
            print(f"{file.parent.name} {file.stem}: dropped by the training meanwhile", flush=True)
            continue
        row = [fid_of(sampler, SolverConfig(name="euler", num_steps=num_steps)) for num_steps in options.steps]
        name = f"{file.parent.name} {file.stem}"
        cells = ", ".join(f"{fid:.3f} at {steps}" for fid, steps in zip(row, options.steps, strict=True))
        print(f"{name}: {cells}", flush=True)
        if best is None or row[0] < best[0]:
            best = row[0], name
            if options.out is not None:  # at once, as a training under way drops its checkpoints
                save_student(network, options.out)
    if best is None:
        raise _none_found(options.model)
    print(f"best at {options.steps[0]} step(s): {best[1]}, {best[0]:.3f}")


def _averages(model: str) -> list[Path]:
    """Files of weight averages of the newest run that trains ``model``, oldest checkpoint first."""
    # Not those of a model whose name goes on with a dash.
    runs = sorted(paths.RUNS.glob(f"train-{model}-{'[0-9a-f]' * 16}"), key=lambda folder: folder.stat().st_mtime)
    found = saved_averages(runs[-1]) if runs else []
    if not found:
        raise _none_found(model)
    return found


def _none_found(model: str) -> StraightflowError:
    return StraightflowError(
        expected=f"checkpoints of {model} in {paths.RUNS}",
        found="none",
        mend="call this while it trains or after it was stopped; a finished run is in models/ and its checkpoints "
        "are gone",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.checkpoints", description=__doc__)
    parser.add_argument("model", help="a round, or distilled")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 4], help="Euler steps; the first one decides")
    parser.add_argument("--num-samples", type=int, default=1000, help="images per FID (default: 1000)")
    parser.add_argument("--out", type=Path, help="folder to save the best as a student in")
    return parser


if __name__ == "__main__":
    run(main)
