"""The models that draw side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.sampling import require_images
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.commands.model_folder import model_folder

MOST_TEACHER_STEPS, MOST_STUDENT_STEPS = 100, 32


@dataclass(frozen=True)
class SideBySide:
    """Models whose images of one noise can be compared.

    Attributes:
        samplers: By the name that each was asked for by.
        num_conditions: Classes that may be asked for; None if no model has any.
    """

    samplers: Mapping[str, Sampler]
    num_conditions: int | None

    @property
    def most_teacher_steps(self) -> int | None:
        """Steps that all diffusion models among them can take, 100 at most; None if there are none."""
        levels = [
            len(schedule.alpha)
            for schedule in (sampler.noise_schedule for sampler in self.samplers.values())
            if schedule is not None
        ]
        return min([*levels, MOST_TEACHER_STEPS]) if levels else None

    @property
    def has_students(self) -> bool:
        """Whether one of them is a flow."""
        return any(sampler.noise_schedule is None for sampler in self.samplers.values())


def open_side_by_side(config: Config, names: Sequence[str]) -> SideBySide:
    """Opens the models of these names or folders; without names, those of the run that are trained.

    Raises:
        StraightflowError: If there is no such model, or their images cannot be of one noise.
    """
    chosen = tuple(dict.fromkeys(names)) or _trained(config)
    folders = {name: model_folder(name) for name in chosen}
    runtime = open_runtime(config.compute, ONE_PROCESS)
    samplers = {name: load_sampler(folder, runtime) for name, folder in folders.items()}
    for sampler in samplers.values():
        require_images(sampler)
    _require_one_noise(samplers)
    return SideBySide(samplers, _num_conditions(samplers))


def _trained(config: Config) -> tuple[str, ...]:
    trained = tuple(name for name in config.models if paths.model(name).is_dir())
    if not trained:
        raise StraightflowError(
            expected=f"a trained model of the run, {' or '.join(config.models)}, under models/",
            found="none",
            mend="train them with `dvc repro`, or name the folders of saved models",
        )
    return trained


def _require_one_noise(samplers: Mapping[str, Sampler]) -> None:
    if len({sampler.shape for sampler in samplers.values()}) > 1:
        raise StraightflowError(
            expected="models of images of one shape, which draw from one noise",
            found=", ".join(f"{name} {'×'.join(map(str, sampler.shape))}" for name, sampler in samplers.items()),
            mend="name models of one shape",
        )


def _num_conditions(samplers: Mapping[str, Sampler]) -> int | None:
    found = {name: sampler.num_conditions for name, sampler in samplers.items() if sampler.num_conditions is not None}
    if len(set(found.values())) > 1:
        raise StraightflowError(
            expected="class-conditional models of one number of classes",
            found=", ".join(f"{name} {count}" for name, count in found.items()),
            mend="name models of the same classes",
        )
    return next(iter(found.values()), None)
