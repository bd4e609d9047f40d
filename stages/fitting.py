"""Whether the data and the teacher that ``check`` found fit what the run does with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pipeline.config.feasibility import class_problems, level_problems, size_problems
from pipeline.config.graph import Config
from pipeline.data.check import DataFacts
from pipeline.models.accepted_teacher import AcceptedModel, AcceptedTeacher
from pipeline.system.errors import StraightflowError


def require_enough(config: Config, data: Sequence[DataFacts]) -> None:
    """Checks that the images, where it is known how many there are, suffice for what is measured on them.

    Raises:
        StraightflowError: If they do not.
    """
    for facts in data:
        if facts.split_sizes is not None:
            _require_none(
                size_problems(config, facts.split_sizes),
                f"images enough for the settings, in {config.data.location or config.data.source}",
                "change these settings, or give more images",
            )


def require_fitting(config: Config, teachers: Sequence[AcceptedModel], data: Sequence[DataFacts]) -> None:
    """Checks a pretrained teacher, where it is known, against solvers, students and labels.

    Raises:
        StraightflowError: If its solvers visit more levels of noise than it was trained at, or models with other
            classes than its are mixed with it.
    """
    num_labels = data[0].num_classes if data else None
    for teacher in teachers:
        if isinstance(teacher, AcceptedTeacher):  # a flow is asked at any time
            _require_none(
                level_problems(config, len(teacher.noise_schedule.alpha)),
                f"solvers for the teacher {config.teacher.pretrained}",
                "lower num_steps, or name another teacher",
            )
        _require_none(
            class_problems(config, _conditions(teacher), num_labels),
            f"models and data that go with the teacher {config.teacher.pretrained}",
            "change these settings, or name another teacher",
        )


def _conditions(teacher: AcceptedModel) -> int | None:
    """Classes that the teacher may be asked for; its null class, the last one, is none of them."""
    return teacher.num_classes if teacher.null_class is None else teacher.null_class


def _require_none(problems: Iterable[str], expected: str, mend: str) -> None:
    found = "\n          ".join(problems)
    if found:
        raise StraightflowError(expected=expected, found=found, mend=mend)
