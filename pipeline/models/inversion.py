"""Backward couplings: real images taken to noise along a model's ODE.

A clean image lies on no trajectory: the last state before it still carries a little noise. And where images do not vary
at all (a margin that is always black), inverting them could never give noise of variance 1. So each image first gets
noise of its own at the lowest level that the model knows, and is solved from there. Solved forward again, the last
estimate of x_1 removes that noise.
"""

from __future__ import annotations

import torch

from pipeline.config.solver import SolverConfig
from pipeline.diffusion.guidance import Guidance
from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.diffusion.solvers import GRID_SOLVERS
from pipeline.diffusion.teacher import Teacher
from pipeline.flow.paths import linear_path
from pipeline.flow.solvers import FIXED_STEP_SOLVERS, Field, Solution, dopri5, time_grid
from pipeline.system.errors import StraightflowError

# 1 - t of the first state of a student's inversion; about the lowest level of a linear-beta teacher.
STUDENT_LEAST_NOISE = 0.01


def invert_teacher(
    network: torch.nn.Module,
    schedule: NoiseSchedule,
    x_1: torch.Tensor,
    image_noise: torch.Tensor,
    solver: SolverConfig,
    labels: torch.Tensor | None = None,
    guidance: Guidance | None = None,
) -> Solution:
    """Solves the teacher's ODE from images to noise, from the lowest to the highest trained level.

    Args:
        network: The teacher's UNet.
        schedule: Its forward process.
        x_1: Images in [-1, 1], (batch, channels, height, width).
        image_noise: Standard normal noise of the first state, same shape.
        solver: A teacher's solver.
        labels: Classes of the images, (batch,); None for an unconditional network.
        guidance: How it is guided; None for none.

    Returns:
        Noise x_0, standard normal if the teacher and the solver are exact, and the network calls made.
    """
    teacher = Teacher(network, schedule, labels, guidance)
    least, most = schedule.node(0), schedule.node(-1)
    x = least.alpha * x_1 + least.sigma * image_noise
    if solver.name == "dopri5":
        z = x / (least.alpha + least.sigma)
        z = dopri5(teacher.velocity, z, **solver.tolerances, times=(least.t, most.t)).x
        x = z * (most.alpha + most.sigma)
    else:
        x = GRID_SOLVERS[solver.name](teacher.estimate, x, schedule.nodes_to_noise(solver.steps, str(solver.grid)))
    return Solution(x / schedule.initial_scale, teacher.nfe)


def invert_student(field: Field, x_1: torch.Tensor, image_noise: torch.Tensor, solver: SolverConfig) -> Solution:
    """Solves a student's ODE from images to noise, from t = 1 - :data:`STUDENT_LEAST_NOISE` to 0.

    Arguments and result as for :func:`invert_teacher`, with a student's solver.

    Raises:
        StraightflowError: If the solver is ``projection``, which solves no ODE.
    """
    start = 1 - STUDENT_LEAST_NOISE
    x = linear_path(image_noise, x_1, x_1.new_full((len(x_1),), start))
    if solver.name == "dopri5":
        return dopri5(field, x, **solver.tolerances, times=(start, 0.0))
    if solver.name == "projection":
        raise StraightflowError(
            expected="a solver of the ODE to invert images with", found="projection", mend="name euler, heun or dopri5"
        )
    times = tuple(start * t for t in reversed(time_grid(solver)))
    return FIXED_STEP_SOLVERS[solver.name](field, x, times)
