"""Loss on samples that are never trained on, by the averaged weights."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.compute import Runtime
from pipeline.noise import step_generator
from pipeline.objectives import Objective
from pipeline.training_set import TrainingSet


@torch.no_grad()
def heldout_loss(
    network: torch.nn.Module,
    items: TrainingSet,
    objective: Objective,
    runtime: Runtime,
    *,
    batch_size: int,
    seed: int,
) -> float:
    """Mean loss over all of ``items``, without dropout.

    Times and noise are functions of ``seed`` alone, so that values are comparable between steps, weight averages and
    process counts.

    Args:
        network: As wrapped for training; left in training mode.
        items: Held-out samples.
        objective: Loss of a sample.
        runtime: Processes that share the work.
        batch_size: Samples per call over all processes.
        seed: Seed of times and noise.
    """
    accelerator = runtime.accelerator
    rows = slice(accelerator.process_index, None, accelerator.num_processes)
    total = torch.zeros((), device=runtime.device)
    network.eval()
    for start in range(0, len(items), batch_size):
        batch = items.load(np.arange(start, min(start + batch_size, len(items))))
        # Training draws at steps from 0; these are before them.
        drawn = objective.draw(batch["x_1"], step_generator(seed, -1 - start))
        own = {name: values[rows].to(runtime.device) for name, values in (batch | drawn).items()}
        if len(own["x_1"]):
            total += objective.loss(network, own).sum()
    network.train()
    return float(accelerator.reduce(total, "sum")) / len(items)
