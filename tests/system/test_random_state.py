from __future__ import annotations

import ast

import pytest
import torch
from helpers.project_folders import ROOT

from pipeline.system.random_state import seeded


def test_draws_are_those_of_the_seed_and_the_stream_goes_on_as_if_nothing_had_been(monkeypatch) -> None:
    expected = torch.randn(3, generator=torch.Generator().manual_seed(5))
    before = torch.get_rng_state()

    def touched(*_: object) -> None:
        pytest.fail("a GPU was touched")

    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with seeded(5):
        drawn = torch.randn(3)
    assert torch.equal(drawn, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("package", ["pipeline", "stages"])
def test_generators_are_forked_on_named_devices_alone(package: str) -> None:
    forks = [
        call
        for path in (ROOT / package).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("fork_rng")
    ]
    assert all(call.args or "devices" in {item.arg for item in call.keywords} for call in forks)
