"""A finished run on latents with tiny models and DVC's record of it, in no time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from diffusers import ModelMixin

from helpers.composition import of_latents
from helpers.recorded_run import COST, entry, record, recorded_run
from helpers.small_image_results import write_compute
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.student import save_student

RECONSTRUCTION_FID, HELDOUT_FID, NUM_HELDOUT = 3.25, 1.5, 180
"""Of the autoencoder's reconstructions, of the images that they are of, and how many."""
_STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "autoencoder@data": (("data/images",), ("models/autoencoder", "metrics/training/autoencoder.json")),
    "latents@data": (
        ("models/autoencoder", "data/images"),
        ("data/latents", "metrics/training/autoencoder.encoding.json"),
    ),
    "reconstruction@data": (("models/autoencoder", "data/images"), ("metrics/evaluate/autoencoder.json",)),
    "teacher": (("data/latents",), ("models/teacher", "metrics/training/teacher.json")),
}


def recorded_latent_run(root: Path, teacher: ModelMixin, few_step: ModelMixin, like: Path) -> None:
    """Writes a run of autoencoder, teacher, round1 and few_step below ``root``.

    Args:
        root: An empty folder.
        teacher: Network of the teacher, of 2×4×4 latents.
        few_step: Network of the student of that name.
        like: Folder of a model, or of an autoencoder, whose autoencoder both keep.
    """
    recorded_run(root)
    params = yaml.safe_load((root / "params.yaml").read_text())
    (root / "params.yaml").write_text(yaml.safe_dump(of_latents(params)))
    for folder in ("models/autoencoder", "data/latents"):
        (root / folder).mkdir()
        (root / folder / "part.json").write_text("{}")
    costs = ("metrics/training/autoencoder.json", "metrics/training/autoencoder.encoding.json")
    write_compute(root, dict.fromkeys(costs, COST))
    row = {"features": "classifier", "is_judge": False, "measured_by": "ab12", "reference": "train"}
    row |= {"fid": RECONSTRUCTION_FID, "fid_of_images": HELDOUT_FID, "fid_to_images": 2.0}
    measured = {"num_images": NUM_HELDOUT, "mean_squared_error": 0.25, "rows": [row]}
    (root / "metrics/evaluate/autoencoder.json").write_text(json.dumps(measured))
    save_teacher(teacher, root / "models/teacher", training_scheduler(), like)
    save_student(few_step, root / "models/few_step", like)
    record_latents(root)


def record_latents(root: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Writes ``dvc.lock`` as DVC would after the stages of such a run; ``changes`` replace a stage's whole entry."""
    stages = {name: entry(root, name, inputs, outputs, {}) for name, (inputs, outputs) in _STAGES.items()}
    record(root, stages | dict(changes or {}))
