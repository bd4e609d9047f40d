"""Runs on latents: the shape of their samples, and what such a run cannot do."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.composition import changed, composed

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.planned_disk import couplings_bytes
from pipeline.system.errors import StraightflowError

AUTOENCODER = {"source": "teacher", "latent_channels": 4, "downsampling": 2}
STORES = ("round1", "round2")


def settings(**changes: Any) -> dict[str, Any]:
    """The smoke preset on latents of a pretrained teacher."""
    latent = {"autoencoder": AUTOENCODER, "teacher.pretrained": "latent/teacher"}
    latent |= {f"couplings.{name}.dtype": "float16" for name in STORES}
    return changed("smoke", latent | changes)


def config_of(content: dict[str, Any]) -> Config:
    return parse_config(content, origin="the test")


def test_samples_are_latents_where_there_is_an_autoencoder_and_the_datas_own_where_there_is_none() -> None:
    latent = config_of(settings())
    assert (latent.latent_shape, latent.sample_shape) == ((4, 4, 4), (4, 4, 4))
    assert latent.data.sample_shape == (1, 8, 8)
    wide = settings(**{"data.resolution": [8, 16], "autoencoder": AUTOENCODER | {"downsampling": 4}})
    wide["features"] |= {"name": "classifier", "judge": None}
    assert config_of(wide).sample_shape == (4, 2, 4)
    pixels = config_of(composed("preset=smoke"))
    assert (pixels.latent_shape, pixels.sample_shape) == (None, (1, 8, 8))


def test_stores_of_latents_take_two_bytes_an_entry() -> None:
    latent = config_of(settings())
    pairs = sum(latent.couplings[name].num_pairs for name in latent.couplings)
    assert couplings_bytes(latent) == pairs * 2 * 4 * 4 * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"autoencoder": AUTOENCODER | {"downsampling": 3}}, "1, 2, 4, 8"),
        ({"autoencoder": AUTOENCODER | {"downsampling": 16}}, "data.resolution is 8.*downsampling, 16"),
        ({"autoencoder": AUTOENCODER | {"latent_channels": 0}}, "latent_channels"),
        ({"autoencoder": AUTOENCODER | {"source": "taecher"}}, "autoencoder.source"),
        ({"couplings.round1.dtype": "uint8"}, "couplings.round1: dtype uint8.*write dtype: float16"),
        ({"students.round1.horizontal_flips": True}, "students.round1.horizontal_flips"),
        ({"students.round1.loss": {"name": "lpips_huber", "c": 0.03}}, "students.round1.loss lpips_huber"),
        ({"teacher.pretrained": None}, "name one, or set it to null"),
        (
            {"couplings.round1.image_to_noise": {"share": 0.2, "solver": {"name": "ddim", "num_steps": 4}}},
            "couplings.round1.image_to_noise inverts the data",
        ),
    ],
)
def test_what_latents_do_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StraightflowError, match=message):
        config_of(settings(**changes))


def test_points_have_no_autoencoder() -> None:
    with pytest.raises(StraightflowError, match="autoencoder is for images"):
        config_of(changed("toy_smoke", {"autoencoder": AUTOENCODER}))
