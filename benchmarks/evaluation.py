"""Cost of evaluation beyond the necessary network calls, as ratios within one run.

    python -m benchmarks.evaluation                                # the digits settings, minutes on two CPU cores
    python -m benchmarks.evaluation --samples 500 --features 256   # a quick try
    python -m benchmarks.evaluation --preset cifar10_short         # on a GPU

Prints:

- seconds of a full sweep of one student (all step counts, all metrics) ÷ those of its bare network calls plus one
  feature pass per cell, measured before and after the sweep so that drift of the machine affects both alike;
- seconds of the same sweep again, with every cell cached;
- seconds of a Fréchet distance ÷ clean-fid's, and the difference of their values.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cleanfid.fid import frechet_distance as cleanfid_distance

from benchmarks.device import require_device
from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reference import feature_counts, open_reference
from pipeline.evaluation.sweep import sweep
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.metrics.feature_networks import NetworkDescription
from pipeline.metrics.feature_training import TrainedNetwork
from pipeline.metrics.features import FeatureExtractor, open_extractor
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import Moments, moments_of
from pipeline.metrics.trained_features import save_networks
from pipeline.models.networks import build_network
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.blocks import batches_of
from stages.commands.forecast import configuration
from stages.entry import one_message

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=5000, help="images per cell (default: 5000)")
    parser.add_argument("--images", type=int, default=1617, help="images to train on (default: 1617, the digits')")
    parser.add_argument("--features", type=int, default=2048, help="of the distance, 0 to leave it out (default: 2048)")
    parser.add_argument("--preset", help="settings of a preset (default: those of params.yaml)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="(default: the GPU if there is one)")
    options = parser.parse_args()
    with one_message():
        measure_all(options)


def measure_all(options: argparse.Namespace) -> None:
    """Measures with the settings of the command line."""
    if options.device:
        require_device(options.device)
    config = load_config(ROOT / "params.yaml") if options.preset is None else configuration(options.preset, [])
    evaluate = config.evaluate.model_copy(update={"num_samples": options.samples})
    config = config.model_copy(update={"evaluate": evaluate})
    with tempfile.TemporaryDirectory() as folder:
        measure_sweep(Path(folder), config, options.images)
    if options.features:
        measure_frechet(options.features)


def measure_sweep(folder: Path, config: Config, num_images: int) -> None:
    """Times a sweep of a student with random weights, which cost the same as trained ones, against random images."""
    runtime, shape = open_runtime(config.compute, ONE_PROCESS), config.data.image_shape
    save_student(build_network(config.teacher.unet, shape, 0), folder / "student")
    features = NetworkDescription("classifier", "flat", shape, config.features.classifier.num_features, 10)
    save_networks({"first": TrainedNetwork(features, features.build(), accuracy_heldout=0.1)}, folder / "net")
    sampler = load_sampler(folder / "student", runtime)
    extractor = open_extractor(config.features, folder / "net", shape, runtime.device)
    rng = np.random.default_rng(0)
    train, heldout = (
        SampleSet(rng.integers(0, 256, (count, *shape), dtype=np.uint8), None, "benchmark")
        for count in (num_images, -(-num_images // 9))
    )
    reference = open_reference(
        train,
        heldout,
        "train",
        extractor,
        runtime,
        feature_counts=feature_counts(config.evaluate),
        batch_size=config.features.batch_size,
        folder=folder,
    )

    solvers = config.evaluate.solvers(teacher=False)

    def run() -> object:
        cells = [(solver, config.evaluate.num_samples) for solver in solvers]
        return sweep(sampler, "student", cells, config.evaluate, [reference], folder / "cells")

    def bare() -> None:
        for solver in solvers:
            bare_cell(sampler, extractor, solver, config)

    # A compiled network is compiled for each way of calling it.
    indices = range(config.evaluate.batch_size)
    sampler.sample(sampler.draw(stream_key("evaluation", config.evaluate.seed), indices)[0], solvers[0])
    bare_call(sampler, extractor, solvers[0], config, indices)
    before, whole, again, after = (seconds(action) for action in (bare, run, run, bare))
    limit = (before + after) / 2
    print(f"sweep ÷ (network calls + feature pass): {whole / limit:.3f} ({whole:.1f} s / {limit:.1f} s), at most 1.15")
    print(f"finished sweep again: {again:.2f} s, at most 5 s")


def bare_cell(sampler: Sampler, extractor: FeatureExtractor, solver: SolverConfig, config: Config) -> None:
    """The network calls of one cell, called directly, and features of the result."""
    for indices in batches_of(range(config.evaluate.num_samples), config.evaluate.batch_size):
        bare_call(sampler, extractor, solver, config, indices)


@torch.inference_mode()
def bare_call(
    sampler: Sampler, extractor: FeatureExtractor, solver: SolverConfig, config: Config, indices: range
) -> None:
    """The network calls of one batch and its features."""
    x = sample_noise(stream_key("evaluation", config.evaluate.seed), indices, sampler.shape).to(sampler.runtime.device)
    with sampler.runtime.autocast():
        for _ in range(solver.num_steps or 1):
            output = sampler.network(x, x.new_zeros(len(x))).sample
    extractor.extract(to_uint8(output.float()).cpu())


def measure_frechet(num_features: int) -> None:
    """Times one distance of two full-rank sets of features."""
    rng = np.random.default_rng(0)
    scales = np.geomspace(0.05, 2, num_features)
    a, b = (moments_of(rng.normal(size=(2 * num_features, num_features)) * scales + at) for at in (0, 0.02))
    values: dict[str, float] = {}

    def ours() -> None:
        values["ours"] = frechet_distance(a, b)

    def theirs() -> None:
        values["theirs"] = cleanfid_of(a, b)

    own_seconds, their_seconds = seconds(ours), seconds(theirs)
    print(
        f"Fréchet distance of {num_features} features ÷ clean-fid's: {own_seconds / their_seconds:.3f} "
        f"({own_seconds:.2f} s / {their_seconds:.2f} s), at most 0.5; values {values['ours']:.6f} and "
        f"{values['theirs']:.6f}, apart by {abs(values['ours'] - values['theirs']):.1e}, at most 1e-3"
    )


def cleanfid_of(a: Moments, b: Moments) -> float:
    """clean-fid's own distance."""
    return float(cleanfid_distance(a.mean, a.covariance, b.mean, b.covariance))


def seconds(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
