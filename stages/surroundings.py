"""What a run needs of the machine and the network beside its data, looked at before anything is trained."""

from __future__ import annotations

import shlex
import shutil

from pipeline.config.feasibility import level_problems
from pipeline.config.flow import require_lpips
from pipeline.config.graph import Config, losses
from pipeline.config.watch import require_tracker
from pipeline.system.errors import StraightflowError


def require_surroundings(config: Config) -> None:
    """Checks that commands, packages and weights that the settings name can be had.

    Raises:
        StraightflowError: If one cannot.
    """
    for key, command in (("launch.command", config.launch.command), ("launch.python", config.launch.python)):
        _require_program(key, command)
    for tracker in config.watch.trackers:
        require_tracker(tracker)
    if any(loss.name == "lpips_huber" for loss in losses(config).values()):
        require_lpips()
    if config.features.name == "inception":
        from pipeline.metrics.inception import find_weights  # with torch and torchvision, which take seconds

        find_weights(config.features.inception)


def require_levels(config: Config) -> None:
    """Checks that a teacher brought along was trained at as many levels of noise as its solvers visit.

    Raises:
        StraightflowError: If it was not, or cannot be read.
    """
    name = config.teacher.pretrained
    if name is None:  # the configuration knows
        return
    from pipeline.models.levels import teacher_levels  # with torch

    problems = list(level_problems(config, teacher_levels(name)))
    if problems:
        raise StraightflowError(
            expected=f"solvers for the teacher {name}",
            found="\n          ".join(problems),
            mend="lower num_steps, or name another teacher",
        )


def _require_program(key: str, command: str) -> None:
    """Checks that the first word of a command that is no assignment is a program; the shell says the rest."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise StraightflowError(expected=f"a shell command in {key}", found=str(error), mend="correct it") from error
    program = next((word for word in words if "=" not in word), "")
    if shutil.which(program) is None:
        raise StraightflowError(
            expected=f"a program to start stages with, as {key} names it",
            found=f"{program or command!r}, which is not on the PATH",
            mend=f"correct {key}, or call this in the environment that has it",
        )
