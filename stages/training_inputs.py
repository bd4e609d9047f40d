"""What the result of a training depends on. Its checkpoints in ``runs/`` are in a folder named by all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.graph import Config
from pipeline.config.students import StudentConfig
from pipeline.config.training import TrainingConfig
from pipeline.couplings.manifest import MANIFEST
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder, fingerprint_json
from pipeline.training.inventory import run_name
from stages import paths
from stages.code import code_of

Inputs = list[Any]
"""Plain values, beside the settings of the loop, the precision and the code."""


def checkpoints_name(stage: str, model: str, settings: TrainingConfig, precision: str, inputs: Inputs) -> str:
    """Name of the folder in ``runs/`` with the checkpoints of a training.

    Args:
        stage: Stage that trains, whose code the result depends on.
        model: Name of the model.
        settings: Of the loop.
        precision: In which the network is called.
        inputs: From the functions below.
    """
    return run_name(model, fingerprint_json([*inputs, settings.result_settings(), precision, code_of(stage)]))


def autoencoder_inputs(settings: AutoencoderConfig) -> Inputs:
    """Of an autoencoder."""
    images = open_samples(paths.IMAGES, "train")
    return [images.fingerprint, settings.model_dump(mode="json", exclude={"train"})]


def teacher_inputs(config: Config) -> Inputs:
    """Of the teacher."""
    return [samples_to_train_on(config).fingerprint, config.teacher.model_dump(mode="json", exclude={"train"})]


def flow_inputs(config: Config) -> Inputs:
    """Of every flow, whose networks are as the teacher's."""
    return [samples_to_train_on(config).fingerprint, config.teacher.network.model_dump(mode="json")]


def student_inputs(settings: StudentConfig) -> Inputs:
    """Of a student: the model that it starts from, its couplings, and the features that its method learns.

    Raises:
        StraightflowError: If there is no such model, or are no such features.
    """
    learned = paths.learnable_features(settings.method.name) if settings.method.learns_features else None
    return [
        saved_fingerprint(paths.model(settings.init)),
        fingerprint_file(paths.couplings(settings.couplings) / MANIFEST),
        *([] if learned is None else [saved_fingerprint(learned)]),
    ]


def samples_to_train_on(config: Config) -> SampleSet:
    """The samples that models of the data learn: images, or their latents."""
    return open_samples(paths.trained_on(config.trained_on), "train")


def saved_fingerprint(folder: Path) -> str:
    """Of what a stage saved in a folder; an empty listing has a fingerprint as well.

    Raises:
        StraightflowError: If there is no such folder.
    """
    if not folder.is_dir():
        raise StraightflowError(expected=f"a model in {folder}", found="none yet", mend="run `dvc repro`")
    return fingerprint_folder(folder)
