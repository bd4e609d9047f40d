from __future__ import annotations

import torch
from diffusers import UNet2DModel

from pipeline.config.network import UNetConfig
from pipeline.models.networks import build_network
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
