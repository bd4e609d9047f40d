"""Which stages a model comes from."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER, TEACHER

ENCODING = "latents@data"
"""The stage that encodes the data for models that learn their latents."""
RECONSTRUCTION = "reconstruction@data"
"""The stage that measures what the autoencoder of that encoding gives back."""


def stages_of(config: Config, model: str) -> tuple[str, ...]:
    """Stages that trained ``model`` and made all that it learned and started from, each once, in order.

    They are named as in ``dvc.yaml``: ``autoencoder@data``, ``latents@data``, ``teacher``, ``flow@<name>``,
    ``couplings@<name>``, ``student@<name>``. Preparing the images, the gate and measuring are not among them.
    """
    return tuple(dict.fromkeys(_stages_of(config, model)))


def training_stage(config: Config, model: str) -> str:
    """The stage that trains ``model``, which may be the autoencoder."""
    if model == AUTOENCODER:
        return "autoencoder@data"
    if model == TEACHER:
        return "teacher"
    return f"flow@{model}" if model in config.flows else f"student@{model}"


def _stages_of(config: Config, model: str) -> list[str]:
    student = config.students.get(model)
    before: list[str] = []
    if student is None and config.latents:
        before = [training_stage(config, AUTOENCODER), ENCODING]
    elif student is not None:
        before = [
            *_stages_of(config, config.couplings[student.couplings].source),
            f"couplings@{student.couplings}",
            *_stages_of(config, student.init),
        ]
    return [*before, training_stage(config, model)]
