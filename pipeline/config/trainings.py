"""The trainings of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.training import TrainingConfig

if TYPE_CHECKING:
    from pipeline.config.graph import Config

AUTOENCODER_TRAINING = "autoencoder.train"
"""Key of the one training whose model draws no samples."""


@dataclass(frozen=True)
class RunTraining:
    """A training that a run does.

    Attributes:
        key: Of its settings in the configuration.
        model: What is trained: a model of the run or the autoencoder.
        settings: Of its loop; a student's with all that a student's settings say.
    """

    key: str
    model: str
    settings: TrainingConfig


def trainings(config: Config) -> tuple[RunTraining, ...]:
    """Every training of the run: of the autoencoder, the teacher, flows and students, as far as they are made here."""
    found: list[RunTraining] = []
    if config.autoencoder is not None and config.autoencoder.train is not None:
        found.append(RunTraining(AUTOENCODER_TRAINING, AUTOENCODER, config.autoencoder.train))
    if config.teacher.pretrained is None:
        found.append(RunTraining("teacher.train", TEACHER, config.teacher.train))
    found += [RunTraining(f"flows.{name}", name, flow) for name, flow in config.flows.items()]
    found += [RunTraining(f"students.{name}", name, student) for name, student in config.students.items()]
    return tuple(found)
