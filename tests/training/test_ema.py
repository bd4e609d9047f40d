"""Weight averages: their half-life, and how a checkpoint gets them."""

from __future__ import annotations

import weakref

import pytest
import torch
from helpers.stand_in_device import STAND_IN, OnDevice, stand_in_device

from pipeline.training.ema import Ema


def test_ema_has_its_half_life() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    ema = Ema([parameter], halflife_images=50, rampup_ratio=1.0)
    with torch.no_grad():
        parameter.zero_()
    for step in range(10):
        ema.update(5, 10_000 + step)
    assert ema.averages[0].tolist() == pytest.approx([0.5] * 3)


@pytest.mark.parametrize(("kept", "expected"), [(True, {"0": [0.0], "1": [1.0], "2": [2.0]}), (False, {})])
def test_a_device_holds_one_whole_average_at_a_time_and_one_process_keeps_them_on_its_host(
    kept: bool, expected: dict[str, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[weakref.ref[torch.Tensor]] = []

    def gather(own: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        del like
        assert all(whole() is None for whole in gathered)
        whole = own.clone()
        gathered.append(weakref.ref(whole))
        return whole

    with stand_in_device(monkeypatch):
        monkeypatch.setattr("pipeline.training.ema.to_full", gather)
        parameters = [torch.nn.Parameter(torch.full((1,), float(value)).to(STAND_IN)) for value in range(3)]
        found = Ema(parameters, halflife_images=50, rampup_ratio=1.0).state_dict(kept=kept)
    assert len(gathered) == 3  # whether they are kept or not
    assert not any(isinstance(values, OnDevice) for values in found.values())
    assert {position: values.tolist() for position, values in found.items()} == expected
