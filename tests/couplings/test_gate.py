from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, rewrite_shard

import pipeline.couplings.store as store_module
from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.models.sampler import Sampler
from pipeline.system.errors import StraightflowError

LIMITS = GateConfig(max_clipped_fraction=1.0, max_reintegration_error=0.05, reintegrated_pairs=12)


def refusal(store: Path, sampler: Sampler, config: CouplingsConfig | None = None, limits: GateConfig = LIMITS) -> str:
    with pytest.raises(StraightflowError) as caught:
        check_couplings(CouplingStore(store), config or couplings(), limits, sampler)
    return caught.value.found


def stored(store: Path, shard: int) -> dict[str, torch.Tensor]:
    size = 20
    return {"images": CouplingStore(store).images(np.arange(shard * size, min((shard + 1) * size, 50)))}


def test_a_good_store_passes_and_is_measured(store: Path, sampler: Sampler) -> None:
    check = check_couplings(CouplingStore(store), couplings(), LIMITS, sampler)
    pairs = CouplingStore(store).load(np.arange(50))
    assert check.num_pairs == 50
    assert check.transport_cost_per_dim == pytest.approx((pairs["x_1"] - pairs["x_0"]).square().mean().item(), rel=1e-5)
    # Rounding to 8 bits moves an entry by at most 1/255 in a range whose root mean square is that of x_1.
    floor = (1 / 255) / 3**0.5 / pairs["x_1"].square().mean().sqrt().item()
    assert check.reintegration_error is not None
    assert 0.1 * floor < check.reintegration_error < 2 * floor
    assert check.inversion_error is None


def test_fewer_pairs_than_promised(store: Path, sampler: Sampler) -> None:
    assert refusal(store, sampler, couplings(num_pairs=60)) == "50 pairs, 60 were promised"


def test_another_source(store: Path, sampler: Sampler) -> None:
    assert "it changed since" in refusal(store, dataclasses.replace(sampler, fingerprint="0" * 64))


def test_images_of_other_noise(store: Path, sampler: Sampler) -> None:
    first, second = stored(store, 0), stored(store, 1)
    rewrite_shard(store, 0, second)
    rewrite_shard(store, 1, first)
    assert "re-integration error" in refusal(store, sampler)


def test_clipped_images(store: Path, sampler: Sampler) -> None:
    for shard in range(3):
        rewrite_shard(store, shard, stored(store, shard), clipped_fraction=0.2)
    strict = LIMITS.model_copy(update={"max_clipped_fraction": 0.1})
    assert refusal(store, sampler, limits=strict).startswith("20.00% of image entries outside")


def test_constant_images(store: Path, sampler: Sampler) -> None:
    images = stored(store, 1)["images"]
    images[[3, 5]] = 17
    rewrite_shard(store, 1, {"images": images})
    limits = LIMITS.model_copy(update={"max_reintegration_error": 10.0})
    assert refusal(store, sampler, limits=limits) == ("2 constant images, the first in shard-000001.safetensors row 3")


def test_images_that_are_not_finite(sampler: Sampler, tmp_path: Path) -> None:
    config = couplings(dtype="float16")
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "store")
    images = stored(tmp_path / "store", 2)["images"]
    images[4, 0, 2, 2] = float("inf")
    rewrite_shard(tmp_path / "store", 2, {"images": images})
    limits = LIMITS.model_copy(update={"reintegrated_pairs": 3})  # pairs 0, 24 and 49
    found = refusal(tmp_path / "store", sampler, config, limits)
    assert found == "1 not finite images, the first in shard-000002.safetensors row 4"


def test_repeated_noises_of_inverted_images(store: Path, sampler: Sampler) -> None:
    noise = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    noise[11] = noise[2]
    rewrite_shard(store, 1, stored(store, 1) | {"noise": noise}, direction="image_to_noise")
    assert refusal(store, sampler) == (
        "1 repeated noises, the first in shard-000001.safetensors row 2 and shard-000001.safetensors row 11"
    )


def test_a_generator_that_repeats_itself(store: Path, sampler: Sampler, monkeypatch) -> None:
    original = store_module.sample_noise

    def repeats_itself(key: int, indices, *rest):
        return original(key, [index % 40 for index in indices], *rest)

    opened = CouplingStore(store)
    monkeypatch.setattr(store_module, "sample_noise", repeats_itself)
    with pytest.raises(StraightflowError, match="10 repeated noises, the first in shard-000000"):
        check_couplings(opened, couplings(), LIMITS, sampler)


def test_every_reason_is_given_at_once(store: Path, sampler: Sampler) -> None:
    images = stored(store, 1)["images"]
    images[3] = 17
    rewrite_shard(store, 1, {"images": images})
    other = dataclasses.replace(sampler, fingerprint="0" * 64)
    found = refusal(store, other, couplings(num_pairs=60), LIMITS.model_copy(update={"max_reintegration_error": 10.0}))
    assert [word in found for word in ("promised", "changed since", "constant")] == [True] * 3


def test_heads_of_noise_are_its_first_entries(store: Path) -> None:
    opened = CouplingStore(store)
    indices = np.array([0, 31, 49])
    assert torch.equal(opened.noise_heads(indices), opened.load(indices)["x_0"].flatten(1)[:, :16])
