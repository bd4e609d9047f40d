"""Teachers: a DDPM trained with the same loop as students, or a pretrained checkpoint, which may be a flow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from diffusers import (
    DDPMScheduler,
    EDMEulerScheduler,
    ModelMixin,
    ScoreSdeVeScheduler,
)

from pipeline.config.pretrained import NOTHING_SPECIAL, Promised
from pipeline.config.teacher import NUM_NOISE_LEVELS, PredictionType
from pipeline.diffusion.scheduler_settings import EDM, VARIANCE_EXPLODING
from pipeline.models.accepted_guide import GUIDE
from pipeline.models.class_counts import set_class_counts
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.kinds import kind_of
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.networks import set_null_class
from pipeline.models.opening import open_new_guide, open_teacher, read_model
from pipeline.models.prompt_table import read_prompts
from pipeline.models.saved_pipeline import save_pipeline
from pipeline.models.student import save_student
from pipeline.system.hub import download_model


def training_scheduler(prediction_type: PredictionType = "epsilon") -> DDPMScheduler:
    """The forward process of teachers trained here: linear betas, 1,000 steps (Ho et al. 2020)."""
    return DDPMScheduler(num_train_timesteps=NUM_NOISE_LEVELS, clip_sample=False, prediction_type=prediction_type)


def save_teacher(
    network: ModelMixin,
    folder: Path,
    scheduler: DDPMScheduler | EDMEulerScheduler | ScoreSdeVeScheduler,
    like: Path | None = None,
    add: Callable[[Path], None] | None = None,
) -> None:
    """Saves a teacher with the scheduler of its process, as :func:`save_pipeline`."""
    save_pipeline(network, scheduler, folder, like, add)


def is_local(name: str) -> bool:
    """Whether a pretrained model's name is that of a folder here, which is taken before a model on the hub."""
    return Path(name).is_dir()


def adopt_pretrained(
    name: str,
    shape: tuple[int, ...],
    folder: Path,
    commit: str | None = None,
    promised: Promised = NOTHING_SPECIAL,
    *,
    labels: np.ndarray | None = None,
    guide_commit: str | None = None,
) -> None:
    """Saves a checkpoint as the teacher in ``folder``, with its guide in a subfolder where one is configured.

    Args:
        name: A local folder or a hub id.
        shape: Of the run's samples: of the data's, or of their latents.
        folder: Where it goes.
        commit: The version on the hub, as check recorded it; None for a local folder.
        promised: What the configuration says of it.
        labels: Of the data, int64, (num,), for how often each class is to be drawn; None where there are none.
        guide_commit: The version of the guide on the hub, as check recorded it; None for a local folder.

    Raises:
        StraightflowError: If it cannot be had, or is refused by :func:`pipeline.models.opening.open_teacher`; or if its
            guide is, by :func:`pipeline.models.opening.open_new_guide`.
    """
    source = Path(name) if commit is None else download_model(name, commit)
    network = open_teacher(source, shape, name, promised)
    save_guide: Callable[[Path], None] | None = None
    if promised.guide is not None:
        place = Path(promised.guide) if guide_commit is None else download_model(promised.guide, guide_commit)
        guide = open_new_guide(place, read_model(source, promised), promised.guide, promised)
        save_guide = partial(_save_guide, guide, place, source, promised)
    network = _with_conditions(network, source, promised)
    set_class_counts(network, labels)
    _save(network, folder, source, source, promised, save_guide)


def _save_guide(guide: ModelMixin, place: Path, teacher: Path, promised: Promised, folder: Path) -> None:
    """Saves a guide below the folder of its teacher, by whose encoders it reads the same prompts."""
    guide = _with_conditions(guide, teacher, promised)
    reads_text = isinstance(kind_of(guide), PromptedKind)
    _save(guide, folder / GUIDE, place, teacher if reads_text else None, promised)


def _with_conditions(network: ModelMixin, encoders: Path, promised: Promised) -> ModelMixin:
    """The network with the configured prompts, read by the encoders of a folder, and class that stands for none."""
    kind = kind_of(network)
    if isinstance(kind, PromptedKind) and promised.prompts is not None:
        network = kind.with_prompts(network, encoders, read_prompts(Path(promised.prompts)))
    set_null_class(network, promised.null_class)
    return network


def _save(
    network: ModelMixin,
    folder: Path,
    source: Path,
    like: Path | None,
    promised: Promised,
    add: Callable[[Path], None] | None = None,
) -> None:
    """Saves a network with the process of ``source`` and the other parts of ``like``."""
    if promised.process == "flow":
        save_student(network, folder, like, add)
        return
    config = read_scheduler_config(source)
    exploding = {VARIANCE_EXPLODING: ScoreSdeVeScheduler} | dict.fromkeys(EDM, EDMEulerScheduler)
    scheduler = exploding.get(config["_class_name"], DDPMScheduler)
    save_teacher(network, folder, scheduler.from_config(config), like, add)
