"""Teachers: a DDPM trained with the same loop as students, or a pretrained checkpoint, which may be a flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from diffusers import (
    DDPMScheduler,
    EDMEulerScheduler,
    ModelMixin,
    ScoreSdeVeScheduler,
)

from pipeline.config.pretrained import NOTHING_SPECIAL, Promised
from pipeline.config.teacher import NUM_NOISE_LEVELS
from pipeline.diffusion.scheduler_settings import EDM, VARIANCE_EXPLODING
from pipeline.models.class_counts import set_class_counts
from pipeline.models.companions import copy_companions
from pipeline.models.diffusers_layout import read_scheduler_config
from pipeline.models.kinds import kind_of
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.networks import set_null_class
from pipeline.models.opening import open_teacher
from pipeline.models.prompt_table import read_prompts
from pipeline.models.student import is_saved_pipeline, save_student
from pipeline.system.atomic import atomic_folder
from pipeline.system.file_hashes import write_hashes
from pipeline.system.hub import download_model


def training_scheduler() -> DDPMScheduler:
    """The forward process of teachers trained here: linear betas, 1,000 steps (Ho et al. 2020)."""
    return DDPMScheduler(num_train_timesteps=NUM_NOISE_LEVELS, clip_sample=False)


def save_teacher(
    network: ModelMixin,
    folder: Path,
    scheduler: DDPMScheduler | EDMEulerScheduler | ScoreSdeVeScheduler,
    like: Path | None = None,
) -> None:
    """Saves a teacher as the stock pipeline of its kind, with the hashes of its files, atomically.

    Args:
        network: The teacher.
        folder: Where it goes.
        scheduler: Of its process.
        like: Folder of a model whose other parts (autoencoder, text encoder) it keeps; None where there are none.
    """
    kind = kind_of(network)
    with atomic_folder(folder, ours=is_saved_pipeline) as temporary:
        kind.save(network, scheduler, temporary)
        if like is not None:
            copy_companions(like, temporary, kind)
        write_hashes(temporary)


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
) -> None:
    """Saves a checkpoint as the teacher in ``folder``.

    Args:
        name: A local folder or a hub id.
        shape: Of the run's samples: of the data's, or of their latents.
        folder: Where it goes.
        commit: The version on the hub, as check recorded it; None for a local folder.
        promised: What the configuration says of it.
        labels: Of the data, int64, (num,), for how often each class is to be drawn; None where there are none.

    Raises:
        StraightflowError: If it cannot be had, or is refused by :func:`pipeline.models.opening.open_teacher`.
    """
    source = Path(name) if commit is None else download_model(name, commit)
    network = open_teacher(source, shape, name, promised)
    kind = kind_of(network)
    if isinstance(kind, PromptedKind) and promised.prompts is not None:
        network = kind.with_prompts(network, source, read_prompts(Path(promised.prompts)))
    set_null_class(network, promised.null_class)
    set_class_counts(network, labels)
    if promised.process == "flow":
        save_student(network, folder, source)
        return
    config = read_scheduler_config(source)
    exploding = {VARIANCE_EXPLODING: ScoreSdeVeScheduler} | dict.fromkeys(EDM, EDMEulerScheduler)
    scheduler = exploding.get(config["_class_name"], DDPMScheduler)
    save_teacher(network, folder, scheduler.from_config(config), source)
