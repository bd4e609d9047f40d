from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DModel

from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.models.networks import build_network
from pipeline.system.errors import StraightflowError
from pipeline.training.dropout import has_dropout, set_dropout


def test_a_student_has_the_dropout_it_is_given_and_not_its_teachers(tmp_path) -> None:
    config = UNetConfig(
        block_out_channels=(8,),
        layers_per_block=1,
        attention=(False,),
        norm_num_groups=4,
        attention_head_dim=8,
        dropout=0.5,
    )
    unet = build_network(config, (1, 8, 8), 0).train()
    assert has_dropout(unet)
    set_dropout(unet, 0.0)
    assert not has_dropout(unet)
    x, t = torch.ones(1, 1, 8, 8), torch.zeros(1)
    assert torch.equal(unet(x, t).sample, unet(x, t).sample)
    set_dropout(unet, 0.25)
    unet.save_pretrained(tmp_path)
    assert UNet2DModel.from_pretrained(tmp_path).down_blocks[0].resnets[0].dropout.p == 0.25


def attention_unet(dropout: float) -> UNet2DModel:
    config = UNetConfig(
        block_out_channels=(8, 16),
        layers_per_block=1,
        attention=(True, True),
        norm_num_groups=4,
        attention_head_dim=8,
        dropout=dropout,
    )
    return build_network(config, (1, 8, 8), 0)


def probabilities(unet: UNet2DModel) -> dict[str, float]:
    return {name: module.p for name, module in unet.named_modules() if isinstance(module, torch.nn.Dropout)}


def test_dropout_means_the_same_layers_made_new_set_later_and_opened_again(tmp_path) -> None:
    made, changed = attention_unet(0.25), attention_unet(0.5)
    assert probabilities(made) != probabilities(changed)
    set_dropout(changed, 0.25)
    assert probabilities(changed) == probabilities(made)
    changed.save_pretrained(tmp_path)
    assert probabilities(UNet2DModel.from_pretrained(tmp_path)) == probabilities(made)
    # By hand: two levels of one block down and two up, two blocks in the middle; an attention layer beside all but one.
    assert sorted(probabilities(made).values()) == [0.0] * 7 + [0.25] * 8


def test_a_network_that_has_nothing_to_drop_from_says_so() -> None:
    points = build_network(MLPConfig(width=8, num_layers=1, fourier_octaves=1, longest_wavelength=8.0), (2,), 0)
    set_dropout(points, 0.0)
    with pytest.raises(StraightflowError, match="VelocityMLP"):
        set_dropout(points, 0.1)


def test_dropout_makes_gradient_accumulation_another_draw_and_without_it_rounding_alone() -> None:
    x, t = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.zeros(4)

    def gradient(unet: UNet2DModel, parts: int) -> torch.Tensor:
        unet.train().zero_grad()
        torch.manual_seed(0)
        for part in range(parts):
            rows = slice(part * 4 // parts, (part + 1) * 4 // parts)
            (unet(x[rows], t[rows]).sample.square().mean() / parts).backward()
        return unet.conv_in.weight.grad.clone()

    differences = {}
    with torch.random.fork_rng(devices=[]):
        for dropout in (0.0, 0.5):
            unet = attention_unet(dropout)
            whole, halves = gradient(unet, 1), gradient(unet, 2)
            differences[dropout] = float((whole - halves).norm() / whole.norm())
    assert differences[0.0] < 1e-5
    assert differences[0.5] > 1e-2
