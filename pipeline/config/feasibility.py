"""Requests that cannot be met, found from the configuration's numbers alone.

The code that does the work refuses them too; this finds them before anything is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.config.couplings import class_draw_problem, inversion_problem, start_problem
from pipeline.config.data import height_and_width
from pipeline.config.features import reference_problem, trained_tasks
from pipeline.config.model_names import TEACHER
from pipeline.config.solver import levels_problem
from pipeline.config.students import StudentConfig
from pipeline.config.teacher import NUM_NOISE_LEVELS
from pipeline.config.trainings import trainings
from pipeline.config.two_times import times_problem

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def feasibility_problems(config: Config) -> Iterator[str]:
    """Yields what is impossible, one sentence each."""
    yield from _training_problems(config)
    yield from _heldout_problems(config)
    yield from _measuring_problems(config)
    yield from _network_problems(config)
    yield from _rotation_problems(config)
    sizes = config.data.known_split_sizes
    if sizes is not None:
        yield from size_problems(config, sizes)
    if config.teacher.pretrained is None and not config.teacher.is_flow:
        yield from level_problems(config, NUM_NOISE_LEVELS)


def level_problems(config: Config, levels: int) -> Iterator[str]:
    """Yields the solvers that need more noise levels than the ``levels`` a diffusion teacher was trained at."""
    grids: dict[str, int | None] = {}
    for name, couplings in config.couplings.items():
        if couplings.source == TEACHER:
            grids[f"couplings.{name}.solver"] = couplings.solver.num_steps
            if couplings.image_to_noise is not None and couplings.image_to_noise.solver.num_steps is not None:
                # N steps to noise visit N + 1 levels; N steps to an image visit N, as the image itself is none.
                grids[f"couplings.{name}.image_to_noise.solver"] = couplings.image_to_noise.solver.num_steps + 1
    if TEACHER in config.evaluate.models:
        steps = [solver.num_steps or 0 for solver in config.evaluate.solvers(teacher=True)]
        grids["evaluate.teacher_solvers"] = max(steps, default=0)
    for key, points in grids.items():
        problem = None if points is None else levels_problem(points, levels)
        if problem is not None:
            yield f"{key}: {problem}; lower num_steps"


def size_problems(config: Config, sizes: tuple[int, int]) -> Iterator[str]:
    """Yields what ``sizes`` samples, to train on and held out, are too few for."""
    for item in trainings(config):
        wanted = item.settings.heldout_items
        if not isinstance(item.settings, StudentConfig) and wanted > sizes[1]:
            yield (
                f"{item.key}.heldout_items is {wanted}, but data.heldout_share holds out {sizes[1]} samples"
                if config.data.heldout_split is None
                else f"{item.key}.heldout_items is {wanted}, but data.heldout_split has {sizes[1]} samples"
            )
    if config.data.space == "points" or config.features.reference_split is None:
        return
    size = sizes[0] if config.features.reference_split == "train" else sizes[1]
    k, num_features = config.evaluate.neighbours.k, config.features.num_features
    if size <= k:
        yield f"evaluate.neighbours.k is {k}, but features.reference has {size} images; it takes fewer than those"
    problem = None if num_features is None else reference_problem(size, num_features)
    if problem is not None:
        yield problem


def class_problems(config: Config, teacher_classes: int | None, num_labels: int | None) -> Iterator[str]:
    """Yields mixtures of models that are conditioned on classes and models that are not, or not on as many.

    Students of two times start from models without classes alone.

    Args:
        config: The run.
        teacher_classes: Classes that the teacher is conditioned on; None for none, as of flows.
        num_labels: Classes that a model of the data's labels would need; 0 without labels, None if that is not known.
    """
    classes: dict[str, int | None] = {TEACHER: teacher_classes} | dict.fromkeys(config.flows)
    for name in config.students:
        for at in _line_of(name, config):
            classes.setdefault(at, classes.get(config.students[at].init))
    for name, student in config.students.items():
        learned = config.couplings.get(student.couplings)
        if learned is not None and learned.source in classes and student.init in classes:
            problem = start_problem(classes[student.init], classes[learned.source])
            if problem is not None:
                yield (
                    f"students.{name}.init is {student.init!r}, and its couplings {student.couplings!r} come from "
                    f"{learned.source!r}: {problem}"
                )
    for name, student in config.students.items():
        if student.method.two_times and classes.get(student.init) is not None:
            problem = times_problem(True, of_start=False, of_images=True, num_classes=classes[student.init])
            yield f"students.{name}.method is {student.method.name}, and init {student.init!r}: {problem}"
    for name, couplings in config.couplings.items():
        if couplings.source in classes and couplings.image_to_noise is not None and num_labels is not None:
            problem = inversion_problem(classes[couplings.source], num_labels)
            if problem is not None:
                yield f"couplings.{name}.image_to_noise inverts by {couplings.source!r}: {problem}"
        if couplings.source in classes and couplings.classes == "data" and num_labels is not None:
            problem = class_draw_problem(classes[couplings.source], num_labels)
            if problem is not None:
                yield f"couplings.{name}.classes is data: {problem}"


def _line_of(name: str, config: Config) -> list[str]:
    """The students that a student's network descends from, the first one first, and itself; those in a cycle once."""
    line = [name]
    while (init := config.students[line[0]].init) in config.students and init not in line:
        line.insert(0, init)
    return line


