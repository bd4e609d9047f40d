from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.couplings.picture import draw_pairs
from pipeline.errors import StraightflowError
from stages import inspect


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
        assert picture.width == 8 * (2 * 64 + 8)
    (tmp_path / "couplings/round1/store/shard-000001.safetensors").write_bytes(b"")
    with pytest.raises(StraightflowError, match="shard-000001"):
        inspect.main(None, ["couplings/round1/store"])


def test_noise_is_left_of_its_image() -> None:
    pairs = {"x_0": torch.full((1, 3, 2, 2), -3.0), "x_1": torch.ones(1, 3, 2, 2)}
    pixels = np.asarray(draw_pairs(pairs, columns=1, side=2))
    assert pixels[2:4, 2:4].max() == 0
    assert pixels[2:4, 4:6].min() == 255
