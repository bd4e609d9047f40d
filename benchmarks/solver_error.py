"""Error of a teacher's solvers against their cost: ``python -m benchmarks.solver_error models/teacher``.

Prints a table of the relative L2 error of x_1 against a fine reference, for every solver, grid and number of function
evaluations (NFE); ``--write docs/solvers.md`` replaces the table in that page. Error and NFE do not depend on the
machine or its load. Runs in fp32, so that rounding adds nothing to the solver's error.

``--fid RUN`` prints FIDs of a teacher's baselines at few evaluations instead, by the features and the reference of the
finished run in that folder: which solver and grid is its best there.

Noises are those of the stream ``selection``, as presets follow what is measured here: no evaluation draws from it.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.selection import open_selection_fid, selection_key
from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.config.loading import load_config
from pipeline.config.solver import SolverConfig
from pipeline.flow.noise import sample_noise
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.system.errors import StraightflowError
from pipeline.system.progress import Progress

IN_FP32 = ComputeConfig(precision="fp32", compile="off", channels_last="off")
REFERENCE = SolverConfig(name="dopri5", rtol=1e-6, atol=1e-6)
DDIM_1000 = SolverConfig(name="ddim", num_steps=1000)
WANTED_NFE = (8, 12, 16, 20, 24, 32, 48, 64)
TOLERANCES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
TARGET, MOST_STEPS = 0.01, 128
FIXED_STEP = tuple(itertools.product(("unipc", "dpmpp_2m", "ddim", "heun"), ("quadratic", "uniform")))
BASELINES = tuple(pair for pair in FIXED_STEP if pair[0] != "heun")
"""What a teacher's FID is measured with: Heun's error is far larger at so few evaluations."""
FEW_NFE, FID_SAMPLES = (8, 10, 16), 5000
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


def fixed_step(name: str, grid: str, nfe: int) -> SolverConfig:
    """A solver's settings for ``nfe`` evaluations; Heun takes one less where ``nfe`` is even."""
    return SolverConfig(name=name, grid=grid, num_steps=(nfe + 1) // 2 if name == "heun" else nfe)


def settings() -> list[SolverConfig]:
    """Every solver on both grids at the wanted numbers of evaluations, and dopri5 at its tolerances."""
    fixed = [fixed_step(name, grid, nfe) for (name, grid), nfe in itertools.product(FIXED_STEP, WANTED_NFE)]
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
    runtime = open_runtime(IN_FP32, ONE_PROCESS)
    sampler = load_sampler(folder, runtime)
    noise = sample_noise(selection_key(seed), range(num_samples), sampler.shape)
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
        f"selection seed {seed}, fp32. Reference: dopri5 at 1e-6, {reference_nfe} NFE; DDIM with 1,000 steps is "
        f"{100 * check:.2f} % from it.",
        "",
        *table(cells),
        "",
        f"Fewest evaluations within {100 * TARGET:g} % (searched by bisection up to {MOST_STEPS} steps): "
        + "; ".join(f"{cell.label}: {cell.nfe} ({100 * cell.error:.2f} %)" for cell in best)
        + ".",
    ]


def fids(teacher: Path, run: Path, num_samples: int, seed: int) -> list[str]:
    """Markdown: FID of ``num_samples`` images of the teacher, one row per solver and grid, one column per NFE.

    Args:
        teacher: Folder of the teacher.
        run: Folder of a finished run, with its params.yaml, images and classifier.
        num_samples: Images per FID.
        seed: Of their noise, in the stream ``selection``.

    Raises:
        StraightflowError: If the run's data or features are missing, or do not fit the teacher.
    """
    config = load_config(run / "params.yaml")
    runtime = open_runtime(IN_FP32, ONE_PROCESS)
    sampler = load_sampler(teacher, runtime)
    fid_of = open_selection_fid(config, runtime, run, sampler.shape, num_samples=num_samples, seed=seed)
    rows: dict[str, list[float]] = {f"{name}, {grid}": [] for name, grid in BASELINES}
    with Progress("FID", len(BASELINES) * len(FEW_NFE) * num_samples, "images") as progress:
        for (name, grid), nfe in itertools.product(BASELINES, FEW_NFE):
            rows[f"{name}, {grid}"].append(fid_of(sampler, fixed_step(name, grid, nfe), progress))
    lines = [
        f"Teacher {sampler.fingerprint[:12]}, selection seed {seed}, fp32. FID: {fid_of.describe()}.",
        "",
        "| solver | " + " | ".join(f"{nfe} NFE" for nfe in FEW_NFE) + " |",
        "|---" * (len(FEW_NFE) + 1) + "|",
    ]
    return lines + [f"| {label} | " + " | ".join(f"{fid:.2f}" for fid in row) + " |" for label, row in rows.items()]


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
    parser.add_argument("--num-samples", type=int, help=f"default: 500, or {FID_SAMPLES} with --fid")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fid", type=Path, metavar="RUN", help="print FIDs by the features of this run instead")
    parser.add_argument("--write", type=Path, help="page whose measured section is replaced")
    chosen = parser.parse_args()
    if chosen.fid is not None and chosen.write is not None:
        parser.error("--write takes the table of errors; leave out --fid, or --write")
    try:
        if chosen.fid is not None:
            lines = fids(chosen.teacher, chosen.fid, chosen.num_samples or FID_SAMPLES, chosen.seed)
        else:
            lines = measure(chosen.teacher, chosen.num_samples or 500, chosen.seed)
    except StraightflowError as error:
        raise SystemExit(f"error\n{error}") from None
    print("\n".join(lines))
    if chosen.write is not None:
        write_section(chosen.write, lines)


if __name__ == "__main__":
    main()
