"""Which settings need images of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.features import classes_needed_by_features

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def classes_needed_by(config: Config) -> str | None:
    """The setting for which images must be of two classes or more; None if there is none."""
    if config.teacher.trains_classes:
        return "teacher.label_dropout"
    for name, couplings in config.couplings.items():
        if couplings.classes == "data":
            return f"couplings.{name}.classes: data"
    if config.evaluate.per_class:
        return "evaluate.per_class"
    return classes_needed_by_features(config.features)
