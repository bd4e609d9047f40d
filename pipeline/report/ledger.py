"""What the stages of a run computed, and what each model cost from the teacher on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.config.lineage import ENCODING, stages_of, training_stage
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.report.reading import load_json
from pipeline.system.compute import Compute, total


@dataclass(frozen=True)
class StageCost:
    """What a stage computed.

    Attributes:
        stage: Its name in ``dvc.yaml``.
        compute: None if it left no record, as stages of older versions, or if the record is not this run's.
        is_pretrained: Whether it adopted a pretrained model or autoencoder, whose cost nobody knows.
    """

    stage: str
    compute: Compute | None
    is_pretrained: bool = False


@dataclass(frozen=True)
class ModelCost:
    """What it takes to make a model: its training, what it started from, its couplings, what these were drawn from.

    Of latents their autoencoder and encoding the data as well.

    Attributes:
        model: Its name.
        compute: Sum over all these stages, each once, without an autoencoder that was brought along; None if one of
            them left no record.
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
    costs: dict[str, Compute | None] = {ENCODING: _recorded(root / f"metrics/training/{AUTOENCODER}.encoding.json")}
    for model in (AUTOENCODER, *config.models):
        costs[training_stage(config, model)] = _recorded(root / f"metrics/training/{model}.json")
    for name in config.couplings:
        costs[f"couplings@{name}"] = _drawing(root / f"couplings/{name}/cost.json")
    order = dict.fromkeys(stage for model in config.models for stage in stages_of(config, model))
    adopted = _adopted(config)
    stages = [StageCost(stage, costs[stage], stage in adopted) for stage in order]
    stages += [
        StageCost(f"evaluate@{model}", _recorded(root / f"metrics/evaluate/{model}.json"))
        for model in config.evaluate.models
    ]
    stages += _decoding(root, config)
    models = [model for model in config.models if not (pretrained and model == TEACHER)]
    return Ledger(tuple(stages), tuple(_model_cost(config, model, costs, adopted) for model in models))


def _adopted(config: Config) -> set[str]:
    """Stages that take something as it was brought along."""
    found = {TEACHER} if config.teacher.pretrained is not None else set()
    if config.autoencoder is not None and config.autoencoder.trained is None:
        found.add(training_stage(config, AUTOENCODER))
    return found


def _model_cost(config: Config, model: str, costs: dict[str, Compute | None], adopted: set[str]) -> ModelCost:
    stages = stages_of(config, model)
    parts = [costs[stage] for stage in stages if stage not in adopted]
    known = [part for part in parts if part is not None]
    return ModelCost(model, total(known) if len(known) == len(parts) else None, TEACHER in adopted.intersection(stages))


def _recorded(path: Path) -> Compute | None:
    return load_json(path, _Recorded).compute if path.is_file() else None


def _decoding(root: Path, config: Config) -> Iterator[StageCost]:
    """What an autoencoder computed where latents were measured, which the compute of networks leaves out."""
    files = {f"assess@{name}": root / f"couplings/{name}/quality.json" for name in config.couplings}
    files |= {f"evaluate@{model}": root / f"metrics/evaluate/{model}.json" for model in config.evaluate.models}
    for stage, path in files.items():
        compute = _decoded(path)
        if compute is not None:
            yield StageCost(f"{stage}, decoding", compute)


def _decoded(path: Path) -> Compute | None:
    return load_json(path, _Recorded).decoding if path.is_file() else None


def _drawing(path: Path) -> Compute | None:
    return load_json(path, Compute) if path.is_file() else None
