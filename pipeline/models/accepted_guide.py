"""Which weaker networks may guide a teacher: those of its process, its shape and its classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.models.accepted_teacher import AcceptedModel, AcceptedTeacher
from pipeline.system.errors import StraightflowError

GUIDE = "guide"
"""Subfolder of a teacher's folder that holds the pipeline of its guide."""


def guide_folder(folder: Path) -> Path | None:
    """Where a model's folder holds its guide; None where it has none."""
    return folder / GUIDE if (folder / GUIDE).is_dir() else None


def require_guide(guide: AcceptedModel, teacher: AcceptedModel, name: str) -> None:
    """Checks that the outputs of two models may be combined at one state, which is what autoguidance does.

    Args:
        guide: The weaker one.
        teacher: The one that is guided.
        name: Of the guide, for errors.

    Raises:
        StraightflowError: If they differ in process, prediction, shape of samples or classes.
    """
    for what, wanted, found in (
        ("samples of shape", teacher.shape, guide.shape),
        ("classes:", teacher.num_classes or "none", guide.num_classes or "none"),
        ("process:", *_processes(teacher, guide)),
    ):
        if wanted != found:
            raise StraightflowError(
                expected=f"a guide of the teacher's {what} {wanted}, in {name}",
                found=str(found),
                mend="name an earlier or a smaller checkpoint of the same training as teacher.guide, or set it to null",
            )


def _processes(teacher: AcceptedModel, guide: AcceptedModel) -> tuple[str, str]:
    """What each is, equal exactly where they are of one process."""
    of_teacher, of_guide = _process(teacher), _process(guide)
    if not isinstance(teacher, AcceptedTeacher) or not isinstance(guide, AcceptedTeacher) or of_teacher != of_guide:
        return of_teacher, of_guide
    same = _same_schedule(teacher.noise_schedule, guide.noise_schedule)
    return of_teacher, of_guide if same else f"{of_guide}, at other levels of noise"


def _process(model: AcceptedModel) -> str:
    if not isinstance(model, AcceptedTeacher):
        return "a flow map" if model.two_times else "a flow"
    schedule = model.noise_schedule
    kind = "EDM" if schedule.preconditioning is not None else schedule.prediction
    return f"diffusion by {len(schedule.alpha)} levels of noise, predicting {kind}"


def _same_schedule(one: NoiseSchedule, other: NoiseSchedule) -> bool:
    levels = all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("alpha", "sigma", "time", "log_ratio")
    )
    return levels and (one.exploding, one.preconditioning) == (other.exploding, other.preconditioning)
