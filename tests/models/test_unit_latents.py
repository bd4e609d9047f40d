from __future__ import annotations

import pytest
import torch
from helpers.trainable_autoencoder import trainable_autoencoder

from pipeline.models.autoencoder_network import stock_autoencoder
from pipeline.models.unit_latents import LatentScale, fold_into_weights, latent_scale
from pipeline.system.errors import StraightflowError


def images(count: int = 24) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(5)) * 2 - 1


def test_the_scale_of_parts_is_that_of_all_latents_at_once() -> None:
    noise = torch.randn(10, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    latents = 3 * noise + torch.arange(3.0)[:, None, None]
    found = latent_scale(latents.split([4, 1, 5]))
    mean = latents.double().mean(dim=(0, 2, 3))
    centred = latents.double() - mean[:, None, None]
    torch.testing.assert_close(found.mean, mean, rtol=1e-12, atol=1e-12)
    assert found.scale == pytest.approx(float(centred.square().mean().sqrt()), rel=1e-12)


@torch.no_grad()
def test_folding_gives_unit_latents_and_leaves_reconstructions() -> None:
    autoencoder, x = stock_autoencoder(trainable_autoencoder()), images()
    before = autoencoder.encode(x).latent_dist
    reconstructed = autoencoder.decode(before.mean).sample
    found = latent_scale([before.mean])
    fold_into_weights(autoencoder, found)
    after = autoencoder.encode(x).latent_dist

    mean = found.mean.float()[:, None, None]
    torch.testing.assert_close(after.mean, (before.mean - mean) / found.scale, rtol=0, atol=1e-5)
    torch.testing.assert_close(after.std, before.std / found.scale, rtol=1e-5, atol=0)
    torch.testing.assert_close(autoencoder.decode(after.mean).sample, reconstructed, rtol=0, atol=1e-5)
    again = latent_scale([after.mean])
    torch.testing.assert_close(again.mean, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-5)
    assert again.scale == pytest.approx(1, abs=1e-5)
    assert autoencoder.config["scaling_factor"] == 1
    assert autoencoder.config["shift_factor"] is None


@torch.no_grad()
def test_folding_back_gives_the_first_weights() -> None:
    autoencoder = stock_autoencoder(trainable_autoencoder())
    before = {name: values.clone() for name, values in autoencoder.state_dict().items()}
    mean = torch.tensor([0.5, -2.0], dtype=torch.float64)
    fold_into_weights(autoencoder, LatentScale(mean, 4.0))
    fold_into_weights(autoencoder, LatentScale(-mean / 4, 0.25))
    for name, values in autoencoder.state_dict().items():
        torch.testing.assert_close(values, before[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("latents", [torch.ones(4, 2, 2, 2), torch.full((4, 2, 2, 2), torch.nan)])
def test_latents_without_a_scale_are_refused(latents: torch.Tensor) -> None:
    with pytest.raises(StraightflowError, match="finite and differ"):
        latent_scale([latents])
