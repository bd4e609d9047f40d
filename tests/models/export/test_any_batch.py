from __future__ import annotations

import pytest
import torch
from diffusers.models.upsampling import Upsample2D
from helpers.small_unet import small_unet

from pipeline.models.export.any_batch import AnyBatchUpsample, take_any_batch


@pytest.mark.parametrize("settings", [{"use_conv": True}, {"use_conv": True, "name": "Conv2d_0"}, {}])
@pytest.mark.parametrize("output_size", [None, (7, 5)])
def test_the_layer_equals_the_stock_one_to_the_bit(settings: dict, output_size: tuple[int, int] | None) -> None:
    stock = Upsample2D(4, **settings)
    x = torch.randn(3, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(AnyBatchUpsample(stock)(x, output_size), stock(x, output_size))


def test_layers_that_do_more_than_double_stay() -> None:
    network = torch.nn.ModuleList([Upsample2D(4, use_conv_transpose=True), Upsample2D(4, norm_type="ln_norm")])
    take_any_batch(network)
    assert [type(layer) for layer in network] == [Upsample2D, Upsample2D]


def test_every_layer_of_a_network_is_replaced_and_its_weights_are_kept() -> None:
    network = small_unet()
    before = list(network.up_blocks[0].upsamplers[0].conv.parameters())
    take_any_batch(network)
    assert not any(isinstance(layer, Upsample2D) for layer in network.modules())
    after = list(network.up_blocks[0].upsamplers[0].parameters())
    assert all(old is new for old, new in zip(before, after, strict=True))
