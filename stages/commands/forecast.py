"""What a run will take on this machine, before anything is computed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.config.forecast import StageTime, forecast
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.config.planned_disk import couplings_bytes
from pipeline.config.trainings import AUTOENCODER_TRAINING
from pipeline.system.memory import readable_bytes
from pipeline.system.yaml_text import parse_yaml
from stages import composition

if TYPE_CHECKING:
    from pipeline.training.preflight import TrainingNeeds
    from stages.forecasting import Forecast

_PROCESSES = (2, 4, 8)
_WEIGHT_BYTES = 4


def configuration(preset: str, settings: list[str]) -> Config:
    """What ``make repro PRESET=preset`` with these settings would compose; params.yaml stays as it is.

    Raises:
        StraightflowError: If they do not compose to a valid configuration.
    """
    text = composition.compose([f"preset={preset}", *settings])
    return parse_config(parse_yaml(text, origin=f"preset {preset}"), origin=f"preset {preset}")


def print_forecast(config: Config, *, only_total: bool) -> None:
    """Measures for some seconds, and prints the time of every stage, the total, memory and disk.

    Args:
        config: The run.
        only_total: Prints the line of the total alone.

    Raises:
        StraightflowError: If a pretrained teacher or a published network of features cannot be had.
    """
    from stages.forecasting import measure  # with torch, which takes seconds

    found = measure(config)
    print("\n".join(describe(config, forecast(config, found.speeds), found, only_total=only_total)))


def describe(config: Config, stages: tuple[StageTime, ...], found: Forecast, *, only_total: bool) -> list[str]:
    """Lines of the forecast.

    Args:
        config: The run.
        stages: Times of its stages.
        found: What was counted for it.
        only_total: Only the line of the total.
    """
    least = "at least " if any(item.is_least for item in stages) else ""
    total = f"forecast: {least}{in_words(_total(stages, 1))} in one process on this machine, as fast as it is now"
    if only_total:
        return [f"{total}; `straightflow forecast` shows it by stage"]
    width = max(len(item.stage) for item in stages)
    lines = [f"{item.stage:<{width}}  {'≥ ' if item.is_least else ''}{in_words(item.seconds())}" for item in stages]
    shared = ", ".join(f"{in_words(_total(stages, count))} with {count}" for count in _PROCESSES)
    lines += ["", total, f"more processes, each on such a device of its own: {shared}"]
    return [*lines, *_memory(found), _disk(config, found.trainings)]


def in_words(seconds: float) -> str:
    """Seconds below a minute, minutes and seconds below an hour, hours and minutes below two days, else days."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds / 60)} min {int(seconds % 60):02d} s"
    if seconds < 48 * 3600:
        return f"{int(seconds / 3600)} h {int(seconds % 3600 / 60):02d} min"
    return f"{seconds / 86400:,.1f} days"


def _total(stages: tuple[StageTime, ...], num_processes: int) -> float:
    return sum(item.seconds(num_processes) for item in stages)


def _memory(found: Forecast) -> list[str]:
    """What each stage takes on its device; stages that take the same share a line."""
    names: dict[str, list[str]] = {}
    said = {key: needs.describe() for key, needs in found.trainings.items()}
    said |= {key: needs.describe() for key, needs in found.sampling.items()}
    for key, words in said.items():
        names.setdefault(words, []).append(key)
    lines = [f"memory of {', '.join(keys)}: {words}" for words, keys in names.items()]
    if found.features_bytes:
        lines.append(f"memory of features: each process needs about {readable_bytes(found.features_bytes)} beside it")
    return lines


def _disk(config: Config, needs: Mapping[str, TrainingNeeds]) -> str:
    """Couplings and models, of which DVC's cache keeps a second copy where files cannot share blocks; checkpoints."""
    largest = max((item.num_parameters for key, item in needs.items() if key != AUTOENCODER_TRAINING), default=0)
    models = len(config.models) * _WEIGHT_BYTES * largest
    checkpoints = max((item.checkpoint_bytes for item in needs.values()), default=0)
    kept = 1 + max(settings.kept_checkpoints for settings in config.students.values())
    drawn, trained, saved = map(readable_bytes, (couplings_bytes(config), models, kept * checkpoints))
    return (
        f"disk: couplings {drawn}, models {trained}, and as much again in DVC's cache; while a training runs, "
        f"checkpoints of {saved}"
    )
