"""Error of a teacher's solvers against their cost: ``python -m benchmarks.solver_error models/teacher``.

Prints a table of the relative L2 error of x_1 against a fine reference, for every solver, grid and number of function
evaluations (NFE); ``--write docs/solvers.md`` replaces the table in that page. Error and NFE do not depend on the
machine or its load. Runs in fp32, so that rounding adds nothing to the solver's error.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.solver import SolverConfig
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.system.progress import Progress

REFERENCE = SolverConfig(name="dopri5", rtol=1e-6, atol=1e-6)
DDIM_1000 = SolverConfig(name="ddim", num_steps=1000)
WANTED_NFE = (8, 12, 16, 20, 24, 32, 48, 64)
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
TARGET, MOST_STEPS = 0.01, 128
FIXED_STEP = tuple(itertools.product(("unipc", "dpmpp_2m", "ddim", "heun"), ("quadratic", "uniform")))
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Cell:
    """One measured solver setting."""

    label: str
    nfe: int
    error: float


def relative_error(x: torch.Tensor, reference: torch.Tensor) -> float:
    """‖x - reference‖ / ‖reference‖ over all images together."""
    return float((x - reference).norm() / reference.norm())


def solve(sampler: Sampler, noise: torch.Tensor, solver: SolverConfig) -> tuple[torch.Tensor, int]:
    """Images sampled with one solver, and its function evaluations."""
    solution = sampler.sample(noise, solver)
    return solution.x, solution.nfe


def settings() -> list[SolverConfig]:
    """Every solver on both grids at the wanted numbers of evaluations, and dopri5 at its tolerances."""
    fixed = [
        SolverConfig(name=name, grid=grid, num_steps=(nfe + 1) // 2 if name == "heun" else nfe)
        for (name, grid), nfe in itertools.product(FIXED_STEP, WANTED_NFE)
    ]
    return fixed + [SolverConfig(name="dopri5", rtol=tolerance, atol=tolerance) for tolerance in TOLERANCES]


def table(cells: Sequence[Cell]) -> list[str]:
    """Markdown: one row per fixed-step solver and grid, one column per NFE; adaptive solves below, at their own NFE."""
    adaptive = [cell for cell in cells if cell.label.startswith("dopri5")]
    fixed = {label: [cell for cell in cells if cell.label == label] for label in dict.fromkeys(c.label for c in cells)}
    lines = [
        "| solver | " + " | ".join(f"{nfe} NFE" for nfe in WANTED_NFE) + " |",
        "|---" * (len(WANTED_NFE) + 1) + "|",
    ]
    for label, row in fixed.items():
        if not label.startswith("dopri5"):
            lines.append(f"| {label} | " + " | ".join(f"{100 * cell.error:.2f} %" for cell in row) + " |")
    lines += ["", "| dopri5, tolerance | NFE | error |", "|---|---|---|"]
    lines += [f"| {cell.label.removeprefix('dopri5-')} | {cell.nfe} | {100 * cell.error:.2f} % |" for cell in adaptive]
    return [*lines, "", "`heun` takes one evaluation less than the column says."]


def cheapest(sampler: Sampler, noise: torch.Tensor, reference: torch.Tensor) -> list[Cell]:
    """For every fixed-step solver and grid, the fewest evaluations with an error of :data:`TARGET`, by bisection."""
    found: list[Cell] = []
    with Progress("fewest evaluations", len(FIXED_STEP), "solvers") as progress:
        for name, grid in FIXED_STEP:
            above, within = 1, MOST_STEPS + 1  # step counts with an error above the target, and within it
            best: Cell | None = None
            while within - above > 1:
                steps = (above + within) // 2
                images, nfe = solve(sampler, noise, SolverConfig(name=name, grid=grid, num_steps=steps))
                error = relative_error(images, reference)
                if error <= TARGET:
                    within, best = steps, Cell(f"{name}, {grid}", nfe, error)
                else:
                    above = steps
            found += [best] if best else []
            progress.advance()
    return sorted(found, key=lambda cell: cell.nfe)


def measure(folder: Path, num_samples: int, seed: int) -> list[str]:
    """The lines of the measured section."""
    runtime = open_runtime(ComputeConfig(precision="fp32", compile="off", channels_last="off"), ONE_PROCESS)
    sampler = load_sampler(folder, runtime)
    noise = sample_noise(stream_key("evaluation", seed), range(num_samples), sampler.shape)
    todo = settings()
    cells = []
    with Progress("solvers", len(todo) + 2, "settings") as progress:
        reference, reference_nfe = solve(sampler, noise, REFERENCE)
        progress.advance()
        check = relative_error(solve(sampler, noise, DDIM_1000)[0], reference)
        progress.advance()
        for solver in todo:
            images, nfe = solve(sampler, noise, solver)
            label = solver.label if solver.name == "dopri5" else f"{solver.name}, {solver.grid}"
            cells.append(Cell(label, nfe, relative_error(images, reference)))
            progress.advance()
    best = cheapest(sampler, noise, reference)
    return [
        f"Teacher {sampler.fingerprint[:12]} of {'×'.join(map(str, sampler.shape))}, {num_samples} images of the "
        f"evaluation seed {seed}, fp32. Reference: dopri5 at 1e-6, {reference_nfe} NFE; DDIM with 1,000 steps is "
        f"{100 * check:.2f} % from it.",
        "",
        *table(cells),
        "",
        f"Fewest evaluations within {100 * TARGET:g} % (searched by bisection up to {MOST_STEPS} steps): "
        + "; ".join(f"{cell.label}: {cell.nfe} ({100 * cell.error:.2f} %)" for cell in best)
        + ".",
    ]


def write_section(page: Path, lines: Sequence[str]) -> None:
    """Replaces the lines between the markers in ``page``."""
    section = "\n".join([BEGIN, *lines, END])
    text, count = re.subn(
        f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: section, page.read_text("utf-8"), flags=re.S
    )
    if count != 1:
        raise SystemExit(f"expected one section between {BEGIN} and {END} in {page}, found {count}")
    page.write_text(text, "utf-8")


def main() -> None:
    """Measures a teacher folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--num-samples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="page whose measured section is replaced")
    chosen = parser.parse_args()
    lines = measure(chosen.teacher, chosen.num_samples, chosen.seed)
    print("\n".join(lines))
    if chosen.write is not None:
        write_section(chosen.write, lines)


if __name__ == "__main__":
    main()
