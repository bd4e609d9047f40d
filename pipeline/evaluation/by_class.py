"""The classes of a class-conditional model one by one: a grid with a row for each, and a distance for each.

A distance over all classes hides one that is drawn badly, and images drawn in proportion may not show a rare one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pipeline.config.class_measuring import samples_per_class, too_few_of_class
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.order import evenly_spaced
from pipeline.data.sample_set import SampleSet
from pipeline.evaluation.reference import Reference
from pipeline.flow.noise import stream_key
from pipeline.metrics.class_measures import ClassFid, ClassRecord
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import Moments, merge_moments, moments_of
from pipeline.models.sampler import Sampler
from pipeline.models.sampling import draw_images
from pipeline.system.blocks import batches_of
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress

MOST_ROWS = 10
"""Classes in a grid; of more, evenly spaced ones."""


def draw_class_grid(
    sampler: Sampler, solver: SolverConfig, config: EvaluateConfig
) -> tuple[tuple[int, ...], np.ndarray]:
    """Which classes are shown, and uint8 images (classes, config.grid_images, C, H, W), the same noises in each row."""
    conditions = _conditions(sampler)
    shown = tuple(int(label) for label in evenly_spaced(conditions, MOST_ROWS))
    rows = [
        np.concatenate(list(_images(sampler.of_class(label), solver, config, config.grid_images))) for label in shown
    ]
    return shown, np.stack(rows)


def measure_class_fids(
    sampler: Sampler, solver: SolverConfig, config: EvaluateConfig, reference: Reference, real: SampleSet
) -> tuple[ClassFid, ...]:
    """Fréchet distance of each class to the real images of this class.

    Args:
        sampler: A class-conditional model.
        solver: How it is sampled.
        config: Settings of the evaluation; ``num_samples`` are divided among the classes.
        reference: Its features are measured by.
        real: The reference split, with the labels of the model's classes.

    Raises:
        StraightflowError: If the split has no labels, or too few images of a class, or too few are generated.
    """
    conditions, extract = _conditions(sampler), reference.extractor.extract
    count, num_features = samples_per_class(config, conditions), reference.frechet.moments.num_features
    found = []
    require_class_fids(real.labels, conditions, num_features, count)
    with Progress("measuring classes", conditions, "classes", enabled=sampler.runtime.is_main) as progress:
        for label in range(conditions):
            drawn = _moments(
                extract(torch.from_numpy(part)) for part in _images(sampler.of_class(label), solver, config, count)
            )
            own = _moments(extract(torch.from_numpy(part)) for part in _real_images(real, label, config.batch_size))
            found.append(ClassFid(label, drawn.count, own.count, frechet_distance(drawn, own)))
            progress.advance(1)
    return tuple(found)


def require_class_fids(labels: np.ndarray | None, num_classes: int, num_features: int, num_samples: int) -> None:
    """Checks that classes can be measured one by one.

    Args:
        labels: Of the reference split.
        num_classes: Classes of the model.
        num_features: Dimensions of the features.
        num_samples: Images generated of each class.

    Raises:
        StraightflowError: If they cannot.
    """
    counts = None if labels is None else np.bincount(labels, minlength=num_classes)
    problem = f"images without labels, or of other classes than the model's {num_classes}"
    if counts is not None and len(counts) == num_classes:
        found = too_few_of_class([int(count) for count in counts], num_samples, num_features)
        if found is None:
            return
        problem = found
    raise StraightflowError(
        expected="enough images of each class to measure it, as evaluate.per_class asks for",
        found=problem,
        mend="set evaluate.per_class: false, raise evaluate.num_samples, or take features with fewer dimensions",
    )


def class_record(
    sampler: Sampler, solver: SolverConfig, config: EvaluateConfig, reference: Reference, real: SampleSet | None
) -> tuple[ClassRecord, np.ndarray]:
    """The record of :func:`measure_class_fids`, where they are asked for, and the grid of :func:`draw_class_grid`."""
    fids: tuple[ClassFid, ...] = ()
    if config.per_class and real is not None:
        fids = measure_class_fids(sampler, solver, config, reference, real)
    shown, grid = draw_class_grid(sampler, solver, config)
    return ClassRecord(solver.label, solver.num_steps, shown, fids), grid


def _conditions(sampler: Sampler) -> int:
    assert sampler.num_conditions is not None  # a class-conditional model
    return sampler.num_conditions


def _images(sampler: Sampler, solver: SolverConfig, config: EvaluateConfig, count: int) -> Iterator[np.ndarray]:
    key = stream_key("evaluation", config.seed)
    for indices in batches_of(range(count), config.batch_size):
        yield draw_images(sampler, solver, key, indices)


def _real_images(real: SampleSet, label: int, batch_size: int) -> Iterator[np.ndarray]:
    rows = np.flatnonzero(real.labels == label)
    for part in batches_of(range(len(rows)), batch_size):
        yield real.samples[rows[part]]


def _moments(features: Iterator[np.ndarray]) -> Moments:
    return merge_moments([moments_of(part) for part in features])
