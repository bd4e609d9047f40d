"""How long a run will take, from its planned network calls and the speed of a machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.config.features import trained_tasks
from pipeline.config.graph import Config
from pipeline.config.lineage import ENCODING, RECONSTRUCTION, training_stage
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.planned_calls import PlannedCalls, planned_calls
from pipeline.config.planned_measuring import PlannedMeasuring, planned_measuring
from pipeline.config.training import TrainingConfig
from pipeline.config.trainings import trainings

FRESH = "fresh"
"""Name of the architecture under ``teacher`` where a pretrained teacher has another."""


@dataclass(frozen=True)
class NetworkSpeed:
    """Seconds that one process takes for a network.

    Attributes:
        call: For a call without a gradient, whatever its number of samples.
        forward: For each sample in such a call, beside that.
        training: For a sample in a training step of one call with a gradient, everything included, by the images of the
            step.
    """

    call: float
    forward: float
    training: Mapping[int, float]

    def calls(self, num_samples: float, batch_size: float) -> float:
        """Seconds for so many samples without a gradient, in calls of ``batch_size``."""
        return num_samples * (self.forward + self.call / batch_size)


@dataclass(frozen=True)
class Speeds:
    """Seconds that one process takes on a machine.

    Attributes:
        start: From the call of a stage until it works.
        networks: By the names of :func:`network_of`.
        features: For the features of one image, of all kinds.
        features_training: For a training step of all networks of features that are trained here.
        decoding: For decoding one latent; 0 where models make no latents.
    """

    start: float
    networks: Mapping[str, NetworkSpeed]
    features: float
    features_training: float
    decoding: float = 0.0


@dataclass(frozen=True)
class StageTime:
    """Forecast of one stage.

    Attributes:
        stage: Named as in ``dvc.yaml``.
        fixed: Seconds that no number of processes changes.
        divided: Seconds that processes divide among themselves.
        is_least: Whether it takes longer: by an adaptive solver, or for each image of data that are not counted yet.
    """

    stage: str
    fixed: float
    divided: float = 0.0
    is_least: bool = False

    def seconds(self, num_processes: int = 1) -> float:
        """Wall seconds with so many processes, each on a device as fast as the one that was measured."""
        return self.fixed + self.divided / num_processes


def forecast(config: Config, speeds: Speeds) -> tuple[StageTime, ...]:
    """Time of every stage, in the order in which they can run."""
    measuring = planned_measuring(config)
    by_stage: dict[str, list[PlannedCalls]] = {}
    for item in planned_calls(config):
        by_stage.setdefault(item.stage, []).append(item)
    stages = [StageTime("check", speeds.start), StageTime("data", speeds.start)]
    if config.data.space != "points":
        stages.append(StageTime("classifier", speeds.start + _features_steps(config) * speeds.features_training))
    stages += _before_latents(config, by_stage, speeds)
    if config.teacher.pretrained is not None:
        stages.append(StageTime("teacher", speeds.start))
    stages += [_working(config, stage, items, speeds) for stage, items in by_stage.items()]
    stages += [_measuring(config, item, speeds) for item in measuring]
    return (*stages, StageTime("report", speeds.start))


def _before_latents(config: Config, by_stage: dict[str, list[PlannedCalls]], speeds: Speeds) -> list[StageTime]:
    """Of a run on latents, what comes before its models; an autoencoder's training is taken from ``by_stage``."""
    if not config.latents:
        return []
    stage = training_stage(config, AUTOENCODER)
    training = by_stage.pop(stage, None)
    first = StageTime(stage, speeds.start) if training is None else _working(config, stage, training, speeds)
    others = (ENCODING, RECONSTRUCTION)
    return [first, *(StageTime(name, speeds.start, is_least=True) for name in others)]


def network_of(config: Config, model: str) -> str:
    """Which of the run's architectures ``model`` has: that of ``teacher``, ``fresh``, or ``autoencoder``.

    A student has that of the model it starts from. A flow has that under ``teacher``, which a pretrained teacher has
    not.
    """
    if model == AUTOENCODER:
        return AUTOENCODER
    while model in config.students:
        model = config.students[model].init
    return FRESH if model in config.flows and config.teacher.pretrained is not None else TEACHER


def training_batches(config: Config) -> dict[str, dict[int, TrainingConfig]]:
    """Sizes of training steps by architecture, each with the settings of a training that has it."""
    found: dict[str, dict[int, TrainingConfig]] = {}
    for item in trainings(config):
        found.setdefault(network_of(config, item.model), {}).setdefault(item.settings.batch_size, item.settings)
    return found


def _working(config: Config, stage: str, items: list[PlannedCalls], speeds: Speeds) -> StageTime:
    """A training or a drawing of couplings."""
    settings = {training_stage(config, item.model): item.settings for item in trainings(config)}.get(stage)
    seconds = 0.0
    for item in items:
        speed = speeds.networks[network_of(config, item.model)]
        if settings is None:
            seconds += speed.calls(item.forward, config.couplings[stage.partition("@")[2]].batch_size)
        else:
            seconds += _training_seconds(item, settings, speed)
    return StageTime(stage, speeds.start, seconds, any(item.is_least for item in items))


def _training_seconds(item: PlannedCalls, settings: TrainingConfig, speed: NetworkSpeed) -> float:
    """Of the calls with a gradient, and of those without, as few a step as there can be."""
    num_images = settings.num_steps * settings.batch_size
    without = item.forward - item.backward
    calls_per_step = math.ceil(without / num_images)
    seconds = item.backward * speed.training[settings.batch_size] if item.backward else 0.0
    if without:
        seconds += speed.calls(without, without / (settings.num_steps * calls_per_step))
    return seconds


def _measuring(config: Config, item: PlannedMeasuring, speeds: Speeds) -> StageTime:
    """Features are computed by the processes that sample; couplings are assessed by one process."""
    seconds = speeds.networks[network_of(config, item.model)].calls(item.forward, config.evaluate.batch_size)
    seconds += item.num_samples * (speeds.features + speeds.decoding)
    if item.stage.startswith("assess@"):
        return StageTime(item.stage, speeds.start + seconds)
    return StageTime(item.stage, speeds.start, seconds)


def _features_steps(config: Config) -> int:
    """Steps of the first features' training, which the judge's resembles; of classes where that is not yet known."""
    for item in (config.features, config.features.judge):
        if item is not None and trained_tasks(item.name):
            steps: int = getattr(item, trained_tasks(item.name)[0]).num_steps
            return steps
    return 0
