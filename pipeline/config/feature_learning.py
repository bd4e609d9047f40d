"""Students that learn the features that they are measured by, and what has no such features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.features import trained_tasks
from pipeline.config.methods import FrechetConfig

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def feature_learning_problems(config: Config) -> Iterator[str]:
    """Yields students that have no features to learn, or too few images for their moments."""
    for name, student in config.students.items():
        key, method = f"students.{name}.method", student.method
        if not method.learns_features:
            continue
        if config.data.space == "points":
            yield f"{key} {method.name} compares features of images, and points have none; give any_step for points"
        elif config.autoencoder is not None:
            yield (
                f"{key} {method.name} compares features of images, but the student makes latents, which it does not "
                "decode; give any_step"
            )
        elif not trained_tasks(config.features.name):
            yield (
                f"{key} {method.name} learns features of a network that is trained here, but features.name is "
                f"{config.features.name}, whose published resizing and rounding have no gradient; set features.name: "
                "auto, classifier or rotation, or give any_step"
            )
        elif isinstance(method, FrechetConfig):
            num_features, images = config.features.num_first_features, method.images_in_moments(student.batch_size)
            if num_features is not None and images < num_features:
                yield (
                    f"{key}: its moments are of about {images:.0f} images, fewer than features ({num_features}); raise "
                    "generated_per_pair, momentum or batch_size"
                )
