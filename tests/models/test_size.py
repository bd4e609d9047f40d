from __future__ import annotations

import pytest
from helpers.composition import composed

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.models.networks import build_network
from pipeline.models.size import num_parameters, require_network_fits
from pipeline.system.errors import StraightflowError
from stages.surroundings import require_networks_fit

MLP = MLPConfig(width=8, num_layers=2, fourier_octaves=1, longest_wavelength=1.0)


def config(*overrides: str) -> Config:
    return parse_config(composed("preset=smoke", *overrides), origin="test")


def unet(channels: int) -> UNetConfig:
    return UNetConfig(
        block_out_channels=(channels,),
        layers_per_block=1,
        attention=(False,),
        norm_num_groups=1,
        attention_head_dim=channels,
        dropout=0.0,
    )


def test_parameters_are_counted_without_the_network() -> None:
    # Two entries, their sine and cosine, and 64 of the time; two hidden layers; two entries out.
    assert num_parameters(MLP, (2,)) == (2 * 3 + 64 + 1) * 8 + (8 + 1) * 8 + (8 + 1) * 2
    built = build_network(unet(8), (1, 8, 8), seed=0)
    assert num_parameters(unet(8), (1, 8, 8)) == sum(item.numel() for item in built.parameters())
    assert num_parameters(unet(2**20), (1, 8, 8)) > 2**40


def test_the_bound_is_the_bytes_of_its_parameters(monkeypatch) -> None:
    count = num_parameters(MLP, (2,))
    monkeypatch.setattr("pipeline.system.memory.memory_at_hand", lambda: 4 * count)
    build_network(MLP, (2,), seed=0)
    with pytest.raises(StraightflowError, match=f"a network of {count} parameters"):
        require_network_fits(MLP, (2,), 5)
    monkeypatch.setattr("pipeline.system.memory.memory_at_hand", lambda: 4 * count - 1)
    with pytest.raises(StraightflowError, match=f"a network of {count} parameters"):
        build_network(MLP, (2,), seed=0)


@pytest.mark.parametrize("power", [24, 31, 40, 52])
@pytest.mark.parametrize("key", ["unet", "mlp"])
def test_check_refuses_networks_that_no_machine_holds(key: str, power: int) -> None:
    if key == "mlp":
        content = parse_config(composed("preset=toy_smoke", f"teacher.mlp.width={2**power}"), origin="test")
    else:
        content = config(f"teacher.unet.block_out_channels=[32,{2**power}]")
    with pytest.raises(StraightflowError, match=r"parameters|more than 2\^63 bytes"):
        require_networks_fit(content)


@pytest.mark.parametrize(
    "override",
    [
        "teacher.unet.layers_per_block=1000000000",
        f"teacher.unet.block_out_channels={[32] * 64}".replace(" ", ""),
    ],
)
def test_networks_too_deep_to_be_counted_are_no_configuration(override: str) -> None:
    with pytest.raises(StraightflowError, match=r"at most|less than or equal"):
        config(override)
