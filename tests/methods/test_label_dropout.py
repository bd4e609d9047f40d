"""Which labels are replaced by the class that stands for none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.small_training import OBJECTIVE, Pairs, training_config

from pipeline.flow.noise import step_generator
from pipeline.methods.label_dropout import LabelDropout
from pipeline.training.samples import StepBatches

NULL = 5
OBJECTIVE_OF_CLASSES = LabelDropout(OBJECTIVE, share=0.25, null_class=NULL)


class LabelledPairs(Pairs):
    """Pair i is of class i mod 5."""

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        return super().load(indices) | {"labels": torch.from_numpy(indices % 5)}


def test_labels_are_replaced_by_the_step_alone_for_any_number_of_processes() -> None:
    config = training_config(batch_size=12, num_steps=200)
    share, kept = [], []
    for step in range(200):
        whole = StepBatches(LabelledPairs(), OBJECTIVE_OF_CLASSES, config, 0, 1)[step]
        plain = StepBatches(LabelledPairs(), OBJECTIVE, config, 0, 1)[step]
        dropped = whole["labels"] == NULL
        assert torch.equal(whole["labels"], plain["labels"].masked_fill(dropped, NULL))
        assert torch.equal(whole["t"], plain["t"])  # the other random numbers are as without
        share.append(dropped.float().mean())
        kept.append(dropped.tolist())
        for ranks in (2, 3):
            parts = [
                StepBatches(LabelledPairs(), OBJECTIVE_OF_CLASSES, config, rank, ranks)[step] for rank in range(ranks)
            ]
            assert torch.equal(torch.cat([part["labels"] for part in parts]), whole["labels"])
    assert len({tuple(rows) for rows in kept}) > 100
    # 2,400 labels: four standard deviations of a share of 0.25.
    assert torch.stack(share).mean() == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / 2400) ** 0.5)


def test_the_times_and_the_loss_are_the_objective_s() -> None:
    x_1 = torch.zeros(4, 1, 2, 2)
    drawn, plain = (item.draw(x_1, step_generator(1, 2)) for item in (OBJECTIVE_OF_CLASSES, OBJECTIVE))
    assert set(drawn) - set(plain) == {"dropped"}
    assert torch.equal(OBJECTIVE_OF_CLASSES.times(drawn), plain["t"])
    assert OBJECTIVE_OF_CLASSES.group_size == OBJECTIVE.group_size
