"""Networks that cannot be built or called are told in one message, from their settings alone."""

from __future__ import annotations

import json

import pytest
import torch
from helpers.composition import composed
from helpers.small_autoencoder import small_autoencoder
from helpers.small_unet import small_unet

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.models.accepted_autoencoder import accept_autoencoder
from pipeline.models.pretrained_autoencoder import check_autoencoder
from pipeline.models.trial_call import require_callable, trial
from pipeline.system.errors import StraightflowError


def test_what_is_made_within_takes_no_memory() -> None:
    with trial("a tensor", "nothing"):
        made = torch.zeros(2**40, 3)
    assert made.is_meta
    assert made.shape == (2**40, 3)
    assert not torch.zeros(1).is_meta


def test_what_is_raised_within_is_told_in_one_line() -> None:
    with pytest.raises(StraightflowError) as caught, trial("a network", "correct it"):
        raise ZeroDivisionError("by\nzero")
    assert (caught.value.expected, caught.value.mend) == ("a network", "correct it")
    assert caught.value.found.startswith("ZeroDivisionError: by")
    assert "\n" not in caught.value.found
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_network_gives_the_shape_that_it_takes_or_twice_its_channels() -> None:
    require_callable(small_unet, (1, 8, 8), None, "here")
    require_callable(lambda: small_unet(out_channels=2), (1, 8, 8), None, "here")
    with pytest.raises(StraightflowError, match=r"(?s)in here whose output has the shape.*\(1, 8, 8\).*\(3, 8, 8\)"):
        require_callable(lambda: small_unet(out_channels=3), (1, 8, 8), None, "here")
    with pytest.raises(StraightflowError, match=r"(?s)in here that can be built.*\(2, 8, 8\).*RuntimeError"):
        require_callable(small_unet, (2, 8, 8), None, "here")


def test_the_halves_of_an_autoencoder_take_images_to_latents_and_back() -> None:
    config = json.loads(small_autoencoder("AutoencoderTiny").to_json_string())
    assert accept_autoencoder(config, "vae").image_shape((2, 4, 4)) == (1, 8, 8)
    # Its decoder enlarges the sides of 4 by 4 and not by 2.
    with pytest.raises(StraightflowError, match=r"(?s)images of \(1, 8, 8\) to latents of \(2, 4, 4\).*\(1, 16, 16\)"):
        accept_autoencoder(config | {"upsampling_scaling_factor": 4}, "vae")
    with pytest.raises(StraightflowError, match=r"(?s)an autoencoder in vae that can be built.*correct its settings"):
        accept_autoencoder(config | {"act_fn": "rleu"}, "vae")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 6, 6), r"(?s)shape of the images, \(1, 6, 6\).*\(1, 4, 4\).*autoencoder\.downsampling"),  # 6, 3, 1, 2, 4
        ((1, 1, 1), r"(?s)autoencoder\.network that can be built, and called with images of \(1, 1, 1\)"),
    ],
)
def test_an_autoencoder_to_be_trained_gives_images_back_in_their_shape(shape: tuple[int, ...], message: str) -> None:
    settings = AutoencoderConfig.model_validate(
        {
            "source": "train",
            "latent_channels": 2,
            "downsampling": 4,
            "network": {"block_out_channels": [4, 4, 4], "layers_per_block": 1, "norm_num_groups": 2},
            "train": composed("preset=smoke")["teacher"]["train"],
        }
    )
    assert check_autoencoder(settings, (1, 8, 8), {}) == {}
    with pytest.raises(StraightflowError, match=message):
        check_autoencoder(settings, shape, {})
