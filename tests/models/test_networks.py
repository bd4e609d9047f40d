from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config.couplings import CouplingsConfig, GateConfig
from pipeline.config.data import DataConfig
from pipeline.config.flow import LossConfig, TimestepsConfig
from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.solver import SolverConfig
from pipeline.config.training import FlowConfig
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.data.points import prepare_points
from pipeline.data.sample_set import open_samples
from pipeline.methods.flow_matching import build_flow_matching
from pipeline.models.networks import build_network, load_network, noise_of, sample_shape, set_noise
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES
from pipeline.toys.distributions import TOYS
from pipeline.training.loop import train
from stages.commands.inspect import inspect_store

MLP = MLPConfig(width=32, num_layers=2, fourier_octaves=2, longest_wavelength=8.0)
UNET = UNetConfig(
    block_out_channels=(8,), layers_per_block=1, attention=(False,), norm_num_groups=4, attention_head_dim=8, dropout=0
)
SHIFTED = NoiseConfig(mean=(0.0, -5.0), std=0.5)


def test_shapes_of_samples_come_from_the_saved_configuration() -> None:
    assert sample_shape(build_network(MLP, (2,), 0)) == (2,)
    assert sample_shape(build_network(UNET, (3, 8, 8), 0)) == (3, 8, 8)


def test_a_network_of_points_is_saved_with_its_noise_and_opened_as_it_was(tmp_path: Path) -> None:
    network = build_network(MLP, (2,), 0)
    set_noise(network, SHIFTED)
    save_student(network, tmp_path)
    assert (tmp_path / "unet/diffusion_pytorch_model.safetensors").is_file()
    opened = load_network(tmp_path)
    assert noise_of(opened) == SHIFTED
    x, t = torch.randn(4, 2), torch.tensor([0.0, 10.0, 500.0, 999.0])
    assert torch.equal(opened(x, t).sample, network(x, t).sample)
    assert opened(x, 7).sample.shape == (4, 2)


def test_only_known_kinds_are_opened(tmp_path: Path) -> None:
    save_student(build_network(MLP, (2,), 0), tmp_path)
    (tmp_path / HASHES).unlink()  # as in a folder from elsewhere
    file = tmp_path / "unet/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_class_name": "os.system"}))
    with pytest.raises(StraightflowError, match=r"os\.system"):
        load_network(tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("num_layers", 10**9), ("fourier_octaves", 65), ("width", "32"), ("width", True), ("longest_wavelength", 0),
        ("time_features", 7), ("noise_std", -1.0), ("noise_std", float("nan")), ("noise_mean", [0.0]),
        ("noise_mean", 0.0), ("sample_size", [8]),
    ],
)  # fmt: skip
def test_a_network_of_points_with_a_setting_out_of_range_is_not_opened(setting: str, value, tmp_path: Path) -> None:
    save_student(build_network(MLP, (2,), 0), tmp_path)
    (tmp_path / HASHES).unlink()  # as in a folder from elsewhere
    load_network(tmp_path)
    file = tmp_path / "unet/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {setting: value}))
    with pytest.raises(StraightflowError, match=setting):
        load_network(tmp_path)


def test_images_start_from_standard_noise_only() -> None:
    network = build_network(UNET, (1, 8, 8), 0)
    set_noise(network, STANDARD_NOISE)
    with pytest.raises(StraightflowError, match="UNet2DModel"):
        set_noise(network, SHIFTED)


@pytest.mark.parametrize("source", TOYS)
def test_points_become_a_data_set_whose_shape_the_configuration_knows(source: str, tmp_path: Path) -> None:
    config = DataConfig(
        source=source, location=None, heldout_share=0.25, resolution=None, channels=None, num_points=400, seed=3
    )
    prepare_points(config, tmp_path / "points")
    train_split, heldout = (open_samples(tmp_path / "points", split) for split in ("train", "heldout"))
    assert (len(train_split), len(heldout)) == (300, 100)
    assert train_split.shape == config.sample_shape == (TOYS[source].dim,)
    whole = np.concatenate([heldout.samples, train_split.samples])
    assert np.array_equal(whole, TOYS[source].sample(400, torch.Generator().manual_seed(3)).numpy())


def test_noise_away_from_the_origin_goes_the_whole_road(tmp_path: Path, runtime: Runtime, capsys) -> None:
    """From N((0, -5), I) to N((5, 0), I): every place that draws x_0 must draw this one."""
    noise = NoiseConfig(mean=(0.0, -5.0))
    sizes = {"resolution": None, "channels": None, "num_points": 4000}
    data = DataConfig(source="two_gaussians", location=None, heldout_share=0.1, seed=0, **sizes)
    prepare_points(data, tmp_path / "data")
    settings = FlowConfig.model_validate(
        {
            "num_steps": 400, "batch_size": 256, "learning_rate": 3e-3, "lr_decay": "cosine", "warmup_steps": 20,
            "weight_decay": 0, "gradient_clip_norm": 1, "ema_halflife_images": 5000, "ema_rampup_ratio": 0.1,
            "log_every_steps": 100, "checkpoint_every_steps": 1000, "seed": 0, "coupling": "independent",
            "loss": LossConfig(name="l2"), "timesteps": TimestepsConfig(name="uniform"), "noise": noise,
        }
    )  # fmt: skip
    network = build_network(MLP, (2,), 0)
    set_noise(network, noise)
    points = open_samples(tmp_path / "data", "train")
    train(network, points, build_flow_matching(settings, runtime.device), settings, runtime, tmp_path / "run", "flow")
    save_student(network, tmp_path / "flow")

    sampler = load_sampler(tmp_path / "flow", runtime)
    couplings = CouplingsConfig(
        source="flow", num_pairs=600, solver=SolverConfig(name="euler", num_steps=20), batch_size=200, shard_pairs=300,
        dtype="float32", seed=4,
    )  # fmt: skip
    generate_couplings(sampler, couplings, tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    assert store.manifest.noise == noise
    limits = GateConfig(max_clipped_fraction=0.0, max_reintegration_error=1e-3, reintegrated_pairs=32)
    check_couplings(store, couplings, limits, sampler)
    inspect_store(tmp_path / "store")
    assert "picture              none of points" in capsys.readouterr().out
    pairs = store.load(np.arange(600))
    five_errors = 5 / 600**0.5
    assert (pairs["x_0"].mean(dim=0) - torch.tensor([0.0, -5.0])).abs().max() < five_errors
    assert (pairs["x_1"].mean(dim=0) - torch.tensor([5.0, 0.0])).abs().max() < five_errors + 0.3
    # Between equal Gaussians the exact flow is a shift, so the learned couplings are nearly parallel.
    assert float((pairs["x_1"] - pairs["x_0"]).std(dim=0).max()) < 0.5
