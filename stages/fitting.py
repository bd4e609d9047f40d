"""Whether the data and the teacher that ``check`` found fit what the run does with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.config.feasibility import class_problems, level_problems, size_problems
from pipeline.config.graph import Config
from pipeline.config.solver import TEACHER_SOLVERS
from pipeline.config.students import StudentConfig
from pipeline.data.check import DataFacts
from pipeline.models.accepted_teacher import AcceptedModel, AcceptedTeacher, num_conditions
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
    """Checks a pretrained teacher, where it is known, or one of classes, against solvers, students and labels.

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
            class_problems(config, num_conditions(teacher), num_labels),
            f"models and data that go with the teacher {config.teacher.pretrained}",
            "change these settings, or name another teacher",
        )
    if config.teacher.trains_classes and num_labels is not None:
        _require_none(
            class_problems(config, num_labels, num_labels),
            "models and data that go with a teacher that is conditioned on classes, as teacher.label_dropout says",
            "change these settings, or set teacher.label_dropout: null",
        )


def require_states_to_learn(config: Config, teachers: Sequence[AcceptedModel]) -> None:
    """Checks that students which learn a solver's states find some at times that they learn.

    Raises:
        StraightflowError: If one finds none.
    """
    learners = {name: student for name, student in config.students.items() if student.method.needs_states}
    if learners:
        _require_none(_late_states(config, learners, teachers), "states for the students that learn them", _SOONER)


_SOONER = "change the student's method, or the solver of its couplings"


def _late_states(
    config: Config, learners: Mapping[str, StudentConfig], teachers: Sequence[AcceptedModel]
) -> Iterable[str]:
    # With diffusers, which takes a second.
    from pipeline.diffusion.noise_schedule import noise_schedule_of
    from pipeline.diffusion.state_times import state_times
    from pipeline.models.pretrained import training_scheduler

    schedules = [teacher.noise_schedule for teacher in teachers if isinstance(teacher, AcceptedTeacher)]
    if config.teacher.pretrained is None:
        schedules = [noise_schedule_of(training_scheduler(config.teacher.prediction_type))]
    for name, student in learners.items():
        couplings = config.couplings[student.couplings]
        is_flow = config.solvers_of(couplings.source) != TEACHER_SOLVERS
        for schedule in [None] if is_flow else schedules:
            problem = student.method.times_problem(state_times(couplings.solver, schedule))
            if problem is not None:
                yield f"students.{name}.method {student.method.name} finds in couplings.{student.couplings} {problem}"


def _require_none(problems: Iterable[str], expected: str, mend: str) -> None:
    found = "\n          ".join(problems)
    if found:
        raise StraightflowError(expected=expected, found=found, mend=mend)
