"""A finished run on images with tiny models and DVC's record of it, in no time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from diffusers import UNet2DModel

from helpers.composition import composed
from helpers.small_image_results import MODELS, write_compute, write_run
from helpers.small_unet import small_unet
from pipeline.config.graph import Config
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.student import save_student
from pipeline.system.compute import Compute

COST = Compute(samples_forward=10, samples_backward=4, flops=1000, seconds=2.0)
INPUTS: dict[str, tuple[str, ...]] = {
    "data": (),
    "teacher": ("data/images",),
    "couplings@round1": ("models/teacher", "data/images"),
    "assess@round1": ("couplings/round1/store", "models/teacher"),
    "student@round1": ("couplings/round1/store", "models/teacher"),
    "student@few_step": ("couplings/round1/store", "models/round1"),
    **{f"evaluate@{model}": (f"models/{model}", "data/images") for model in MODELS},
}
OUTPUTS: dict[str, tuple[str, ...]] = {
    "data": ("data/images",),
    "teacher": ("models/teacher", "metrics/training/teacher.json"),
    "couplings@round1": ("couplings/round1/cost.json", "couplings/round1/store"),
    "assess@round1": ("couplings/round1/quality.json",),
    "student@round1": ("models/round1", "metrics/training/round1.json"),
    "student@few_step": ("models/few_step", "metrics/training/few_step.json"),
    **{f"evaluate@{model}": (f"metrics/evaluate/{model}.json", f"samples/{model}.safetensors") for model in MODELS},
}
SETTINGS = {"teacher": ("teacher",), "student@few_step": ("students.few_step",), "data": ("data",)}


def recorded_run(root: Path, few_step: UNet2DModel | None = None, **settings: Any) -> Config:
    """Writes a run of teacher, round1 and few_step below ``root`` and returns its configuration.

    Args:
        root: An empty folder.
        few_step: Network of the student of that name.
        settings: Parts of ``params.yaml`` in place of the smoke preset's.
    """
    params = composed("preset=smoke", "compute.precision=fp32")
    params["evaluate"]["models"] = list(MODELS)
    del params["couplings"]["round2"], params["students"]["round2"], params["gate"]["drift_allowed"]
    params |= settings
    write_run(root)
    costs = [f"metrics/training/{model}.json" for model in MODELS]
    write_compute(root, dict.fromkeys([*costs, "couplings/round1/cost.json"], COST))
    (root / "couplings/round1/store").mkdir()
    (root / "couplings/round1/store/manifest.json").write_text("{}")
    save_teacher(small_unet(), root / "models/teacher", training_scheduler())
    save_student(small_unet(), root / "models/round1")
    save_student(few_step or small_unet(), root / "models/few_step")
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    record(root)
    return Config.model_validate(params)


def record(root: Path, changes: Mapping[str, Any] | None = None) -> None:
    """Writes ``dvc.lock`` as DVC would after these stages ran; ``changes`` replace a stage's whole entry."""
    params = yaml.safe_load((root / "params.yaml").read_text())
    stages: dict[str, Any] = {}
    for stage, inputs in INPUTS.items():
        settings = {key: setting(params, key) for key in SETTINGS.get(stage, ())}
        stages[stage] = entry(root, stage, inputs, OUTPUTS[stage], settings)
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages | dict(changes or {})}))


def entry(
    root: Path, stage: str, inputs: Sequence[str], outputs: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What DVC records of a stage that ran with these inputs, outputs and settings."""
    return {
        "cmd": f"python -m stages.{stage.partition('@')[0]}",
        "deps": [{"path": path, "hash": "md5", "md5": md5(root / path)} for path in inputs],
        "outs": [{"path": path, "hash": "md5", "md5": md5(root / path)} for path in outputs],
        "params": {"params.yaml": dict(settings)},
    }


def md5(path: Path) -> str:
    """As DVC 3 defines it: of a file's bytes; of a folder, of the sorted JSON listing of its files' hashes."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())
    listing = [{"md5": md5(path / name), "relpath": name} for name in files]
    return f"{hashlib.md5(json.dumps(listing).encode()).hexdigest()}.dir"


def setting(params: Any, key: str) -> Any:
    """The value of a key with dots."""
    for part in key.split("."):
        params = params[part]
    return params
