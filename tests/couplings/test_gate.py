from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coupling_models import couplings, rewrite_shard

import pipeline.couplings.store as store_module
from pipeline.config.couplings import CouplingsConfig, GateConfig, ImageToNoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.pixels import to_uint8
from pipeline.data.sample_set import SampleSet
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


def test_one_clipped_shard_among_good_ones(store: Path, sampler: Sampler) -> None:
    rewrite_shard(store, 0, stored(store, 0), clipped_fraction=0.0)
    rewrite_shard(store, 1, stored(store, 1), clipped_fraction=0.0)
    rewrite_shard(store, 2, stored(store, 2), clipped_fraction=0.2)
    limits = LIMITS.model_copy(update={"max_clipped_fraction": 0.1})
    assert CouplingStore(store).manifest.clipped_fraction == pytest.approx(0.2 * 10 / 50)  # below the limit
    assert refusal(store, sampler, limits=limits).startswith(
        "20.00% of image entries outside [-1, 1] in shard-000002.safetensors, the worst of 3 shards"
    )


def many_shards(sampler: Sampler, folder: Path) -> Path:
    """A store of ten shards of five pairs."""
    generate_couplings(sampler, couplings(shard_pairs=5), folder / "runs", folder / "many")
    return folder / "many"


def test_shards_of_an_older_solver(sampler: Sampler, tmp_path: Path) -> None:
    many = many_shards(sampler, tmp_path)
    opened = CouplingStore(many)
    errors = []
    for shard in range(0, 10, 2):
        x_0 = opened.load(np.arange(5 * shard, 5 * shard + 5))["x_0"]
        older = sampler.sample(x_0, SolverConfig(name="euler", num_steps=1)).x.clamp(-1, 1)
        x_1 = opened.x_1(np.arange(5 * shard, 5 * shard + 5))
        errors.append(((older - x_1).flatten(1).norm(dim=1) / older.flatten(1).norm(dim=1)).mean().item())
        rewrite_shard(many, shard, {"images": to_uint8(older)})
    # The mean over all shards, of which the others err by 8-bit rounding alone, keeps the limit; the worst does not.
    limits = LIMITS.model_copy(update={"max_reintegration_error": 0.75 * max(errors)})
    assert sum(errors) / 10 + 0.005 < limits.max_reintegration_error
    worst = 2 * int(np.argmax(errors))
    found = refusal(many, sampler, couplings(shard_pairs=5), limits)
    assert f"in shard-{worst:06d}.safetensors, the worst of 10 shards" in found


@pytest.mark.parametrize("reintegrated_pairs", [1, 12])
@pytest.mark.parametrize("shard", [0, 4, 9])
def test_one_shard_of_another_generator(sampler: Sampler, tmp_path: Path, shard: int, reintegrated_pairs: int) -> None:
    many = many_shards(sampler, tmp_path)
    noise = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    rewrite_shard(many, shard, {"images": to_uint8(sampler.sample(noise, couplings().solver).x)})
    limits = LIMITS.model_copy(update={"max_reintegration_error": 0.5, "reintegrated_pairs": reintegrated_pairs})
    found = refusal(many, sampler, couplings(shard_pairs=5), limits)
    assert f"in shard-{shard:06d}.safetensors, the worst of 10 shards" in found


def test_one_shard_of_images_whose_noise_is_not_theirs(sampler: Sampler, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    real = SampleSet(rng.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8), None, "")
    config = couplings(image_to_noise=ImageToNoiseConfig(share=0.6, solver=couplings().solver))
    generate_couplings(sampler, config, tmp_path / "runs", tmp_path / "inverted", real)
    inverted = CouplingStore(tmp_path / "inverted")
    check_couplings(inverted, config, LIMITS, sampler)
    noise = inverted.load(np.arange(20, 40))["x_0"].half()
    rewrite_shard(tmp_path / "inverted", 1, {"images": inverted.images(np.arange(20, 40)), "noise": noise.roll(1, 0)})
    assert "re-integration error" in refusal(tmp_path / "inverted", sampler, config)
    assert "in shard-000001" in refusal(tmp_path / "inverted", sampler, config)


def test_the_reported_error_is_of_the_evenly_spread_pairs(store: Path, sampler: Sampler) -> None:
    opened = CouplingStore(store)
    pairs = opened.load(np.array([0, 24, 49]))  # three of fifty, the ends among them; 24.5 rounds to even
    drawn = sampler.sample(pairs["x_0"], couplings().solver).x.clamp(-1, 1)
    distance = (drawn - pairs["x_1"]).flatten(1).norm(dim=1) / pairs["x_1"].flatten(1).norm(dim=1)
    limits = LIMITS.model_copy(update={"reintegrated_pairs": 3})
    found = check_couplings(opened, couplings(), limits, sampler).reintegration_error
    assert found == pytest.approx(distance.mean().item(), rel=1e-3)


def test_constant_images(store: Path, sampler: Sampler) -> None:
    images = stored(store, 1)["images"]
    images[[3, 5]] = 17
    rewrite_shard(store, 1, {"images": images}, clipped_fraction=0.0)
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


def test_a_solver_that_the_source_does_not_take_is_a_reason(store: Path, sampler: Sampler) -> None:
    path = store / "manifest.json"
    solver = "unipc" if sampler.noise_schedule is None else "euler"
    content = json.loads(path.read_text("utf-8")) | {"solver": {"name": solver, "num_steps": 2}}
    path.write_text(json.dumps(content), "utf-8")
    assert f"solver {solver}, which" in refusal(store, sampler)


def test_labels_of_another_number_of_classes_than_the_source_has(store: Path, sampler: Sampler) -> None:
    assert refusal(store, dataclasses.replace(sampler, num_classes=4)) == "num_classes None, but round1 has 4"


def test_a_manifest_that_its_pairs_contradict(store: Path, sampler: Sampler) -> None:
    path = store / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"nfe_mean": 3.0}))
    assert refusal(store, sampler) == "nfe_mean 3, but euler takes 2 calls a pair"
