"""Draws images from any saved model: ``python -m stages.sample distilled --steps 1 --num 64 --out grid.png``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import ValidationError

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.data.mosaic import mosaic
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import TRAJECTORY_SOLVERS, sample_images, sample_trajectories
from pipeline.report.gif import encode_gif
from pipeline.system.atomic import atomic_file
from pipeline.system.errors import StraightflowError, nearest, validation_problems
from pipeline.system.progress import Progress
from stages import paths
from stages.entry import run

FRAME_MILLISECONDS = 120


def main(config: Config, arguments: list[str]) -> None:
    """Writes a grid, one file per image, or a strip or GIF of trajectories."""
    options = _parser().parse_args(arguments)
    folder = Path(options.model) if Path(options.model).is_dir() else paths.model(options.model)
    sampler = load_sampler(folder, open_runtime(config.compute, ONE_PROCESS))
    solver = _solver(options, teacher=sampler.noise_schedule is not None)
    if options.trajectory:
        _write_trajectory(sampler, solver, options)
    else:
        _write_images(sampler, solver, options)
    print(f"{options.num} images of {options.model}, {solver.label}: {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stages.sample", description=__doc__)
    parser.add_argument("model", help="a name under models/, or the folder of any saved model")
    parser.add_argument("--steps", type=int, default=1, help="steps of the solver (default: 1)")
    parser.add_argument("--num", type=int, default=64, help="images (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise; 0 is that of the report's samples")
    parser.add_argument("--solver", help="default: euler for a student, unipc for a diffusion teacher")
    parser.add_argument("--grid", default="uniform", help="times of the steps: uniform, cosine or edm")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="rtol and atol of dopri5 (default: 1e-5)")
    parser.add_argument("--batch-size", type=int, default=250, help="images per network call (default: 250)")
    parser.add_argument(
        "--out", type=Path, required=True, help="a .png, or .gif for a trajectory; a folder with --files"
    )
    parser.add_argument("--files", action="store_true", help="write one PNG per image into the folder --out")
    parser.add_argument("--trajectory", action="store_true", help="show x_t at every step, a row each image, or a GIF")
    return parser


def _solver(options: argparse.Namespace, *, teacher: bool) -> SolverConfig:
    allowed = TRAJECTORY_SOLVERS if options.trajectory else TEACHER_SOLVERS if teacher else STUDENT_SOLVERS
    name = options.solver or ("unipc" if teacher and not options.trajectory else "euler")
    if name not in allowed:
        raise StraightflowError(
            expected="a solver of this model", found=f"{name!r}{nearest(name, allowed)}", mend="correct --solver"
        )
    tolerance = options.tolerance if name == "dopri5" else None
    content = {"name": name, "num_steps": None if name == "dopri5" else options.steps, "grid": options.grid}
    try:
        return SolverConfig.model_validate({**content, "rtol": tolerance, "atol": tolerance})
    except ValidationError as error:
        raise StraightflowError(
            expected="a solver and step count",
            found=validation_problems(error),
            mend="see --help, or correct --solver and --steps",
        ) from error


def _write_images(sampler: Sampler, solver: SolverConfig, options: argparse.Namespace) -> None:
    batches: list[np.ndarray] = []
    done = 0
    with Progress(f"sampling {options.model}", options.num, "images") as progress:
        for images in sample_images(sampler, solver, options.seed, options.num, options.batch_size):
            if options.files:
                for index, image in enumerate(images, start=done):
                    _save(mosaic(image[None], 1), options.out / f"{index:06d}.png")
            else:
                batches.append(images)
            done += len(images)
            progress.advance(len(images))
    if not options.files:
        _save(mosaic(np.concatenate(batches), math.ceil(math.sqrt(options.num)), gap=1, gap_value=128), options.out)


def _write_trajectory(sampler: Sampler, solver: SolverConfig, options: argparse.Namespace) -> None:
    states = [images for _, images in sample_trajectories(sampler, solver, options.seed, options.num)]
    if options.out.suffix != ".gif":
        strips = np.stack(states, axis=1).reshape(-1, *states[0].shape[1:])
        _save(mosaic(strips, len(states), gap=1, gap_value=128), options.out)
        return
    columns = math.ceil(math.sqrt(options.num))
    frames = [Image.fromarray(mosaic(images, columns, scale=4, gap=2, gap_value=128)) for images in states]
    with atomic_file(options.out) as temporary:
        temporary.write_bytes(encode_gif(frames, FRAME_MILLISECONDS))


def _save(pixels: np.ndarray, path: Path) -> None:
    with atomic_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG")


if __name__ == "__main__":
    run(main)
