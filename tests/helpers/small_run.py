"""A run of one round on images that takes seconds: its settings; and the stages of any run, in one process."""

from __future__ import annotations

from typing import Any

from helpers.composition import composed
from pipeline.config.graph import Config
from pipeline.config.model_names import TEACHER
from stages import assess, check, classifier, couplings, data, evaluate, flow, report, student, teacher

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
    """All stages of a run on images or points, in an order that each finds what it needs, in the present folder."""
    for stage in (check, data, classifier, teacher):
        stage.main(config, [])
    for name in config.flows:
        flow.main(config, [name])
    models, drawn = {TEACHER, *config.flows}, set[str]()
    while drawn < config.couplings.keys() or not models >= config.students.keys():
        for name, pairs in config.couplings.items():
            if name not in drawn and pairs.source in models:
                couplings.main(config, [name])
                assess.main(config, [name])
                drawn.add(name)
        for name, settings in config.students.items():
            if name not in models and settings.init in models and settings.couplings in drawn:
                student.main(config, [name])
                models.add(name)
    for name in config.evaluate.models:
        evaluate.main(config, [name])
    report.main(config, [])
