"""What the stages of a run computed, and what each model cost from the teacher on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.graph import TEACHER, Config
from pipeline.config.lineage import stages_of, training_stage
from pipeline.report.reading import load_json
from pipeline.system.compute import Compute, total


@dataclass(frozen=True)
class StageCost:
    """What a stage computed.

    Attributes:
        stage: Its name in ``dvc.yaml``.
        compute: None if it left no record, as stages of older versions, or if the record is not this run's.
        is_pretrained: Whether it adopted a pretrained model, whose cost nobody knows.
    """

    stage: str
    compute: Compute | None
    is_pretrained: bool = False


@dataclass(frozen=True)
class ModelCost:
    """What it takes to make a model: its training, what it started from, its couplings, what these were drawn from.

    Attributes:
        model: Its name.
        compute: Sum over all these stages, each once; None if one of them left no record.
        is_after_teacher: Whether it leaves out a pretrained teacher, whose cost is unknown.
    """

    model: str
    compute: Compute | None
    is_after_teacher: bool


@dataclass(frozen=True)
class Ledger:
    """Compute of a run.

    Attributes:
        stages: In the order of the graph.
        models: Of the teacher, unless it is pretrained, and of each student.
    """

    stages: tuple[StageCost, ...]
    models: tuple[ModelCost, ...]

    def cost(self, model: str) -> Compute | None:
        """What a model took to make; None if that is unknown."""
        return next((item.compute for item in self.models if item.model == model), None)

    def summary(self) -> dict[str, float]:
        """Totals of the models as one flat mapping, without those that are unknown.

        Keys are ``total_flops_<model>`` and ``total_forward_equivalents_<model>``, with ``_after_teacher`` behind them
        where a pretrained teacher is left out.
        """
        numbers: dict[str, float] = {}
        for item in self.models:
            if item.compute is not None:
                name = f"{item.model}_after_teacher" if item.is_after_teacher else item.model
                numbers[f"total_flops_{name}"] = item.compute.flops
                numbers[f"total_forward_equivalents_{name}"] = item.compute.forward_equivalents
        return numbers


@dataclass(frozen=True)
class _Recorded:
    """A file with the compute of its stage; other content is of no interest here."""

    compute: Compute | None = None
    decoding: Compute | None = None


def load_ledger(root: Path, config: Config) -> Ledger:
    """Reads what the stages of the run below ``root`` recorded.

    Raises:
        StraightflowError: If a record is not what its stage writes.
    """
    pretrained = config.teacher.pretrained is not None
    costs: dict[str, Compute | None] = {}
    for model in config.models:
        costs[training_stage(config, model)] = _recorded(root / f"metrics/training/{model}.json")
    for name in config.couplings:
        costs[f"couplings@{name}"] = _drawing(root / f"couplings/{name}/cost.json")
    order = dict.fromkeys(stage for model in config.models for stage in stages_of(config, model))
    stages = [StageCost(stage, costs[stage], pretrained and stage == TEACHER) for stage in order]
    stages += [
        StageCost(f"evaluate@{model}", _recorded(root / f"metrics/evaluate/{model}.json"))
        for model in config.evaluate.models
    ]
    if config.autoencoder is not None:
        stages += list(_decoding(root, config))
    models = [model for model in config.models if not (pretrained and model == TEACHER)]
    return Ledger(tuple(stages), tuple(_model_cost(config, model, costs, pretrained) for model in models))


def _model_cost(config: Config, model: str, costs: dict[str, Compute | None], pretrained: bool) -> ModelCost:
    stages = stages_of(config, model)
    left_out = {TEACHER} if pretrained else set()
    parts = [costs[stage] for stage in stages if stage not in left_out]
    known = [part for part in parts if part is not None]
    return ModelCost(model, total(known) if len(known) == len(parts) else None, not left_out.isdisjoint(stages))


def _recorded(path: Path) -> Compute | None:
    return load_json(path, _Recorded).compute if path.is_file() else None


def _decoding(root: Path, config: Config) -> Iterator[StageCost]:
    """What the autoencoder computed where samples were measured, which their networks' compute leaves out."""
    for name in config.couplings:
        yield StageCost(f"assess@{name}, decoding", _decoded(root / f"couplings/{name}/quality.json"))
    for model in config.evaluate.models:
        yield StageCost(f"evaluate@{model}, decoding", _decoded(root / f"metrics/evaluate/{model}.json"))


def _decoded(path: Path) -> Compute | None:
    return load_json(path, _Recorded).decoding if path.is_file() else None


def _drawing(path: Path) -> Compute | None:
    return load_json(path, Compute) if path.is_file() else None