def _training_problems(config: Config) -> Iterable[str]:
    for item in trainings(config):
        problem = item.settings.batch_problem(config.launch.num_processes)
        if problem is not None:
            yield f"{item.key}.{problem}: change batch_size, gradient_accumulation_steps or launch.num_processes"
        if item.settings.gradient_checkpointing and config.data.space == "points":
            yield f"{item.key}.gradient_checkpointing: networks of points cannot; set it to false"


def _heldout_problems(config: Config) -> Iterable[str]:
    """Yields students that hold out all of their couplings."""
    for name, student in config.students.items():
        learned = config.couplings.get(student.couplings)
        if learned is not None and student.heldout_items >= learned.num_kept_pairs:
            yield (
                f"students.{name}.heldout_items holds out {student.heldout_items} of {learned.num_kept_pairs} pairs; "
                "leave some to train on"
            )


def _measuring_problems(config: Config) -> Iterable[str]:
    """Yields sample counts that are too small for what is measured on them."""
    if config.data.space == "points":
        if config.watch.fid_every_steps is not None:
            yield "watch.fid_every_steps measures images; set it to null for points"
        return
    num_samples, wanted = config.evaluate.num_samples, config.evaluate.neighbours.num_samples
    if wanted > num_samples:
        yield f"evaluate.neighbours.num_samples is {wanted}, more than evaluate.num_samples ({num_samples})"
    counts = {"evaluate.num_samples": num_samples}
    for name, couplings in config.couplings.items():
        measured = min(couplings.num_kept_pairs, num_samples)
        counts[f"couplings.{name}, of which evaluate measures {measured} pairs,"] = measured
    if config.watch.fid_every_steps is not None:
        counts["watch.fid_num_samples"] = config.watch.fid_num_samples
    k = config.evaluate.neighbours.k
    for key, count in counts.items():
        watched = key == "watch.fid_num_samples"  # never by the judge
        num_features = config.features.num_first_features if watched else config.features.num_features
        if num_features is not None and count < num_features:
            yield f"{key} must be at least the number of features ({num_features}), found {count}"
        if count <= k and not watched:
            yield f"{key} must be more than evaluate.neighbours.k ({k}), found {count}"


def _network_problems(config: Config) -> Iterable[str]:
    unet, sides = config.teacher.unet, _sides(config)
    made_here = config.teacher.pretrained is None or config.flows
    for side in sides:
        if unet is not None and made_here and side % unet.side_divisor:
            yield (
                f"data.resolution is {side}, but teacher.unet halves it {len(unet.block_out_channels) - 1} times, so "
                f"it must be divisible by {unet.side_divisor}: give fewer levels, or "
                f"{side + -side % unet.side_divisor} pixels"
            )
    for name, couplings in config.couplings.items():
        inversion = couplings.image_to_noise
        if inversion is not None and inversion.solver.name == "projection":
            yield f"couplings.{name}.image_to_noise.solver projection solves no ODE; name euler, heun or dopri5"


def _rotation_problems(config: Config) -> Iterable[str]:
    """Yields features that are learned from turned images where those have another shape."""
    for key, name in zip(("features.name", "features.judge.name"), config.features.names, strict=False):
        if len(_sides(config)) > 1 and "rotation" in trained_tasks(name):
            yield f"{key} {name} turns images, which only square ones can be; name classifier, inception or dinov2"


def _sides(config: Config) -> tuple[int, ...]:
    """Sides of images in pixels, equal ones once; none of points."""
    resolution = config.data.resolution
    return () if resolution is None else tuple(dict.fromkeys(height_and_width(resolution)))
