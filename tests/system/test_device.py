from __future__ import annotations

import pytest
import torch

from pipeline.system.device import double_device, wait_for


def test_devices_that_compute_on_their_own_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    for name in ("cpu", "cuda:1", "mps"):
        wait_for(torch.device(name))
    assert waited == [torch.device("cuda:1"), torch.device("mps")]


def test_doubles_go_where_they_are_computed() -> None:
    found = [double_device(torch.device(name)).type for name in ("cpu", "cuda:1", "mps")]
    assert found == ["cpu", "cuda", "cpu"]
