"""A run of one round on images that takes seconds: its settings, and its stages in one process."""

from __future__ import annotations

from typing import Any

from helpers.composition import composed
from pipeline.config.graph import Config
from stages import assess, check, classifier, couplings, data, evaluate, report, student, teacher

SMALL = (
    "preset=smoke",
    "compute.precision=fp32",
    "teacher.unet.block_out_channels=[8,16]",
    *(
        f"{key}.{setting}"
        for key in ("teacher.train", "students.round1", "students.few_step")
        for setting in ("num_steps=4", "warmup_steps=0")
    ),
    "couplings.round1.num_pairs=40",
    *(f"features.{key}.num_features=8" for key in ("classifier", "judge.classifier")),
    "evaluate.models=[teacher,few_step]",
    "evaluate.num_steps=[1,2]",
    "evaluate.teacher_solvers=[ddim]",
    "evaluate.num_samples=40",
    "evaluate.neighbours={num_samples: 20, k: 3}",
    "evaluate.kernel_distance.num_samples=20",
    "evaluate.straightness.num_samples=4",
)


def small_run(*overrides: str) -> dict[str, Any]:
    """Content of params.yaml: the smoke preset without its second round, made small, with ``overrides``."""
    content = composed(*SMALL, *overrides)
    del content["couplings"]["round2"], content["students"]["round2"], content["gate"]["drift_allowed"]
    return content


def run_stages(config: Config) -> None:
    """All stages of a run of one round that measures its teacher and ``few_step``, in order, in the present folder."""
    for stage, arguments in (
        (check, []),
        (data, []),
        (classifier, []),
        (teacher, []),
        (couplings, ["round1"]),
        (assess, ["round1"]),
        (student, ["round1"]),
        (student, ["few_step"]),
        (evaluate, ["teacher"]),
        (evaluate, ["few_step"]),
        (report, []),
    ):
        stage.main(config, arguments)
