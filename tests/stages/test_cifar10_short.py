"""The preset that waits for a GPU, rehearsed: its whole road on a few coloured pictures, with all sizes made small."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.at_step import Killed, at_step, die
from helpers.composition import composed
from PIL import Image

from pipeline.config.graph import Config
from pipeline.config.loading import load_config, parse_config
from pipeline.models.size import num_parameters
from stages import assess, check, classifier, couplings, data, evaluate, report, student, teacher

TRAININGS = ("teacher.train", "students.round1", "students.few_step")
TINY = (
    "compute.precision=fp32",
    "data.source=parquet",
    "data.location=pictures",
    "data.resolution=16",
    "teacher.unet={block_out_channels: [8,8,8,8], layers_per_block: 1, norm_num_groups: 4, attention_head_dim: 8}",
    *(f"{key}.{name}" for key in TRAININGS
      for name in ("num_steps=6", "batch_size=16", "warmup_steps=2", "checkpoint_every_steps=4")),
    *(f"features.{key}={{num_steps: 10, batch_size: 20, num_features: {width}, min_accuracy: 0.0}}"
      for key, width in (("classifier", 8), ("rotation", 8), ("judge.classifier", 6), ("judge.rotation", 6))),
    "couplings.round1={num_pairs: 40, shard_pairs: 16, batch_size: 8, solver: {num_steps: 3}}",
    "gate.max_clipped_fraction=1.0",
    "gate.max_reintegration_error=1000.0",
    "gate.reintegrated_pairs=8",
    "evaluate={num_samples: 40, batch_size: 20, num_steps: [1,2], grid_images: 4}",
    "evaluate.headline={num_steps: [1,2], num_samples: 40}",
    "evaluate.teacher_solvers=[ddim]",
    "evaluate.student_solvers=[euler]",
    "evaluate.neighbours={num_samples: 20, k: 3}",
    "evaluate.kernel_distance.num_samples=20",
    "evaluate.straightness={num_samples: 4, num_steps: 2}",
)  # fmt: skip


def preset(*overrides: str) -> Config:
    return parse_config(composed("preset=cifar10_short", *overrides), origin="cifar10_short")


def test_the_teacher_is_the_published_architecture() -> None:
    """35,746,307 parameters, as google/ddpm-cifar10-32 has (Ho et al. 2020, table 1: 35.7 M)."""
    config = preset()
    assert num_parameters(config.teacher.network, config.data.sample_shape) == 35_746_307


def test_the_run_time_that_is_computed_adds_up() -> None:
    """Rates of an H100 in docs/gpu.md; times to compile, to start and to measure are taken as said."""
    config = preset()
    training, forward = 1 / 4443, 1 / 23_600
    trained = sum(item.num_steps * item.batch_size for item in (config.teacher.train, *config.students.values()))
    again = 0.25 * config.students["few_step"].num_steps * config.students["few_step"].batch_size
    pairs = config.couplings["round1"]
    drawn = pairs.num_pairs * (pairs.solver.num_steps or 0)
    cells = 10_000 * (2 * sum(config.evaluate.num_steps) + 2 * (1 + 2 + 4 + 8))
    compiling = 155 + 2 * 66 + 5 * 30
    seconds = trained * training + (again + drawn + cells) * forward + 30 + 134 + compiling + 12 * 10
    assert 1400 < seconds < 1500


def save_splits(folder: Path) -> None:
    """Both splits with the columns of CIFAR-10 on the hub: 16×16 pictures of ten colours, with noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 80), ("test", 40)):
        labels = [number % 10 for number in range(count)]
        images = []
        for label in labels:
            colour = np.array([25 * label, 255 - 25 * label, 128])
            pixels = np.clip(colour + rng.normal(0, 10, (16, 16, 3)), 0, 255).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "png")
            images.append({"bytes": stream.getvalue(), "path": None})
        pq.write_table(pa.table({"img": images, "label": labels}), folder / f"{split}.parquet")


def test_the_rehearsal_runs_stage_by_stage_and_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    save_splits(Path("pictures"))
    Path("params.yaml").write_text(yaml.safe_dump(composed("preset=cifar10_short", *TINY)))
    config = load_config(Path("params.yaml"))
    for stage in (check, data, classifier):
        stage.main(config, [])
    with at_step(5, die), pytest.raises(Killed):
        teacher.main(config, [])
    assert [path.name for path in Path("runs").glob("*/step-*")] == ["step-000000004"]
    repeated: list[int] = []
    with at_step(3, lambda: repeated.append(3)):
        teacher.main(config, [])
    assert repeated == []
    for stage, argument in (
        (couplings, "round1"),
        (assess, "round1"),
        (student, "round1"),
        (student, "few_step"),
        (evaluate, "teacher"),
        (evaluate, "round1"),
        (evaluate, "few_step"),
    ):
        stage.main(config, [argument])
    report.main(config, [])
    trained = json.loads(Path("metrics/classifier.json").read_text())
    assert [trained[role]["features"] for role in ("first", "judge")] == ["classifier", "classifier-residual"]
    with Path("metrics/few_step.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["model"] for row in rows} == {"couplings@round1", "teacher", "round1", "few_step"}
    assert Path("report/index.html").is_file()
