from __future__ import annotations

from types import SimpleNamespace

import torch
from helpers.trainable_autoencoder import trainable_autoencoder
from torch.distributions import Normal, kl_divergence
from torch.utils.flop_counter import FlopCounterMode

from pipeline.methods.reconstruction import Reconstruction, divergence_from_standard_normal
from pipeline.models.autoencoder_network import stock_autoencoder
from pipeline.models.flops import flops_per_sample


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_divergence_is_that_of_torchs_distributions() -> None:
    moments = random(3, 4, 2, 2)
    mean, log_variance = moments.chunk(2, dim=1)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0, 1)).flatten(1).sum(dim=1)
    torch.testing.assert_close(divergence_from_standard_normal(moments), expected)
    assert float(divergence_from_standard_normal(torch.zeros(1, 4, 2, 2))) == 0


def test_loss_is_the_sum_of_the_published_code_over_an_images_entries() -> None:
    x, reconstructed, moments = random(2, 1, 4, 4), random(2, 1, 4, 4, seed=1), random(2, 4, 2, 2, seed=2)

    def network(sample: torch.Tensor, noise: torch.Tensor) -> SimpleNamespace:
        assert sample is x
        assert noise.shape == (2, 2, 2, 2)
        return SimpleNamespace(sample=reconstructed, moments=moments)

    objective = Reconstruction((2, 2, 2), kl_weight=0.5)
    batch = {"x_1": x} | objective.draw(x, torch.Generator().manual_seed(3))
    sums = (x - reconstructed).abs().sum(dim=(1, 2, 3)) + 0.5 * divergence_from_standard_normal(moments)
    torch.testing.assert_close(objective.loss(network, batch), sums / 16)  # type: ignore[arg-type]
    assert objective.times(batch).tolist() == [1, 1]


@torch.no_grad()
def test_the_trained_call_is_the_stock_one_with_noise_from_outside() -> None:
    network = trainable_autoencoder().eval()
    stock, x, noise = stock_autoencoder(network), random(2, 1, 8, 8), random(2, 2, 4, 4, seed=1)
    posterior = stock.encode(x).latent_dist
    found = network(x, noise)
    expected = stock.decode(posterior.mean + posterior.std * noise).sample
    torch.testing.assert_close(found.sample, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.moments, posterior.parameters, rtol=0, atol=1e-6)
    assert type(stock).__name__ == "AutoencoderKL"


def test_flops_are_those_of_encoder_and_decoder() -> None:
    network = trainable_autoencoder()
    with FlopCounterMode(display=False) as counted, torch.no_grad(), torch.device("meta"):
        trainable_autoencoder()(torch.zeros(1, 1, 8, 8), torch.zeros(1, 2, 4, 4))
    assert flops_per_sample(network, (1, 8, 8), None).forward == counted.get_total_flops()
