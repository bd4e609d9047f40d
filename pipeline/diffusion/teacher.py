"""Any diffusers teacher as a deterministic map from noise to image."""

from __future__ import annotations

import torch

from pipeline.config.solver import SolverConfig
from pipeline.diffusion.guidance import Guidance, conditioned_output
from pipeline.diffusion.noise_schedule import Node, NoiseSchedule
from pipeline.diffusion.solvers import GRID_SOLVERS
from pipeline.flow.paths import per_sample
from pipeline.flow.solvers import Solution, dopri5
from pipeline.flow.states import StepStarts


class Teacher:
    """A diffusion network as an estimator of x_1 that counts its evaluations in ``nfe``, guided ones as two.

    Args:
        network: UNet that predicts epsilon, v, the sample or the score, or one preconditioned as EDM. If it also
            predicts the variance (2 C output channels), only the first C, the mean, are used.
        schedule: Noise schedule that it was trained with.
        labels: Classes of the samples, (batch,); None for an unconditional network.
        guidance: How it is guided; None for none.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        schedule: NoiseSchedule,
        labels: torch.Tensor | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        self._network = network
        self._labels = labels
        self._guidance = guidance
        self.schedule = schedule
        self.nfe = 0

    def estimate(self, x: torch.Tensor, node: Node) -> torch.Tensor:
        """x̂_1, shape of ``x``, from the state ``x`` (batch, …) at a grid point."""
        time = torch.full((len(x),), node.time, device=x.device)
        return self._estimate(x, node.alpha, node.sigma, time, node.t)

    def velocity(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """dx_t/dt = x̂_1 - ε̂ in straight-line time, at ``x_t`` (batch, …) and times ``t`` (batch,).

        Times outside the schedule's range, which adaptive solvers may try, are clamped to it.
        """
        t = t.clamp(*self.schedule.time_range)
        alpha, sigma, time = (per_sample(values, x_t) for values in self.schedule.at(t))
        estimate = self._estimate(x_t * (alpha + sigma), alpha, sigma, time.flatten(), t)
        return (estimate - x_t) / per_sample(1 - t, x_t)

    def _estimate(
        self,
        x: torch.Tensor,
        alpha: torch.Tensor | float,
        sigma: torch.Tensor | float,
        time: torch.Tensor,
        t: torch.Tensor | float,
    ) -> torch.Tensor:
        seen, preconditioning = x, self.schedule.preconditioning
        if preconditioning is not None:
            seen = preconditioning.network_input(x, sigma)
        elif self.schedule.prediction == "score":  # of images in [0, 1]
            seen = (x + 1) / 2
        output, evaluations = conditioned_output(self._network, seen, time, self._labels, self._guidance, t)
        self.nfe += evaluations
        output = output[:, : x.shape[1]]
        if preconditioning is not None:
            return preconditioning.estimate(x, output, sigma)
        match self.schedule.prediction:
            case "sample":
                return output
            case "epsilon":
                return (x - sigma * output) / alpha
            case "v_prediction":  # Salimans & Ho 2022, app. D
                return alpha * x - sigma * output
            case "score":  # for images in [0, 1], where the noise scale is sigma / 2
                return x + 0.5 * sigma**2 * output


def generate(
    network: torch.nn.Module,
    schedule: NoiseSchedule,
    x_0: torch.Tensor,
    solver: SolverConfig,
    labels: torch.Tensor | None = None,
    guidance: Guidance | None = None,
    *,
    starts: StepStarts | None = None,
) -> Solution:
    """Solves the teacher's probability-flow ODE from noise to image.

    Args:
        network: The teacher's UNet.
        schedule: Its noise schedule.
        x_0: Standard normal noise, (batch, channels, height, width).
        solver: A teacher's solver. ``dopri5`` runs in straight-line time from the largest to the smallest trained noise
            level and, like the others, ends with one estimate of x_1.
        labels: Classes, (batch,); None for an unconditional network.
        guidance: How it is guided; None for none.
        starts: Sees the states that the network is called at, as z = x / (alpha + sigma), in straight-line time; None
            keeps none.

    Returns:
        Images, not clipped, and the number of evaluations.
    """
    teacher = Teacher(network, schedule, labels, guidance)
    start = schedule.initial_scale * x_0
    if solver.name == "dopri5":
        first, last = schedule.node(-1), schedule.node(0)
        z = start / (first.alpha + first.sigma)
        z = dopri5(teacher.velocity, z, **solver.tolerances, times=schedule.time_range).x
        return Solution(teacher.estimate(z * (last.alpha + last.sigma), last), teacher.nfe)

    def estimate(x: torch.Tensor, node: Node) -> torch.Tensor:
        if starts is not None:
            starts.see(x / (node.alpha + node.sigma))
        return teacher.estimate(x, node)

    images = GRID_SOLVERS[solver.name](estimate, start, schedule.nodes(solver.steps, str(solver.grid)))
    return Solution(images, teacher.nfe)
