"""Measures what a forecast is computed from: this machine's speed at every network of a configuration."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.compute import ONE_PROCESS
from pipeline.config.forecast import FRESH, NetworkSpeed, Speeds, training_batches
from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.solver import SolverConfig
from pipeline.evaluation.speed import FeaturesSpeed, features_speed
from pipeline.methods.reconstruction import Reconstruction
from pipeline.models.autoencoder import open_autoencoder
from pipeline.models.autoencoder_network import build_autoencoder, stock_autoencoder
from pipeline.models.networks import build_network, starting_network
from pipeline.models.opening import open_model
from pipeline.models.pretrained import adopt_pretrained, is_local
from pipeline.models.pretrained_autoencoder import adopt_autoencoder
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.saved_autoencoder import save_autoencoder
from pipeline.models.student import save_student
from pipeline.system.stopwatch import duration
from pipeline.training.planned_memory import SamplingNeeds
from pipeline.training.preflight import TrainingNeeds
from pipeline.training.speed import RandomImages, call_seconds, decoding_seconds, step_seconds
from stages import paths
from stages.fitting_memory import Pretrained, network_settings, sampling_needs_by_key, training_needs_by_key
from stages.recorded import recorded_autoencoder, recorded_commit

_SECONDS = 1.5
"""About so long each speed is measured."""


@dataclass(frozen=True)
class Forecast:
    """What was measured and counted.

    Attributes:
        speeds: Of one process.
        trainings: What each training needs, by its key.
        sampling: What each drawing of samples needs, by its key.
        features_bytes: What a pass of the networks of features takes, without their weights; 0 for points.
    """

    speeds: Speeds
    trainings: Mapping[str, TrainingNeeds]
    sampling: Mapping[str, SamplingNeeds]
    features_bytes: int = 0


def measure(config: Config) -> Forecast:
    """Measures speeds, and counts memory.

    Raises:
        StraightflowError: If a pretrained teacher or a published network of features cannot be had.
    """
    # Compiling takes longer than the forecast may, and changes what is measured: networks are called as they are.
    runtime = open_runtime(config.compute.model_copy(update={"compile": "off"}), ONE_PROCESS)
    batches = training_batches(config)
    networks: dict[str, NetworkSpeed] = {}
    pretrained: Pretrained | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted({TEACHER, *batches} - {AUTOENCODER}):
            place = Path(folder) / name
            _save(config, name, place)
            if name == TEACHER and config.teacher.pretrained is not None:
                pretrained = network_settings(place)
            solver = SolverConfig(name="euler", num_steps=1)
            sampler = load_sampler(place, runtime)
            if sampler.noise_schedule is not None:
                solver = SolverConfig(name="ddim", num_steps=1)
            call, forward = call_seconds(sampler, solver, config.evaluate.batch_size, _SECONDS)
            training: dict[int, float] = {}
            for size, settings in batches.get(name, {}).items():
                network = starting_network(open_model(place)[1])
                training[size] = step_seconds(network, settings, runtime, _SECONDS)
            networks[name] = NetworkSpeed(call, forward, training)
        decoding = 0.0
        if config.autoencoder is not None:
            networks |= _autoencoder_training(config.autoencoder, config.data.image_shape, runtime)
            decoding = _decoding(config, Path(folder), runtime)
    features = _features(config, runtime)
    return Forecast(
        speeds=Speeds(_start_seconds(), networks, features.image, features.training_step, decoding),
        trainings={key: needs for key, _, needs in training_needs_by_key(config, pretrained)},
        sampling=dict(sampling_needs_by_key(config, pretrained)),
        features_bytes=features.num_bytes,
    )


def _save(config: Config, name: str, place: Path) -> None:
    """A model of an architecture: the pretrained teacher itself, or one with fresh weights, which are as fast."""
    teacher, shape = config.teacher, config.sample_shape
    if name == FRESH or teacher.pretrained is None:
        save_student(build_network(teacher.network, shape, 0), place)
        return
    source = teacher.pretrained
    commit = None if is_local(source) else recorded_commit(paths.TEACHER_INPUT, {"pretrained": source})
    adopt_pretrained(source, shape, place, commit, replace(config.promised_teacher, guide=None))


def _autoencoder_training(
    settings: AutoencoderConfig, image_shape: tuple[int, int, int], runtime: Runtime
) -> dict[str, NetworkSpeed]:
    """Speed of its training by its name; empty if it is brought along."""
    trained = settings.trained
    if trained is None:
        return {}
    seconds = step_seconds(
        build_autoencoder(trained.network, image_shape, settings.latent_channels, 0),
        trained.train,
        runtime,
        _SECONDS,
        objective=Reconstruction(settings.latent_shape(image_shape), trained.kl_weight),
        items=RandomImages(image_shape),
    )
    return {AUTOENCODER: NetworkSpeed(0.0, 0.0, {trained.train.batch_size: seconds})}


def _decoding(config: Config, folder: Path, runtime: Runtime) -> float:
    """Seconds for a latent: by the teacher's autoencoder, by the one brought along, or by one with fresh weights."""
    settings = config.autoencoder
    assert settings is not None  # of a run on latents
    shape, place = config.data.image_shape, folder / (TEACHER if config.latents == {} else AUTOENCODER)
    if settings.trained is not None:
        fresh = build_autoencoder(settings.trained.network, shape, settings.latent_channels, 0)
        save_autoencoder(stock_autoencoder(fresh), place)
    elif config.latents:
        adopt_autoencoder(settings, shape, place, recorded_autoencoder(settings.source))
    opened = open_autoencoder(place, runtime, settings.latent_shape(shape))
    return decoding_seconds(opened, config.evaluate.batch_size, _SECONDS)


def _features(config: Config, runtime: Runtime) -> FeaturesSpeed:
    if config.data.space == "points":
        return FeaturesSpeed(0.0, 0.0, 0)
    return features_speed(config.features, config.data.image_shape, runtime, _SECONDS)


def _start_seconds() -> float:
    """Of the interpreter and the imports of a stage."""
    call = [sys.executable, "-c", "import stages.evaluate, pipeline.evaluation.images"]
    return duration(lambda: subprocess.run(call, check=True))
