"""Images with their classes, to train class-conditional models on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.data.labels import require_every_class
from pipeline.data.sample_set import SampleSet
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class LabelledSamples:
    """A split whose batches hold the class of every sample too.

    Attributes:
        samples: The split; it has labels.
    """

    samples: SampleSet

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """``x_1`` as :meth:`pipeline.data.sample_set.SampleSet.load` gives it, and ``labels``, int64, (batch,)."""
        assert self.samples.labels is not None  # checked when it was made
        return self.samples.load(indices) | {"labels": torch.from_numpy(self.samples.labels[indices])}

    def locate(self, index: int) -> str:
        """Row of a sample, for messages."""
        return self.samples.locate(index)


def labelled_to_train(samples: SampleSet, needed_by: str) -> tuple[LabelledSamples, int]:
    """The training split with its labels, and its number of classes.

    Raises:
        StraightflowError: As :func:`pipeline.data.labels.require_every_class`.
    """
    return LabelledSamples(samples), require_every_class(samples.labels, needed_by)


def labelled_heldout(samples: SampleSet, num_classes: int, needed_by: str) -> LabelledSamples:
    """Held-out samples with their labels, of the ``num_classes`` that are trained on.

    Raises:
        StraightflowError: If they have no labels, or others.
    """
    labels = samples.labels
    if labels is None or int(labels.max()) >= num_classes:
        raise StraightflowError(
            expected=f"held-out images of the {num_classes} classes of the training split, as {needed_by} needs",
            found="images without labels" if labels is None else f"the label {int(labels.max())}",
            mend="give both splits images of every class, or set heldout_items to 0",
        )
    return LabelledSamples(samples)
