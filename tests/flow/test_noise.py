from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from pipeline.flow.noise import Purpose, noise_check, sample_noise, stream_key


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
        sample_noise(stream_key(purpose, seed), range(50), (16,)) for purpose in get_args(Purpose) for seed in (0, 1)
    ]
    assert len(torch.unique(torch.cat(rows), dim=0)) == 50 * len(rows)


def test_noise_check_tells_streams_apart() -> None:
    assert noise_check(stream_key("couplings", 0), (4,)) == noise_check(stream_key("couplings", 0), (4,))
    assert noise_check(stream_key("couplings", 0), (4,)) != noise_check(stream_key("couplings", 1), (4,))


@pytest.mark.parametrize("shape", [(1024,), (3, 32, 32), (7,)])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_sample_is_its_own_philox_stream_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], threads: int
) -> None:
    """Salmon et al. 2011: sample i is the stream of the key (key, i)."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    key, indices = stream_key("couplings", 3), [5, 2**40, *range(400)]
    noise = sample_noise(key, indices, shape).numpy()
    assert len(noise) == 402
    for at, index in enumerate(indices):
        generator = np.random.Generator(np.random.Philox(key=np.array([key, index], dtype=np.uint64)))
        assert np.array_equal(noise[at], generator.standard_normal(shape, dtype=np.float32))
    assert sample_noise(key, [], shape).shape == (0, *shape)
