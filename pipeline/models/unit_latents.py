"""Latents of zero mean and unit scale, by the autoencoder's own weights.

A diffusion model expects samples of about unit variance around 0. Rombach et al. 2022 (app. G) divide latents by the
standard deviation of a batch, and stock pipelines by ``scaling_factor``; most leave a mean as it is. Here both are
folded into the 1×1 convolutions behind the encoder and before the decoder. Every pipeline that knows nothing of it then
sees unit latents, and a reconstruction is what it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL

from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class LatentScale:
    """First and second moment of a set of latents.

    Attributes:
        mean: Of each channel, float64, (channels,).
        scale: Root mean square of all entries after their channel's mean is taken away, > 0: common to the channels, so
            that a rotation of them, which an autoencoder is free to choose, does not change it.
    """

    mean: torch.Tensor
    scale: float


def latent_scale(batches: Iterable[torch.Tensor]) -> LatentScale:
    """Measures latents, (batch, channels, height, width) each, one batch after the other.

    Raises:
        StraightflowError: If they are not finite, or all alike.
    """
    count, mean, scatter = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for batch in batches:
        entries = batch.detach().double().cpu().transpose(0, 1).flatten(1)
        own_mean = entries.mean(dim=1)
        # Moments of two parts together (Chan, Golub & LeVeque 1983).
        total, offset = count + entries.shape[1], own_mean - mean
        scatter = scatter + (entries - own_mean[:, None]).square().sum(dim=1)
        scatter = scatter + offset.square() * (count * entries.shape[1] / total)
        mean, count = mean + offset * (entries.shape[1] / total), total
    scale = math.sqrt(float(scatter.mean()) / count) if count else 0.0
    if not 0 < scale < math.inf:
        raise StraightflowError(
            expected="latents that are finite and differ from each other",
            found=f"{count} entries a channel, of standard deviation {scale}",
            mend="lower the autoencoder's kl_weight or its learning rate",
        )
    return LatentScale(mean, scale)


@torch.no_grad()
def fold_into_weights(autoencoder: AutoencoderKL, found: LatentScale) -> None:
    """Changes the weights so that the latent z becomes (z - mean) / scale, and is decoded to the same image.

    Both convolutions are linear: the encoder's last gives the posterior's mean m and the logarithm of its variance l,
    which become (m - mean) / scale and l - 2 ln scale; the decoder's first, W z + b, becomes W scale z + b + W mean.

    Args:
        autoencoder: With ``quant_conv`` and ``post_quant_conv``, whose scaling factor is 1; changed in place.
        found: Of its latents, the means of its posteriors.
    """
    last, first = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels, scale = len(found.mean), found.scale
    mean = found.mean.to(last.weight.device)
    weight, bias = last.weight.double(), last.bias.double()
    weight[:channels] /= scale
    bias[:channels] = (bias[:channels] - mean) / scale
    bias[channels:] -= 2 * math.log(scale)
    last.weight.copy_(weight)
    last.bias.copy_(bias)
    weight = first.weight.double()
    first.bias.copy_(first.bias.double() + weight[:, :, 0, 0] @ mean)
    first.weight.copy_(weight * scale)
