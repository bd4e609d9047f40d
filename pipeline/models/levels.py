"""How many levels of noise a teacher was trained at, read without its weights."""

from __future__ import annotations

from pathlib import Path

from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.models.diffusers_layout import read_json, read_scheduler_config
from pipeline.system.hub import cached_model, download_json, hub_revision

SCHEDULERS = ("scheduler/scheduler_config.json", "scheduler_config.json")


def teacher_levels(name: str) -> int:
    """Levels of noise of the checkpoint ``name``, a local folder or a hub id.

    Raises:
        StraightflowError: If its scheduler cannot be found or is not a teacher's.
    """
    folder = Path(name) if Path(name).is_dir() else cached_model(name)
    if folder is not None:
        config = read_scheduler_config(folder)
    else:
        config = read_json(download_json(name, SCHEDULERS, hub_revision("model", name)))
    return len(read_noise_schedule(config).alpha)
