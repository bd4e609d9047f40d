"""What code a stage runs: when it changes, DVC runs the stage again, and unfinished work starts over."""

from __future__ import annotations

from functools import cache

from pipeline.system.code import reached_code

STAGES = (
    "assess",
    "autoencoder",
    "classifier",
    "couplings",
    "data",
    "evaluate",
    "flow",
    "latents",
    "reconstruction",
    "report",
    "student",
    "teacher",
)
"""All stages that dvc.yaml runs after ``check``."""

PACKAGES = ("pipeline", "stages")

# These validate, report, watch, name paths or make writing atomic, so they cannot change a result. Values of the
# configuration reach the graph as params, and its sections through the modules that use them.
WITHOUT_EFFECT = (
    "pipeline.config.consistency",
    "pipeline.config.feasibility",
    "pipeline.config.feature_learning",
    "pipeline.config.following",
    "pipeline.config.graph",
    "pipeline.config.latents",
    "pipeline.config.loading",
    "pipeline.config.older_layout",
    "pipeline.config.references",
    "pipeline.config.two_times",
    "pipeline.couplings.inventory",
    "pipeline.system.atomic",
    "pipeline.system.code",
    "pipeline.system.errors",
    "pipeline.system.file_errors",
    "pipeline.system.file_lock",
    "pipeline.system.file_hashes",
    "pipeline.system.leftovers",
    "pipeline.system.progress",
    "pipeline.system.replacing",
    "pipeline.training.interruption",
    "pipeline.training.nonfinite",
    "pipeline.training.preflight",
    "pipeline.training.watching",
    "stages.code",
    "stages.entry",
    "stages.inputs",
    "stages.paths",
    "stages.watching",
    "huggingface_hub",
    "pydantic",
    "safetensors",
    "tqdm",
    "yaml",
)


@cache
def code_of(stage: str) -> dict[str, str]:
    """Modules and libraries that ``stages/<stage>.py`` reaches and that can change its results, with their versions."""
    return reached_code(f"stages.{stage}", packages=PACKAGES, without_effect=WITHOUT_EFFECT)


@cache
def code_of_references() -> dict[str, str]:
    """The same for the reference statistics of real images, whichever stage computes them first."""
    return reached_code("pipeline.evaluation.reference", packages=PACKAGES, without_effect=WITHOUT_EFFECT)
