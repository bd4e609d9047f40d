"""Samples that are never trained on: which ones, and the loss of the averaged weights on them."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.flow.noise import step_generator, stream_key
from pipeline.methods.objective import Objective
from pipeline.models.runtime import Runtime
from pipeline.training.samples import TrainingSet, micro_batches, with_progress


def heldout_split(num_items: int, num_heldout: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divides a set into what is trained on and what is held out, a random part of it.

    Sets are ordered (images by class, couplings by how they were made), so a contiguous range would not represent them.
    With the same seed, the smaller of two held-out sets is part of the larger. Models trained from one another on one
    set with equal ``num_heldout`` have therefore seen none of its held-out samples.

    Args:
        num_items: Size of the set.
        num_heldout: Samples held out; all of the set if it has fewer.
        seed: Of the set, not of a training on it.

    Returns:
        Indices trained on and indices held out, each ascending, int64; together every index once.
    """
    order = np.random.Generator(np.random.Philox(key=stream_key("heldout", seed))).permutation(num_items)
    return np.sort(order[num_heldout:]), np.sort(order[:num_heldout])


@torch.no_grad()
def heldout_loss(
    network: torch.nn.Module,
    items: TrainingSet,
    objective: Objective,
    runtime: Runtime,
    *,
    batch_size: int,
    seed: int,
    num_micro_batches: int = 1,
) -> float:
    """Mean loss over all of ``items``, without dropout.

    Times and noise are functions of ``seed`` alone, so that values are comparable between steps, weight averages and
    process counts.

    Args:
        network: As wrapped for training; left in training mode.
        items: Held-out samples.
        objective: Loss of a sample.
        runtime: Processes that share the work.
        batch_size: Samples whose random numbers are drawn together, over all processes.
        seed: Seed of times and noise.
        num_micro_batches: Equal parts of a process's share, one after the other, as in training: what does not fit in
            memory there does not here.
    """
    accelerator = runtime.accelerator
    rows = slice(accelerator.process_index, None, accelerator.num_processes)
    share = -(-min(batch_size, len(items)) // accelerator.num_processes)
    num_rows = -(-share // num_micro_batches) * num_micro_batches
    total = torch.zeros((), device=runtime.device)
    network.eval()
    for start in range(0, len(items), batch_size):
        # The loss of the end of training, at any step.
        batch = with_progress(items.load(np.arange(start, min(start + batch_size, len(items)))), 1.0)
        # Training draws at steps from 0 on, so negative steps are free.
        arranged = objective.arrange(batch | objective.draw(batch["x_1"], step_generator(seed, -1 - start)))
        own_rows = np.arange(len(batch["x_1"]))[rows]
        num_own = len(own_rows)
        # All processes call the network with the same number of rows, repeating some: a sharded network must be called
        # by all, and a compiled one is compiled again for every number of rows.
        taken = np.resize(own_rows if num_own else np.array([0]), num_rows)
        own = {name: values[taken].to(runtime.device) for name, values in arranged.items()}
        losses = [objective.loss(network, micro_batch) for micro_batch in micro_batches(own, num_micro_batches)]
        total += torch.cat(losses)[:num_own].sum()
    network.train()
    return float(accelerator.reduce(total, "sum")) / len(items)
