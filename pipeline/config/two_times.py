"""Students of two times: a network that takes the time that a step ends at beside the one that it starts at.

Stock networks take the second time in place of a class, so only unconditional networks of images can. Where the network
starts from, what it samples with and what may be made from it follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.methods import METHODS
from pipeline.config.solver import FLOW_MAP_SOLVERS
from pipeline.system.errors import StraightflowError

if TYPE_CHECKING:
    from pipeline.config.graph import Config

_ONE_TIME = f"choose a method of one time ({', '.join(name for name, item in METHODS.items() if not item.two_times)})"
_TWO_TIMES = f"choose one of two ({', '.join(name for name, item in METHODS.items() if item.two_times)})"


def times_problem(two_times: bool, *, of_start: bool, of_images: bool, num_classes: int | None) -> str | None:
    """Why a student of one or two times cannot start from a network; None if it can.

    Args:
        two_times: Whether the student takes two.
        of_start: Whether the network does already.
        of_images: Whether it is a UNet.
        num_classes: Classes that it is conditioned on; None for none.
    """
    if of_start and not two_times:
        return (
            "it takes two times, and a student of one time cannot start from it; let it start from a model of one "
            f"time, or {_TWO_TIMES}"
        )
    if two_times and not of_images:
        return f"its network is of points and takes one time; {_ONE_TIME}"
    if two_times and num_classes is not None:
        return f"its network takes a class ({num_classes} of them) where it would take the second time; {_ONE_TIME}"
    return None


def require_times(two_times: bool, *, of_start: bool, of_images: bool, num_classes: int | None) -> None:
    """Raises StraightflowError for a :func:`times_problem`."""
    problem = times_problem(two_times, of_start=of_start, of_images=of_images, num_classes=num_classes)
    if problem is not None:
        what, mend = problem.split("; ", 1)
        raise StraightflowError(
            expected=f"a model that a student of {'two times' if two_times else 'one time'} can start from",
            found=what,
            mend=mend,
        )


def two_times_problems(config: Config) -> Iterator[str]:
    """Yields starts, couplings and measurements that do not go with the times of their models."""
    for name, student in config.students.items():
        problem = times_problem(
            student.method.two_times,
            of_start=config.takes_two_times(student.init),
            of_images=config.data.space != "points",
            num_classes=None,  # known once the teacher is
        )
        if problem is not None:
            yield f"students.{name}.method is {student.method.name}, and init {student.init!r}: {problem}"
    for name, couplings in config.couplings.items():
        if config.takes_two_times(couplings.source):
            yield (
                f"couplings.{name}.source {couplings.source!r} takes two times, and has no ODE that couplings are made "
                "along; name the teacher, a flow or a student of one time"
            )
    for model in config.evaluate.models:
        if config.takes_two_times(model) and not config.cells_of(model):
            yield (
                f"evaluate.student_solvers names no solver for {model!r}, which takes two times; add "
                f"{' or '.join(FLOW_MAP_SOLVERS)}, or leave it out of evaluate.models"
            )
