"""A small sweep for tests; run as a script, it is one of several processes that share it.

torchrun --nproc-per-node N tests/helpers/sweep_setting.py FOLDER N
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config.compute import ComputeConfig, LaunchConfig
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.few_step_fid import FewStepFid
from pipeline.evaluation.reference import Reference, open_reference
from pipeline.evaluation.sweep import Sweep, sweep
from pipeline.flow.noise import stream_key
from pipeline.metrics.features import FeatureExtractor
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.code import NO_CODE
from pipeline.system.gathering import gather_to_main

NUM_FEATURES = 6
PROJECTION = np.random.default_rng(0).normal(size=(64, NUM_FEATURES)).astype(np.float32)
MEASURED = ("seconds_per_1000", "peak_memory_mib")  # the only columns that may differ between repetitions


def config(**changes: Any) -> EvaluateConfig:
    content: dict[str, Any] = {
        "models": ["student"],
        "num_steps": [1, 2],
        "num_samples": 66,
        "seed": 0,
        "batch_size": 8,
        "teacher_solvers": ["ddim"],
        "student_solvers": ["euler"],
        "neighbours": {"num_samples": 20, "k": 3},
        "kernel_distance": {"num_samples": 50},
        "straightness": {"num_samples": 4, "num_steps": 4},
        "grid_images": 5,
    }
    content |= changes
    content["headline"] = {"num_steps": [1], "num_samples": content["num_samples"]}
    return EvaluateConfig.model_validate(content)


def cells(**changes: Any) -> list[tuple[SolverConfig, int]]:
    """Those of a student."""
    settings = config(**changes)
    return [(solver, settings.num_samples) for solver in settings.solvers(teacher=False)]


def extract(images: torch.Tensor) -> np.ndarray:
    return images.flatten(1).numpy().astype(np.float32) / 255 @ PROJECTION


EXTRACTOR = FeatureExtractor("projection", "0", extract)


def reference(
    folder: Path, runtime: Runtime, extractor: FeatureExtractor = EXTRACTOR, code: Mapping[str, str] = NO_CODE
) -> Reference:
    rng = np.random.default_rng(1)
    train, heldout = (
        SampleSet(rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8), None, "images") for count in (90, 30)
    )
    return open_reference(
        train,
        heldout,
        "train",
        extractor,
        runtime,
        feature_counts=(20, 50),
        batch_size=16,
        folder=folder / "references",
        code=code,
    )


def run_sweep(folder: Path, runtime: Runtime, **changes: Any) -> Sweep:
    sampler = load_sampler(folder / "student", runtime)
    return sweep(
        sampler, "student", cells(**changes), config(**changes), [reference(folder, runtime)], folder / "cells"
    )


def few_step_fid(folder: Path, runtime: Runtime) -> float:
    """FID at two steps from the evaluation noise; its 9 batches divide unequally among several processes."""
    fid_of = FewStepFid(reference(folder, runtime), stream_key("evaluation", 0), 66, 8)
    return fid_of(load_sampler(folder / "student", runtime), SolverConfig(name="euler", num_steps=2))


def comparable(found: Sweep) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(row).items() if key not in MEASURED} for row in found.rows]


def main(folder: Path, num_processes: int) -> None:
    torch.set_num_threads(1)
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    runtime = open_runtime(compute, LaunchConfig(command="torchrun", num_processes=num_processes))
    found = run_sweep(folder, runtime)
    content = {"rows": comparable(found), "few_step_fid": few_step_fid(folder, runtime)}
    content["samples_forward"] = found.compute.samples_forward
    index = runtime.accelerator.process_index
    (folder / f"found-{index}.json").write_text(json.dumps(content))
    (folder / f"gathered-{index}.json").write_text(json.dumps(gather_to_main([index, 10 + index])))
    runtime.accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
