"""Flow matching: a flow trained on the data, without couplings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pipeline.config.flow import FlowMatchingConfig
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.flow.noise import place_noise
from pipeline.flow.optimal_transport import pair_by_optimal_transport
from pipeline.methods.objective import Batch, Objective
from pipeline.methods.reflow import Reflow, build_reflow


@dataclass(frozen=True)
class FlowMatching(Objective):
    """Velocity regression between fresh noise and images (Lipman et al. 2023; Liu et al. 2022, first flow).

    Attributes:
        regression: What is minimised once noise and images are paired.
        ot_batch_size: Rows of a batch among which noise and images are paired by optimal transport; None pairs at
            random.
        noise: Distribution of the noise.
    """

    regression: Reflow
    ot_batch_size: int | None
    noise: NoiseConfig = STANDARD_NOISE

    def draw(self, x_1: torch.Tensor, generator: torch.Generator) -> Batch:
        """Times (batch,) and noise ``x_0`` like ``x_1``."""
        drawn = self.regression.draw(x_1, generator)
        return drawn | {"x_0": place_noise(torch.randn(x_1.shape, generator=generator), self.noise)}

    @property
    def group_size(self) -> int:
        """Rows that are paired among each other, so that processes divide the pairing and find the same pairs."""
        return self.ot_batch_size or 1

    def arrange(self, batch: Batch) -> Batch:
        """Reorders ``x_0`` within each group by optimal transport."""
        if self.ot_batch_size is None:
            return batch
        groups = zip(*(torch.split(batch[name], self.ot_batch_size) for name in ("x_0", "x_1")), strict=True)
        return batch | {"x_0": torch.cat([pair_by_optimal_transport(x_0, x_1) for x_0, x_1 in groups])}

    def times(self, batch: Batch) -> torch.Tensor:
        """The drawn t."""
        return self.regression.times(batch)

    def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
        """Loss of the predicted velocity, (batch,)."""
        return self.regression.loss(network, batch)


def build_flow_matching(config: FlowMatchingConfig, device: torch.device) -> FlowMatching:
    """The configured flow matching; networks of its loss go on ``device``."""
    regression = build_reflow(config, config.loss, device)
    ot_batch_size = config.ot_batch_size if config.coupling == "minibatch_ot" else None
    return FlowMatching(regression, ot_batch_size, config.noise)
