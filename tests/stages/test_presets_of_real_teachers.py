"""The presets of public teachers, each as a whole graph with a tiny stand-in saved by the same stock pipeline."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diffusers import DDIMScheduler, DDPMPipeline
from helpers.composition import composed
from helpers.planned_compute import planned_compute
from helpers.project_folders import ROOT
from helpers.small_dit import small_dit_pipeline
from helpers.small_run import run_stages
from helpers.small_text_model import PROMPTS, save_stable_diffusion
from helpers.small_unet import small_unet
from PIL import Image

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.loading import load_config, parse_config
from pipeline.couplings.store import CouplingStore
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler
from stages.commands.sample import SampleOptions, write_samples

PROMPTS_FILE = "prompts.txt"
SMALL = (
    "compute.precision=fp32",
    "teacher.pretrained=theirs",
    "data.location=pictures",
    "features.name=auto",
    "features.batch_size=20",
    *(
        f"features.{task}.{setting}"
        for task in ("classifier", "rotation")
        for setting in ("num_steps=2", "batch_size=8", "num_features=4", "min_accuracy=0")
    ),
    "couplings.round1.num_pairs=24",
    "couplings.round1.shard_pairs=24",
    "couplings.round1.batch_size=12",
    "couplings.round1.solver.num_steps=2",
    "gate.reintegrated_pairs=2",
    "gate.max_clipped_fraction=1.0",
    "gate.max_reintegration_error=1.0",
    *(
        f"students.{name}.{setting}"
        for name in ("round1", "few_step")
        for setting in ("num_steps=2", "batch_size=8", "gradient_accumulation_steps=2", "warmup_steps=0")
    ),
    "evaluate.models=[teacher,few_step]",
    "evaluate.num_steps=[1,2]",
    "evaluate.num_samples=20",
    "evaluate.headline={num_steps: [1,2], num_samples: 20}",
    "evaluate.batch_size=10",
    "evaluate.neighbours={num_samples: 8, k: 3}",
    "evaluate.kernel_distance.num_samples=8",
    "evaluate.straightness={num_samples: 2, num_steps: 2}",
    "evaluate.grid_images=4",
)


def save_dit(folder: Path) -> None:
    small_dit_pipeline(DDIMScheduler()).save_pretrained(folder)


def save_text(folder: Path) -> None:
    save_stable_diffusion(folder, DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1))
    Path(PROMPTS_FILE).write_text("\n".join(PROMPTS))


def save_pixels(folder: Path) -> None:
    DDPMPipeline(small_unet(3), DDIMScheduler()).save_pretrained(folder)


Case = tuple[str, Callable[[Path], None], int, tuple[str, ...], tuple[int, ...]]
CASES: dict[str, Case] = {
    "dit_xl_256": ("dit_xl_256", save_dit, 4, ("autoencoder.downsampling=1",), (4, 4, 4)),
    "sd15": (
        "sd15",
        save_text,
        8,
        ("autoencoder.downsampling=1", f"teacher.prompts={PROMPTS_FILE}"),
        (4, 8, 8),
    ),
    "celebahq_256": ("celebahq_256", save_pixels, 8, (), (3, 8, 8)),
}


def write_pictures(folder: Path, side: int, classes: int) -> None:
    """Sixty of random pixels, in a subfolder a class; of one class they have none."""
    random = np.random.default_rng(0)
    for at in range(60):
        place = folder / f"n{at % classes}" if classes > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(place / f"{at}.png")


def prepared(folder: Path, monkeypatch: Any, case: Case) -> Config:
    preset, save, side, overrides, _ = case
    monkeypatch.chdir(folder)
    save(Path("theirs"))
    write_pictures(Path("pictures"), side, 2 if preset == "dit_xl_256" else 1)
    solvers = composed(f"preset={preset}")["evaluate"]["teacher_solvers"]
    content = composed(f"preset={preset}", *SMALL, f"data.resolution={side}", *overrides)
    content["evaluate"]["teacher_solvers"] = [solver | {"num_steps": [2]} for solver in solvers]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_config(Path("params.yaml"))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_stand_in_goes_from_check_to_report(case: Case, tmp_path: Path, monkeypatch) -> None:
    config = prepared(tmp_path, monkeypatch, case)
    run_stages(config)
    store = CouplingStore(Path("couplings/round1/store"))
    guided = config.couplings["round1"].solver.guidance is not None
    assert store.manifest.shape == case[-1]
    assert store.manifest.nfe_mean == (4 if guided else 2)
    runtime = open_runtime(config.compute, ONE_PROCESS)
    for model in ("teacher", "few_step"):
        sampler = load_sampler(Path("models") / model, runtime)
        assert sampler.shape == case[-1]
        assert sampler.image_shape == config.data.image_shape
        assert (sampler.null_class is not None) == guided
    rows = json.loads(Path("metrics/evaluate/teacher.json").read_text())["rows"]
    assert {"guided" in row["solver"] for row in rows} == ({True, False} if guided else {False})
    few_step = json.loads(Path("metrics/evaluate/few_step.json").read_text())["rows"]
    assert {row["nfe"] for row in few_step} == {1, 2}
    assert Path("report/index.html").is_file()

    for model, steps in (("teacher", 2), ("few_step", 1)):
        options = SampleOptions(
            model, Path(f"{model}.png"), steps, 4, 0, None, "uniform", None, 4, 1 if guided else None, False, False
        )
        write_samples(config.compute, options)
        with Image.open(options.out) as grid:
            assert min(grid.size) >= 2 * case[2]


@pytest.mark.parametrize("preset", CASES)
def test_the_head_of_a_preset_says_what_is_planned(preset: str) -> None:
    config = parse_config(composed(f"preset={preset}"), origin=preset)
    head = (ROOT / f"configs/preset/{preset}.yaml").read_text().partition("\ndefaults:")[0].replace("\n#  ", "")
    pairs, solver = config.couplings["round1"].num_pairs, config.couplings["round1"].solver
    calls = pairs * solver.steps * (2 if solver.guidance else 1)
    reflow, student = config.students["round1"], config.students["few_step"]
    # A step of reflow is a call with its gradient; any_step calls a quarter of the batch once more, without one.
    images = [item.num_steps * item.batch_size for item in (reflow, student)]
    parts = (calls, 3 * images[0], 3.25 * images[1])
    assert planned_compute(config, "few_step") == sum(parts)
    total, *each = (f"{count / 1e6:.1f}" for count in (sum(parts), *parts))
    assert f"{total} million forward-equivalents from the couplings to few_step" in head
    assert "({} couplings, {} round1, {} few_step;".format(*each) in head
    bytes_an_entry = {"float16": 2, "uint8": 1}[config.couplings["round1"].dtype]
    size = pairs * math.prod(config.sample_shape) * bytes_an_entry
    assert f"Disk: couplings {size / 1e9:.1f} GB" in head
    flops = re.search(r" of (\d+) GFLOP each, (\S+) FLOP", head)
    assert flops is not None
    assert float(flops[2]) == pytest.approx(sum(parts) * int(flops[1]) * 1e9, rel=0.03)
    assert "Never run here." in head
    assert "What papers reached" in head
