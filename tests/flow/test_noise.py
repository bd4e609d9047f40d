from __future__ import annotations

import ast

import pytest
import torch
from helpers.project_folders import ROOT

from pipeline.flow.noise import noise_check, sample_noise, seeded_weights, stream_key


def test_noise_does_not_depend_on_the_batch_it_is_drawn_in() -> None:
    key = stream_key("couplings", 3)
    together = sample_noise(key, range(20), (1, 8, 8))
    apart = torch.cat([sample_noise(key, range(start, start + 5), (1, 8, 8)) for start in (0, 5, 10, 15)])
    assert torch.equal(together, apart)
    assert torch.equal(sample_noise(key, [17, 4], (1, 8, 8)), together[[17, 4]])


def test_noise_is_standard_normal() -> None:
    noise = sample_noise(stream_key("couplings", 0), range(4096), (64,)).double()
    count = noise.numel()
    assert abs(noise.mean()) < 5 / count**0.5
    assert abs(noise.var() - 1) < 5 * (2 / count) ** 0.5
    neighbours = (noise[:-1] * noise[1:]).mean()
    assert abs(neighbours) < 5 / count**0.5


def test_no_two_seeds_purposes_or_indices_share_noise() -> None:
    rows = [
        sample_noise(stream_key(purpose, seed), range(50), (16,))
        for purpose in ("couplings", "evaluation")
        for seed in (0, 1)
    ]
    assert len(torch.unique(torch.cat(rows), dim=0)) == 200


def test_noise_check_tells_streams_apart() -> None:
    assert noise_check(stream_key("couplings", 0), (4,)) == noise_check(stream_key("couplings", 0), (4,))
    assert noise_check(stream_key("couplings", 0), (4,)) != noise_check(stream_key("couplings", 1), (4,))


def test_weights_are_those_of_the_seed_and_no_gpu_is_touched(monkeypatch) -> None:
    def touched(*_: object, **__: object) -> None:
        raise AssertionError("a generator of a GPU was read or set")

    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    before = torch.get_rng_state()
    with seeded_weights(5):
        drawn = torch.rand(3)
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(5)))
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
