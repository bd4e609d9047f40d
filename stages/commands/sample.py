"""Draws images from any saved model: as one grid, one file each, or trajectories from the noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ValidationError

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.solver import FLOW_MAP_SOLVERS, STUDENT_SOLVERS, TEACHER_GRIDS, TEACHER_SOLVERS, SolverConfig
from pipeline.data.mosaic import mosaic
from pipeline.data.png import encode_image, encode_png
from pipeline.flow.solvers import TIME_GRIDS
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import (
    default_solver,
    require_images,
    sample_images,
    sample_trajectories,
    trajectory_solvers,
)
from pipeline.report.gif import encode_gif
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError, nearest, validation_problems
from pipeline.system.progress import Progress
from pipeline.system.replacing import require_replaceable
from stages.commands.model_folder import model_folder
from stages.commands.places import require_writable
from stages.commands.sample_room import grid_bytes, require_disk_for, require_memory_for, trajectory_bytes

FRAME_MILLISECONDS = 120
GRID_GAP = 1
FRAME_SCALE, FRAME_GAP = 4, 2
TOLERANCE = 1e-5


@dataclass(frozen=True)
class SampleOptions:
    """What to draw, and how.

    Attributes:
        model: Name under models/, or folder of a saved model.
        out: The file, or with ``files`` the folder, that is written.
        steps: Of the solver; None for 1, or for the adaptive dopri5.
        num: Images.
        seed: Of their noise; sample i has the noise that evaluation gives it under this seed.
        solver: None for euler of a student, unipc of a diffusion teacher.
        grid: Times of the steps.
        tolerance: rtol and atol of dopri5; None for ``TOLERANCE``, or for another solver.
        batch_size: Images per network call.
        condition: Class of all images; None to draw them as the data of the model have them.
        files: One PNG per image.
        trajectory: Every x_t on the way: in a row for each image, or as the frames of a GIF.
    """

    model: str
    out: Path
    steps: int | None
    num: int
    seed: int
    solver: str | None
    grid: str
    tolerance: float | None
    batch_size: int
    condition: int | None
    files: bool
    trajectory: bool


def write_samples(compute: ComputeConfig, options: SampleOptions) -> None:
    """Writes a grid, one file per image, or a strip or GIF of trajectories.

    Raises:
        StraightflowError: If the options do not fit each other or the model, or nothing can be written at ``out``.
    """
    _require_out(options)
    sampler = load_sampler(model_folder(options.model), open_runtime(compute, ONE_PROCESS))
    require_images(sampler)
    if options.condition is not None:
        sampler = sampler.of_class(options.condition)
    solver = _solver(options, sampler)
    if options.trajectory:
        _write_trajectory(sampler, solver, options)
    else:
        _write_images(sampler, solver, options)
    print(f"{options.num} images of {options.model}, {solver.label}: {options.out}")


def _require_out(options: SampleOptions) -> None:
    if options.files and options.trajectory:
        raise StraightflowError(expected="--files or --trajectory", found="both", mend="leave one of them out")
    if options.files:
        if options.out.is_dir():
            # Not even over images of this command, as nothing in a file says which model it is of.
            require_replaceable(options.out, lambda _: False)
        require_writable(options.out / _file_name(0))
        return
    endings = (".png", ".gif") if options.trajectory else (".png",)
    if options.out.suffix.lower() not in endings:
        raise StraightflowError(
            expected=f"a name that ends in {' or '.join(endings)} for --out",
            found=f"{str(options.out)!r}",
            mend="name a .png, a .gif with --trajectory, or a folder with --files",
        )
    require_writable(options.out)


def _solver(options: SampleOptions, sampler: Sampler) -> SolverConfig:
    by_schedule = sampler.noise_schedule is not None and not options.trajectory
    solvers: tuple[str, ...] = FLOW_MAP_SOLVERS if sampler.two_times else STUDENT_SOLVERS
    if by_schedule:
        solvers = TEACHER_SOLVERS
    if options.trajectory:
        solvers = trajectory_solvers(sampler)
    default = "euler" if options.trajectory else default_solver(sampler)
    name = default if options.solver is None else options.solver
    grids = TEACHER_GRIDS if by_schedule else tuple(TIME_GRIDS)
    for option, value, known in (("--solver", name, solvers), ("--grid", options.grid, grids)):
        if value not in known:
            what = "a trajectory" if options.trajectory else "this model"
            raise StraightflowError(
                expected=f"a {option.removeprefix('--')} of {what}",
                found=f"{value!r}{nearest(value, known)}",
                mend=f"correct {option}",
            )
    return _configured(options, name)


def _configured(options: SampleOptions, name: str) -> SolverConfig:
    adaptive = name == "dopri5"
    takes = {"--steps": not adaptive, "--grid": not adaptive, "--tolerance": adaptive}
    given = {
        "--steps": options.steps is not None,
        "--grid": options.grid != "uniform",
        "--tolerance": options.tolerance is not None,
    }
    misplaced = [option for option, is_taken in takes.items() if given[option] and not is_taken]
    if misplaced:
        raise StraightflowError(
            expected="--tolerance with dopri5 alone, --steps and --grid with every other solver",
            found=f"{' and '.join(misplaced)} with {name}",
            mend=f"leave {' and '.join(misplaced)} out, or choose another --solver",
        )
    tolerance = (TOLERANCE if options.tolerance is None else options.tolerance) if adaptive else None
    content = {"name": name, "num_steps": None if adaptive else options.steps or 1, "grid": options.grid}
    try:
        return SolverConfig.model_validate({**content, "rtol": tolerance, "atol": tolerance})
    except ValidationError as error:
        raise StraightflowError(
            expected="settings of a solver", found=validation_problems(error), mend="correct --tolerance"
        ) from error


def _write_images(sampler: Sampler, solver: SolverConfig, options: SampleOptions) -> None:
    shape = sampler.image_shape
    if options.files:
        require_disk_for(options.out, options.num)
    else:
        needed = grid_bytes(shape, options.num, GRID_GAP)
        require_memory_for(
            needed, options.num, sampler.image_shape, "lower --num, or write one file per image with --files"
        )
    pixels = None if options.files else np.empty((options.num, *sampler.image_shape), dtype=np.uint8)
    done = 0
    with Progress(f"sampling {options.model}", options.num, "images") as progress:
        for images in sample_images(sampler, solver, options.seed, options.num, options.batch_size):
            if pixels is None:
                for index, image in enumerate(images, start=done):
                    _save(encode_image(image), options.out / _file_name(index))
            else:
                pixels[done : done + len(images)] = images
            done += len(images)
            progress.advance(len(images))
    if pixels is not None:
        columns = math.ceil(math.sqrt(options.num))
        _save(encode_png(mosaic(pixels, columns, gap=GRID_GAP, gap_value=128)), options.out)


def _write_trajectory(sampler: Sampler, solver: SolverConfig, options: SampleOptions) -> None:
    animated = options.out.suffix.lower() == ".gif"
    scale, gap = (FRAME_SCALE, FRAME_GAP) if animated else (1, GRID_GAP)
    shape = sampler.image_shape
    needed = trajectory_bytes(shape, options.num, solver.steps + 1, scale=scale, gap=gap)
    require_memory_for(
        needed, options.num, sampler.image_shape, "lower --num or --steps: a trajectory takes all at once"
    )
    states = [images for _, images in sample_trajectories(sampler, solver, options.seed, options.num)]
    if not animated:
        strips = np.stack(states, axis=1).reshape(-1, *states[0].shape[1:])
        _save(encode_png(mosaic(strips, len(states), gap=gap, gap_value=128)), options.out)
        return
    columns = math.ceil(math.sqrt(options.num))
    frames = [Image.fromarray(mosaic(images, columns, scale=scale, gap=gap, gap_value=128)) for images in states]
    with atomic_file(options.out) as temporary:
        temporary.write_bytes(encode_gif(frames, FRAME_MILLISECONDS))


def _save(png: bytes, path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(png)


def _file_name(index: int) -> str:
    return f"{index:06d}.png"
