"""How well a teacher's ODE is inverted: ``python -m benchmarks.inversion models/teacher data/images``.

Solves real images to noise and back. Prints for every solver the network calls, the error of image → noise → image,
and the moments of the noise next to those of noise drawn from N(0, I). The way back takes many steps, so the error is
that of the inversion. Errors and calls do not depend on the machine or its load.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.noise_normality import noise_normality
from pipeline.data.pixels import to_float
from pipeline.data.sample_set import open_samples
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler

BACK = SolverConfig(name="unipc", num_steps=100, grid="quadratic")
SOLVERS = (
    *(SolverConfig(name="unipc", num_steps=steps, grid="quadratic") for steps in (16, 32, 64)),
    *(SolverConfig(name="dpmpp_2m", num_steps=steps, grid="quadratic") for steps in (16, 32, 64)),
    *(SolverConfig(name="ddim", num_steps=steps, grid="quadratic") for steps in (16, 32, 64)),
    *(SolverConfig(name="heun", num_steps=steps, grid="quadratic") for steps in (8, 16, 32)),
    SolverConfig(name="ddim", num_steps=64),
    SolverConfig(name="dopri5", rtol=1e-3, atol=1e-3),
)


def main() -> None:
    """Prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--num-samples", type=int, default=500)
    chosen = parser.parse_args()
    runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)
    sampler = load_sampler(chosen.model, runtime)
    images = open_samples(chosen.images, "train")
    x_1 = to_float(torch.from_numpy(images.samples[: chosen.num_samples].copy()))
    image_noise = sample_noise(stream_key("inversion", 0), range(len(x_1)), sampler.shape)
    print(f"{len(x_1)} training images, model {sampler.fingerprint[:12]}, fp32\n")
    print("| solver | NFE | error | mean | variance | of pixels | ‖x_0‖/√d | spread of ‖x_0‖ | float16 error |")
    print("|---|---|---|---|---|---|---|---|---|")
    drawn = sample_noise(stream_key("couplings", 0), range(len(x_1)), sampler.shape)
    _print_row("drawn noise", 0, None, drawn)
    for solver in SOLVERS:
        solution = sampler.invert(x_1, image_noise, solver)
        back = sampler.sample(solution.x, BACK).x
        error = float((back - x_1).norm() / x_1.norm())
        _print_row(
            f"{solver.label}, {solver.num_steps} steps" if solver.num_steps else solver.label,
            solution.nfe,
            error,
            solution.x,
        )


def _print_row(label: str, nfe: int, error: float | None, x_0: torch.Tensor) -> None:
    noise = noise_normality(x_0)
    half = float((x_0.half().float() - x_0).square().mean().sqrt())
    shown = "" if error is None else f"{100 * error:.2f} %"
    print(
        f"| {label} | {nfe} | {shown} | {noise.mean:.3f} | {noise.variance:.3f} | "
        f"{noise.smallest_pixel_variance:.2f}–{noise.largest_pixel_variance:.2f} | {noise.norm_ratio:.3f} | "
        f"{noise.norm_spread:.3f} | {half:.1e} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
