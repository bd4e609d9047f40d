"""Whether the sections of a configuration go together: all checks across them, the longer ones in own files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.config.feasibility import feasibility_problems
from pipeline.config.feature_learning import feature_learning_problems
from pipeline.config.following import following_problems
from pipeline.config.latents import latents_problems
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.noise import STANDARD_NOISE
from pipeline.config.references import name_problems, reference_problems
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS
from pipeline.config.students import StudentConfig
from pipeline.config.trainings import trainings
from pipeline.config.two_times import two_times_problems
from pipeline.system.errors import nearest

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def consistency_problems(config: Config) -> Iterator[str]:
    """Yields what does not go together, one sentence each, by the keys it is of."""
    if not config.students:
        yield "students is empty; give at least one"
    yield from name_problems(config)
    yield from _space_problems(config)
    yield from latents_problems(config)
    yield from feasibility_problems(config)
    yield from reference_problems(config)
    yield from _guidance_problems(config)
    yield from _classes_problems(config)
    yield from _states_problems(config)
    yield from two_times_problems(config)
    yield from following_problems(config)
    yield from feature_learning_problems(config)
    yield from _solver_problems(config)
    yield from _evaluation_problems(config)


def _space_problems(config: Config) -> Iterator[str]:
    """Yields settings that do not fit the kind of sample, image or point."""
    source, points = config.data.source, config.data.space == "points"
    if points != (config.teacher.mlp is not None):
        yield f"data.source {source!r} needs teacher.{'mlp' if points else 'unet'}, and null for the other"
    if points != (config.features.name == "points"):
        yield f"features.name must {'' if points else 'not '}be 'points' for data.source {source!r}"
    if points and config.watch.samples_every_steps is not None:
        yield "watch.samples_every_steps draws images; set it to null for points"
    for item in trainings(config):
        if points and item.model != AUTOENCODER and item.settings.horizontal_flips:
            yield f"{item.key}.horizontal_flips mirrors images; set it to false for points"
        if points and isinstance(item.settings, StudentConfig) and item.settings.dropout > 0:
            yield f"{item.key}.dropout is of residual blocks, which an mlp has not; set it to 0 for points"
    for name, couplings in config.couplings.items():
        if points and couplings.dtype == "uint8":
            yield f"couplings.{name}.dtype uint8 keeps [-1, 1] alone; give float32 or float16 for points"
    for key, loss in config.losses.items():
        if points and loss.name == "lpips_huber":
            yield f"{key} lpips_huber compares images; give l2 or pseudo_huber for points"
    flows = {f"flows.{name}": flow.noise for name, flow in config.flows.items()}
    if config.teacher.trains_flow and config.teacher.flow is not None:
        flows["teacher.flow"] = config.teacher.flow.noise
    for key, noise in flows.items():
        if noise != STANDARD_NOISE and not points:
            yield f"{key}.noise is not N(0, I), which is possible for points only"
        if noise.mean is not None and len(noise.mean) != config.data.sample_shape[0]:
            yield f"{key}.noise.mean has {len(noise.mean)} entries, points of {source!r} {config.data.sample_shape[0]}"


def _guidance_problems(config: Config) -> Iterator[str]:
    """Yields guidance of what cannot be guided: students learn the guided map, and need none."""
    keys = {f"evaluate.{kind}_solvers": getattr(config.evaluate, f"{kind}_solvers") for kind in ("teacher", "student")}
    for name, couplings in config.couplings.items():
        inversion = couplings.image_to_noise
        keys[f"couplings.{name}.solver"] = (couplings.solver,)
        keys[f"couplings.{name}.image_to_noise.solver"] = () if inversion is None else (inversion.solver,)
    of_teacher = {f"couplings.{name}" for name, couplings in config.couplings.items() if couplings.source == TEACHER}
    for key, solvers in keys.items():
        guides = {solver.guidance.by for solver in solvers if solver.guidance is not None}
        if not guides:
            continue
        if key != "evaluate.teacher_solvers" and not any(key.startswith(f"{name}.") for name in of_teacher):
            yield f"{key} has guidance, which is of the teacher alone: students learn its guided samples; leave it out"
            continue
        if "guide" in guides and config.teacher.guide is None:
            yield (
                f"{key} has guidance by: guide, but there is none: name a smaller or earlier checkpoint of the teacher "
                "as teacher.guide"
            )
        if "null_class" in guides and not config.teacher.has_null_class:
            yield (
                f"{key} has guidance, which needs a class that stands for none: teacher.null_class of a pretrained "
                "one, teacher.label_dropout above 0 of one that is trained here"
            )


def _classes_problems(config: Config) -> Iterator[str]:
    """Yields classes to be drawn where no model has any; of a pretrained teacher that is known once it is read."""
    if config.evaluate.per_class and config.features.reference_split is None:
        yield "evaluate.per_class compares classes with images, and features.reference is a file; set per_class: false"
    if config.teacher.pretrained is not None or config.teacher.trains_classes:
        return
    if config.evaluate.per_class:
        yield "evaluate.per_class is true, but no model has classes; set teacher.label_dropout, or per_class: false"
    for name, couplings in config.couplings.items():
        if couplings.classes == "data":
            yield f"couplings.{name}.classes is data, but no model has classes; set teacher.label_dropout, or uniform"


def _states_problems(config: Config) -> Iterator[str]:
    """Yields students that learn states which their couplings do not keep."""
    for name, student in config.students.items():
        learned = config.couplings.get(student.couplings)
        if student.method.needs_states and learned is not None and not learned.states:
            yield (
                f"students.{name}.method {student.method.name} learns the states between noise and image, which its "
                f"couplings do not keep; set couplings.{student.couplings}.states: true"
            )


def _solver_problems(config: Config) -> Iterator[str]:
    """Yields solvers of couplings that cannot sample the model that the couplings come from."""
    for name, couplings in config.couplings.items():
        allowed = config.solvers_of(couplings.source)
        used = {"solver": couplings.solver}
        if couplings.image_to_noise is not None:
            used["image_to_noise.solver"] = couplings.image_to_noise.solver
        for part, solver in used.items():
            if not (solver.solves_diffusion_models if allowed == TEACHER_SOLVERS else solver.solves_flows):
                yield (
                    f"couplings.{name}.{part} is {solver.name!r} on grid {solver.grid!r}, but source "
                    f"{couplings.source!r} takes one of {', '.join(allowed)} on its own grids"
                )


def _evaluation_problems(config: Config) -> Iterator[str]:
    """Yields models and solvers to be measured that are none, or are named twice."""
    for model in config.evaluate.models:
        if model not in config.models:
            yield f"evaluate.models names {model!r}{nearest(model, config.models)}"
    for teacher, allowed in ((True, TEACHER_SOLVERS), (False, STUDENT_SOLVERS)):
        key = "teacher_solvers" if teacher else "student_solvers"
        solvers = config.evaluate.solvers(teacher=teacher)
        for solver in solvers:
            if not (solver.solves_diffusion_models if teacher else solver.solves_flows):
                yield (
                    f"evaluate.{key} names {solver.name!r} on grid {solver.grid!r}; it takes {', '.join(allowed)} "
                    "on their own grids"
                )
        cells = [(solver.label, solver.num_steps) for solver in solvers]
        if not cells or len(set(cells)) != len(cells):
            yield f"evaluate.{key} must name at least one solver and none twice, found {', '.join(map(str, cells))}"
    for key, values in (("models", config.evaluate.models), ("num_steps", config.evaluate.num_steps)):
        if not values or len(set(values)) != len(values):
            yield f"evaluate.{key} must name at least one entry and none twice, found {list(values)}"
