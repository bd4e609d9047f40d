"""Which stages a model comes from."""

from __future__ import annotations

from pipeline.config.graph import DISTILLED, TEACHER, Config


def stages_of(config: Config, model: str) -> tuple[str, ...]:
    """Stages that trained ``model`` and made all that it learned and started from, each once, in order.

    They are named as in ``dvc.yaml``: ``teacher``, ``flow@<name>``, ``couplings@<round>``, ``train@<round>``,
    ``distill``. Data, the gate and measuring are not among them.
    """
    return tuple(dict.fromkeys(_stages_of(config, model)))


def training_stage(config: Config, model: str) -> str:
    """The stage that trains ``model``."""
    if model == TEACHER:
        return "teacher"
    if model == DISTILLED:
        return "distill"
    return f"flow@{model}" if model in config.flows else f"train@{model}"


def _stages_of(config: Config, model: str) -> list[str]:
    before: list[str] = []
    if model == DISTILLED:
        before = _stages_of_couplings(config, config.distill.couplings) + _stages_of(config, config.distill.init)
    elif model in config.rounds:
        before = _stages_of_couplings(config, model) + _stages_of(config, config.rounds[model].train.init)
    return [*before, training_stage(config, model)]


def _stages_of_couplings(config: Config, name: str) -> list[str]:
    return [*_stages_of(config, config.rounds[name].couplings.source), f"couplings@{name}"]
