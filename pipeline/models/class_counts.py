"""How often the data show each class: recorded with a class-conditional model, and inherited by its students.

A model is then drawn from as the data are wherever it is sampled, without the data at hand.
"""

from __future__ import annotations

import numpy as np
from diffusers import ModelMixin

from pipeline.models.networks import null_class_of, num_classes
from pipeline.system.errors import StraightflowError

CLASS_COUNTS = "_class_counts"
"""Setting of a network's ``config.json`` that stock diffusers keeps and passes over, as its name begins so."""


def set_class_counts(network: ModelMixin, labels: np.ndarray | None) -> None:
    """Records how many of ``labels`` (num,), int64 from 0, are of each class that a network may be asked for.

    Nothing is recorded where there are no labels, or those of another number of classes: they mean something else.
    """
    conditions = _num_conditions(network)
    if labels is not None and conditions is not None and int(labels.max()) + 1 == conditions:
        network.register_to_config(**{CLASS_COUNTS: np.bincount(labels, minlength=conditions).tolist()})


def class_counts(network: ModelMixin) -> tuple[int, ...] | None:
    """Images of each class in the data of a network; None where that is not known.

    Raises:
        StraightflowError: If they are no counts of the classes that the network may be asked for.
    """
    found = network.config.get(CLASS_COUNTS)
    if found is None:
        return None
    conditions = _num_conditions(network)
    are_counts = isinstance(found, list | tuple) and all(type(count) is int and count >= 0 for count in found)
    if conditions is None or not are_counts or len(found) != conditions or sum(found) == 0:
        raise StraightflowError(
            expected=f"counts of images of each of the {conditions or 'no'} classes that the network may be asked for",
            found=f"{CLASS_COUNTS}: {str(found)[:80]}",
            mend="correct config.json",
        )
    return tuple(found)


def _num_conditions(network: ModelMixin) -> int | None:
    """Classes but the null class, which is the last."""
    none = null_class_of(network)
    return num_classes(network) if none is None else none
