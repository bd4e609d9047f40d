"""What kinds of one family share: the sizes that they accept, and their classes."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest

from pipeline.models.kinds import KINDS
from pipeline.models.kinds.kind import NetworkKind
from pipeline.system.errors import StraightflowError

OF_IMAGES = {kind.class_name: kind for kind in KINDS if kind.of_images}
UNETS = ("UNet2DModel", "UNet2DConditionModel")
TRANSFORMERS = ("DiTTransformer2DModel", "SD3Transformer2DModel")


def accept(name: str, **config: Any) -> tuple[int, ...]:
    return OF_IMAGES[name].accept_shape({"in_channels": 4, "out_channels": 4} | config, "here")


@pytest.mark.parametrize("kind", OF_IMAGES.values(), ids=OF_IMAGES)
def test_the_class_is_that_of_diffusers_by_its_name(kind: NetworkKind) -> None:
    assert kind.network_class() is getattr(diffusers, kind.class_name)


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_takes_sides_that_its_levels_halve(name: str) -> None:
    assert accept(name, sample_size=12, block_out_channels=[8, 8, 8]) == (4, 12, 12)
    assert accept(name, sample_size=[8, 12], block_out_channels=[8, 8, 8]) == (4, 8, 12)
    assert accept(name, sample_size=8) == (4, 8, 8)  # both have four levels where none are named: 8, 4, 2, 1


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sample_size": None}, "height and width, as sample_size in here"),
        ({"sample_size": [8, 8, 8]}, "height and width, as sample_size in here"),
        ({"sample_size": True}, "height and width, as sample_size in here"),
        ({"sample_size": 8, "block_out_channels": 8}, "one per level, as block_out_channels in here"),
        ({"sample_size": 8, "block_out_channels": []}, "one per level, as block_out_channels in here"),
        ({"sample_size": 8, "block_out_channels": [8, "8"]}, "one per level, as block_out_channels in here"),
        ({"sample_size": [8, 6], "block_out_channels": [8, 8, 8]}, "divisible by 4"),
        ({"sample_size": 12}, "divisible by 8"),
    ],
)
def test_sizes_that_a_unet_cannot_have_are_refused_by_their_key(
    name: str, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(StraightflowError, match=message):
        accept(name, **config)


@pytest.mark.parametrize("name", UNETS)
def test_dropout_of_a_unet_is_that_of_its_residual_blocks(name: str) -> None:
    groups = {"norm_num_groups": 2, "attention_head_dim": 2, "layers_per_block": 1, "dropout": 0.25}
    blocks = {"block_out_channels": (4,), "sample_size": 4, "cross_attention_dim": 4}
    blocks |= {
        "UNet2DModel": {"down_block_types": ("AttnDownBlock2D",), "up_block_types": ("AttnUpBlock2D",)},
        "UNet2DConditionModel": {
            "down_block_types": ("CrossAttnDownBlock2D",),
            "up_block_types": ("CrossAttnUpBlock2D",),
        },
    }[name]
    kind = OF_IMAGES[name]
    found = list(kind.dropout_layers(kind.build(groups | blocks)))
    assert len(found) == 1 + 2 + 2  # on the way down one, in the middle two, on the way up one more than down
    assert {layer.p for layer in found} == {0.25}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_transformer_takes_a_side_of_whole_patches(name: str) -> None:
    assert accept(name, sample_size=12, patch_size=3) == (4, 12, 12)
    for config in (
        {"sample_size": 12, "patch_size": 5},
        {"sample_size": [12, 12], "patch_size": 3},
        {"sample_size": 12, "patch_size": 0},
    ):
        with pytest.raises(StraightflowError, match="sample_size in here, divisible by its patch_size"):
            accept(name, **config)
