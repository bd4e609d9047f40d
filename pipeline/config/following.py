"""Students that follow the ODE of the model that they start from, and whether it has one for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.methods import ProgressiveConfig
from pipeline.config.model_names import TEACHER
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.students import StudentConfig

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def following_problems(config: Config) -> Iterator[str]:
    """Yields students whose ``init`` has no ODE at the times, from the noise or to the images that they learn."""
    for name, student in config.students.items():
        if not student.method.follows_init:
            continue
        if student.init in config.students:
            yield from _time_problems(name, student, config.students[student.init])
        couplings = config.couplings.get(student.couplings)
        followed = _noise_of(config, student.init)
        learned = None if couplings is None else _noise_of(config, couplings.source)
        if followed is not None and learned is not None and followed != learned:
            yield (
                f"students.{name}.method {student.method.name} follows init {student.init!r}, whose noise is not that "
                f"of couplings {student.couplings!r}; give an init and couplings of one noise"
            )
        init = config.students.get(student.init)
        if _are_guided(config, student.couplings) and not (init and _are_guided(config, init.couplings)):
            yield (
                f"students.{name}.method {student.method.name} follows init {student.init!r} without guidance, and the "
                f"images of couplings {student.couplings!r} are guided; give an init that learned guided images, or "
                "any_step or reflow, which follow none"
            )


def _time_problems(name: str, student: StudentConfig, init: StudentConfig) -> Iterator[str]:
    key, method, steps = f"students.{name}.method", student.method, init.method.exact_steps
    if init.method.two_times:
        yield (
            f"{key} {method.name} follows the velocity of init, but {student.init!r} ({init.method.name}) has a mean "
            "velocity between two times; give an init of one time"
        )
    if steps is None:
        return
    if not isinstance(method, ProgressiveConfig):
        yield (
            f"{key} {method.name} follows init at all times, but {student.init!r} is for exactly {steps} "
            f"step{'' if steps == 1 else 's'}; give an init for any number of steps"
        )
    elif steps != 2 * method.num_steps:
        instead = f"num_steps: {steps // 2}, or " if steps % 2 == 0 else ""
        yield (
            f"{key}.num_steps is {method.num_steps}, whose half steps are {2 * method.num_steps}, but init "
            f"{student.init!r} is for exactly {steps} step{'' if steps == 1 else 's'}; give {instead}an init of "
            f"{2 * method.num_steps} steps"
        )


def _are_guided(config: Config, couplings: str) -> bool:
    """Whether images of these couplings are a guided teacher's, or those of a student that learned such images."""
    seen = set()
    while couplings in config.couplings and couplings not in seen:
        seen.add(couplings)
        drawn = config.couplings[couplings]
        if drawn.solver.guidance is not None:
            return True
        if drawn.source not in config.students:
            return False
        couplings = config.students[drawn.source].couplings
    return False


def _noise_of(config: Config, model: str) -> NoiseConfig | None:
    """Distribution of the noise that a model starts from; None if names lead nowhere or round in circles.

    A student's is that of its couplings, so that of their source.
    """
    seen = set()
    while model in config.students and model not in seen:
        seen.add(model)
        couplings = config.couplings.get(config.students[model].couplings)
        if couplings is None:
            return None
        model = couplings.source
    if model in config.flows:
        return config.flows[model].noise
    if model != TEACHER:
        return None
    flow = config.teacher.flow
    return flow.noise if config.teacher.is_flow and flow is not None else STANDARD_NOISE
