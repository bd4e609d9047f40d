"""Measurements of images as the stages leave them, with made-up numbers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from helpers.composition import composed
from pipeline.config.drawn_trajectories import TIMES
from pipeline.config.graph import Config
from pipeline.data.trajectory_arrays import Trajectory, to_arrays
from pipeline.metrics.image_row import ImageRow
from pipeline.system.compute import Compute

MODELS = ("teacher", "round1", "few_step")
COUPLINGS = ("round1",)
STUDENTS = ("round1", "few_step")
STEPS = (1, 4, 16)
NUM_NOISES = 5
SIZE = 8
FID = {
    ("teacher", "ddim"): (300.0, 100.0, 8.0),
    ("teacher", "unipc"): (310.0, 60.0, 2.0),
    ("round1", "euler"): (18.0, 4.0, 3.0),
    ("few_step", "euler"): (5.0, 4.5, 4.25),
}
COUPLINGS_FID = 2.5
DRAWN = {"teacher": (None,), "round1": (), "few_step": (1, 4)}
"""Models' drawn trajectories by their number of steps; a file of an older version has none."""


def row(model: str, solver: str, steps: int, fid: float, **other: Any) -> dict[str, Any]:
    """A cell as its stage writes it; the interval of its FID reaches a tenth of it either way."""
    content: dict[str, Any] = {"model": model, "solver": solver, "num_steps": steps, "nfe": steps, "fid": fid}
    content |= {"fid_low": 0.9 * fid, "fid_high": 1.1 * fid, "features": "classifier", "is_judge": False}
    content |= {"measured_by": "ab12", "reference": "train", "seed": 0, "num_samples": 5000, "num_chunks": 1}
    return content | {"seconds_per_1000": 0.125 * steps} | other


def image_row(**changes: Any) -> ImageRow:
    """One cell of the few_step model."""
    return ImageRow(**(row("few_step", "euler", 1, 5.0) | changes))


def run_config() -> Config:
    """The configuration of such a run: round1, and few_step from its couplings and its weights."""
    params = composed("preset=smoke")
    params["evaluate"]["models"] = list(MODELS)
    del params["couplings"]["round2"], params["students"]["round2"], params["gate"]["drift_allowed"]
    return Config.model_validate(params)


def write_compute(root: Path, costs: dict[str, Compute]) -> None:
    """Records of what stages computed, by file below ``root``; other content of a file is kept."""
    for path, compute in costs.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("cost.json"):
            place.write_text(json.dumps(asdict(compute)))
        else:
            content = json.loads(place.read_text()) if place.is_file() else {}
            place.write_text(json.dumps(content | {"compute": asdict(compute)}))


def grey_level(series: int, steps: int, noise: int) -> int:
    """A different level for every cell and noise, so that a misplaced image is noticed."""
    return 10 + 60 * series + 15 * STEPS.index(steps) + 2 * noise


def film_level(drawn: int, part: int, noise: int, time: int) -> int:
    """A different level for every picture of a film, and between films at every time."""
    return 5 + 9 * noise + time + 60 * drawn + 120 * part


def flat_trajectories(model: str, num_noises: int = NUM_NOISES, channels: int = 1) -> list[Trajectory]:
    """Flat pictures of the levels of :func:`film_level`."""

    def flat(drawn: int, part: int) -> np.ndarray:
        levels = [[film_level(drawn, part, noise, at) for at in range(len(TIMES))] for noise in range(num_noises)]
        wide = np.array(levels, dtype=np.uint8)[..., None, None, None]
        return np.ascontiguousarray(np.broadcast_to(wide, (num_noises, len(TIMES), channels, SIZE, SIZE)))

    return [Trajectory(steps, flat(at, 0), flat(at, 1)) for at, steps in enumerate(DRAWN[model])]


def write_run(root: Path, channels: int = 1) -> None:
    """A whole run's outputs with known numbers and flat sample images."""

    def put(path: str, content: object) -> None:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))

    for model in MODELS:
        series = [key for key in FID if key[0] == model]
        cells = [row(*key, steps, fid) for key in series for steps, fid in zip(STEPS, FID[key], strict=True)]
        trajectories = {"straightness": 40.0, "straightness_normalised": 0.25, "turning_radians": 0.5}
        trajectories |= {"transport_cost_per_dim": 1.5, "inversion_rmse": 0.01, "one_step_rmse": 0.2}
        trajectories |= {"num_samples": 500, "num_steps": 32, "seed": 0}
        content = {"model": model, "rows": cells, "trajectories": trajectories, "device": "cpu", "precision": "fp32"}
        put(f"metrics/evaluate/{model}.json", content)
        grids = {}
        for key in series:
            for steps in STEPS:
                levels = [grey_level(list(FID).index(key), steps, noise) for noise in range(NUM_NOISES)]
                flat = np.array(levels, dtype=np.uint8)[:, None, None, None]
                grids[f"{key[1]}/{steps}"] = np.ascontiguousarray(
                    np.broadcast_to(flat, (NUM_NOISES, channels, SIZE, SIZE))
                )
        (root / "samples").mkdir(exist_ok=True)
        save_file(grids | to_arrays(flat_trajectories(model, channels=channels)), root / f"samples/{model}.safetensors")
    couplings = row("couplings@round1", "unipc", 20, COUPLINGS_FID, nfe=None, seed=1, seconds_per_1000=None)
    quality = {"rows": [couplings], "transport_cost_per_dim": 1.5, "clipped_fraction": 0.01, "num_pairs": 60000}
    put("couplings/round1/quality.json", quality | {"source": "teacher"})
    data = {"source": "digits", "location": None, "resolution": SIZE, "channels": channels}
    put("data/images/info.json", data | {"num_train": 1617, "num_heldout": 180, "fingerprint": "0"})
    trained = {"first": {"features": "classifier", "accuracy_heldout": 0.98}}
    put("metrics/classifier.json", trained | {"judge": {"features": "classifier-residual", "accuracy_heldout": 0.875}})
    (root / "metrics/training").mkdir()
    header = "step,loss,learning_rate"
    (root / "metrics/training/teacher.csv").write_text(header + "\n")  # of a pretrained one
    for model in ("round1", "few_step"):
        lines = [f"{step},{1 / step},0.001" for step in range(50, 1050, 50)]
        (root / f"metrics/training/{model}.csv").write_text("\n".join([header, *lines]) + "\n")
