"""Prompts encoded on a device, where transformers, an extra, is there to read text."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from helpers.small_text_model import PROMPTS, save_stable_diffusion, save_stable_diffusion_3
from helpers.stand_in_device import STAND_IN, stand_in_device

import pipeline.models.kinds.prompted_kind as prompted_kind
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.kinds.sd3 import SD3Kind
from pipeline.models.kinds.unet_condition import UNetConditionKind

CASES = [
    (UNetConditionKind(), save_stable_diffusion, DDIMScheduler()),
    (SD3Kind(), save_stable_diffusion_3, FlowMatchEulerDiscreteScheduler()),
]


def tensors_of(kind: PromptedKind, folder: Path) -> dict[str, torch.Tensor]:
    """Of the table of three prompts and the empty one."""
    network = kind.build(json.loads((folder / kind.part / "config.json").read_text()))
    return dict(kind.with_prompts(network, folder, PROMPTS).table.tensors)


if importlib.util.find_spec("transformers") is not None:

    @pytest.mark.parametrize(("kind", "save", "scheduler"), CASES)
    def test_prompts_are_encoded_on_the_device_and_kept_by_the_host(
        kind: PromptedKind, save: Callable[..., None], scheduler: Any, tmp_path: Path, monkeypatch
    ) -> None:
        save(tmp_path / "theirs", scheduler)
        plain = tensors_of(kind, tmp_path / "theirs")
        monkeypatch.setattr(prompted_kind, "AT_ONCE", 3)  # two batches
        with stand_in_device(monkeypatch) as device:
            monkeypatch.setattr(prompted_kind, "main_device", lambda: STAND_IN)
            found = tensors_of(kind, tmp_path / "theirs")
        assert device.waits.count("copy from the device") == 2 * len(plain)
        assert found.keys() == plain.keys()
        for name, values in found.items():
            assert (type(values), values.device.type, values.dtype) == (torch.Tensor, "cpu", torch.float32)
            assert torch.allclose(values, plain[name], rtol=0, atol=1e-5), name

    def test_a_device_without_room_for_the_encoders_leaves_the_prompts_to_the_cpu(tmp_path: Path, monkeypatch) -> None:
        kind, asked = UNetConditionKind(), []
        save_stable_diffusion(tmp_path / "theirs", DDIMScheduler())
        plain = tensors_of(kind, tmp_path / "theirs")
        encode = UNetConditionKind.encode_batch

        def small(self: PromptedKind, stock: Any, prompts: list[str], device: torch.device) -> dict[str, torch.Tensor]:
            asked.append((device, stock.text_encoder.device))
            if device == STAND_IN:
                raise torch.OutOfMemoryError("no room")
            return encode(self, stock, prompts, device)

        monkeypatch.setattr(UNetConditionKind, "encode_batch", small)
        with stand_in_device(monkeypatch):
            monkeypatch.setattr(prompted_kind, "main_device", lambda: STAND_IN)
            found = tensors_of(kind, tmp_path / "theirs")
        assert asked == [(STAND_IN, STAND_IN), (torch.device("cpu"), torch.device("cpu"))]
        assert torch.equal(found["encoder_hidden_states"], plain["encoder_hidden_states"])
