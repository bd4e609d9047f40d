from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import composed
from helpers.coupling_models import couplings
from PIL import Image

from pipeline.config.loading import parse_config
from pipeline.couplings.generation import open_run
from pipeline.couplings.picture import draw_pairs
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError
from stages.commands import inspect


def test_a_store_is_described_and_drawn(store: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "couplings/round1").mkdir(parents=True)
    store.rename(tmp_path / "couplings/round1/store")
    monkeypatch.chdir(tmp_path)
    inspect.main(None, ["couplings/round1"])
    printed = capsys.readouterr().out
    for expected in (
        "50 in 3 shards",
        "1×8×8 uint8",
        "euler, num_steps 2",
        "2 network calls a pair",
        "all 3 shards match",
    ):
        assert expected in printed
    with Image.open("runs/inspect/round1.png") as picture:
        assert picture.width == 8 * (2 * 64 + 8) - 8
    (tmp_path / "couplings/round1/store/shard-000001.safetensors").write_bytes(b"")
    with pytest.raises(StraightflowError, match="shard-000001"):
        inspect.main(None, ["couplings/round1/store"])


def test_unfinished_stores_are_listed_with_the_round_that_goes_on_with_them(
    sampler: Sampler, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    params = composed("preset=smoke")
    now = couplings()
    params["rounds"]["round1"]["couplings"] = now.model_dump(mode="json") | {"source": "teacher"}
    params["rounds"]["round1"]["couplings"]["solver"] = {"name": "unipc", "num_steps": 2}
    config = parse_config(params, origin="test")
    current = config.rounds["round1"].couplings
    inspect.main(config, [])
    assert "no unfinished couplings" in capsys.readouterr().out
    for settings, shards in ((current.model_copy(update={"num_pairs": 70}), 4), (now, 1)):
        run = open_run(sampler, settings, Path("runs"))
        for shard in range(shards):
            run.work.path(shard).write_bytes(bytes(1_000_000))
    abandoned = run.work.folder
    (abandoned.with_name("couplings-older")).mkdir()
    inspect.main(config, [])
    lines = sorted(capsys.readouterr().out.splitlines(), key=lambda line: line.split(": ")[1])
    older, one, four = lines
    assert older == "runs/couplings-older: 0 shards, 0.0 MB, settings unknown; of no round as configured now"
    settings = "1 shards, 1.0 MB, from round1 by euler, 2 steps, seed 7"
    assert one == f"{abandoned}: {settings}; of no round as configured now"
    # More pairs are added to the same shards.
    assert four.endswith(": 4 shards, 4.0 MB, from teacher by unipc, 2 steps, seed 7; as round1 is configured now")


def test_noise_is_left_of_its_image() -> None:
    pairs = {"x_0": torch.full((1, 3, 2, 2), -3.0), "x_1": torch.ones(1, 3, 2, 2)}
    pixels = np.asarray(draw_pairs(pairs, columns=1, side=2))
    assert pixels[:, :2].max() == 0
    assert pixels[:, 2:].min() == 255
