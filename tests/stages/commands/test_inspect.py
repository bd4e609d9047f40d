from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.command_line import printed, refusal
from helpers.composition import composed
from helpers.coupling_models import couplings, student_sampler
from PIL import Image

from pipeline.config.loading import parse_config
from pipeline.config.solver import SolverConfig
from pipeline.couplings.coupling_run import open_run
from pipeline.couplings.generation import generate_couplings
from pipeline.models.sampler import Sampler
from stages.commands.inspect import draw_pairs


@pytest.fixture
def sampler(tiny_unet, runtime, project: Path) -> Sampler:
    return student_sampler(tiny_unet, runtime, project / "student")


def test_a_store_is_described_and_drawn(sampler: Sampler) -> None:
    generate_couplings(sampler, couplings(), Path("runs"), Path("couplings/round1/store"))
    shown = printed("inspect", "couplings/round1")
    for expected in (
        "50 in 3 shards",
        "1×8×8 uint8",
        "euler, num_steps 2",
        "2 network calls a pair",
        "all 3 shards match",
    ):
        assert expected in shown
    assert shown.endswith("picture              runs/inspect/round1.png: noise left, image right\n")
    with Image.open("runs/inspect/round1.png") as picture:
        assert picture.width == 8 * (2 * 64 + 8) - 8
    assert printed("inspect", "couplings/round1/store") == shown
    Path("couplings/round1/store/shard-000001.safetensors").write_bytes(b"")
    assert "shard-000001" in refusal("inspect", "couplings/round1/store")


def test_states_are_described_where_there_are_any(sampler: Sampler) -> None:
    for name, states in (("plain", False), ("kept", True)):
        solver = SolverConfig(name="euler", num_steps=4)
        store = Path(f"couplings/{name}/store")
        generate_couplings(sampler, couplings(solver=solver, states=states), Path("runs"), store)
    assert "states" not in printed("inspect", "couplings/plain")
    # Three states of 64 entries of two bytes.
    assert "3 a pair, at t = 0.25, 0.5, 0.75; float16, 384 bytes a pair, RMS error " in printed(
        "inspect", "couplings/kept"
    )


def test_unfinished_stores_are_listed_with_the_round_that_goes_on_with_them(sampler: Sampler) -> None:
    params = composed("preset=smoke")
    now = couplings()
    params["couplings"]["round1"] = now.model_dump(mode="json") | {"source": "teacher"}
    params["couplings"]["round1"]["solver"] = {"name": "unipc", "num_steps": 2}
    params["features"] |= {"name": "classifier", "judge": None}
    params["features"]["classifier"]["num_features"] = 16  # at most as many as pairs
    Path("params.yaml").write_text(yaml.safe_dump(params))
    current = parse_config(params, origin="test").couplings["round1"]
    assert printed("inspect") == "no unfinished couplings or trainings in runs\n"
    for settings, shards in ((current.model_copy(update={"num_pairs": 70}), 4), (now, 1)):
        run = open_run(sampler, settings, Path("runs"))
        for shard in range(shards):
            run.unfinished.path(shard).write_bytes(bytes(1_000_000))
    abandoned = run.unfinished.folder
    (abandoned.with_name("couplings-older")).mkdir()
    older, one, four = sorted(printed("inspect").splitlines(), key=lambda line: line.split(": ")[1])
    assert older == "runs/couplings-older: 0 shards, 0.0 MB, settings unknown; of no couplings as configured now"
    settings = "1 shards, 1.0 MB, from round1 by euler, 2 steps, seed 7"
    assert one == f"{abandoned}: {settings}; of no couplings as configured now"
    # More pairs are added to the same shards.
    assert four.endswith(": 4 shards, 4.0 MB, from teacher by unipc, 2 steps, seed 7; as round1 is configured now")


@pytest.mark.usefixtures("project")
def test_unfinished_trainings_are_listed_with_their_newest_step() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(composed("preset=smoke")))
    for name, steps in (("train-round1-", (40, 80)), ("train-gone-", (5,)), ("train-few_step-", ())):
        folder = Path("runs") / f"{name}{'0123456789abcdef'}"
        folder.mkdir(parents=True)
        for step in steps:
            (folder / f"step-{step:09d}").mkdir()
            (folder / f"step-{step:09d}/optimizers.pt").write_bytes(bytes(1_000_000))
    Path("runs/train-of-my-own").mkdir()
    few_step, gone, round1 = printed("inspect").splitlines()
    assert few_step.startswith("runs/train-few_step-0123456789abcdef: training of few_step, no checkpoint, 0.0 MB; ")
    assert gone.endswith("training of gone, step 5 saved, 1 checkpoints, 1.0 MB; of no model as configured now")
    assert round1.endswith(
        "training of round1, step 80 saved, 2 checkpoints, 2.0 MB; goes on if its inputs are as they were"
    )


def test_noise_is_left_of_its_image() -> None:
    pairs = {"x_0": torch.full((1, 3, 2, 2), -3.0), "x_1": torch.ones(1, 3, 2, 2)}
    pixels = np.asarray(draw_pairs(pairs, columns=1, side=2))
    assert pixels[:, :2].max() == 0
    assert pixels[:, 2:].min() == 255
