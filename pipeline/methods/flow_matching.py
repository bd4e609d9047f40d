"""Flow matching: a flow trained on the data, without couplings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.config.flow import FlowMatchingConfig
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.noise import place_noise
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.methods.objective import Batch
from pipeline.methods.reflow import Reflow, build_reflow


@dataclass(frozen=True)
class FlowMatching:
    """Velocity regression between fresh noise and images (Lipman et al. 2023; Liu et al. 2022, first flow).

    Attributes:
        regression: What is minimised once noise and images are paired.
        minibatch_ot: Whether they are paired by optimal transport within the batch, instead of at random.
        noise: Distribution of the noise.
    """

    regression: Reflow
    minibatch_ot: bool
    noise: NoiseConfig = STANDARD_NOISE

    @property
    def needs_images(self) -> bool:
        """Pairing by optimal transport does."""
        return self.minibatch_ot

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,) and noise ``x_0`` like ``x_1``."""
        drawn = self.regression.draw(x_1, generator)
        x_0 = place_noise(torch.randn(x_1.shape, generator=generator), self.noise)
        return drawn | {"x_0": pair_by_optimal_transport(x_0, x_1) if self.minibatch_ot else x_0}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return self.regression.times(batch)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        return self.regression.loss(network, batch)


def build_flow_matching(config: FlowMatchingConfig, device: torch.device) -> FlowMatching:
    """The configured flow matching; networks of its loss go on ``device``."""
    regression = build_reflow(config, config.loss, device)
    return FlowMatching(regression, config.coupling == "minibatch_ot", config.noise)
