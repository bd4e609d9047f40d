"""What in ``runs/`` the present configuration, code and inputs go on with or reuse.

Where an input is missing, as the model that a student starts from while it is trained anew, no name can be told:
everything that may belong to it counts as needed.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.graph import Config
from pipeline.config.lineage import training_stage
from pipeline.config.model_names import AUTOENCODER, TEACHER
from pipeline.config.trainings import RunTraining, trainings
from pipeline.couplings.coupling_run import open_run
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.data.space import space_of
from pipeline.evaluation.cache_names import Machine, file_reference_name
from pipeline.evaluation.inventory import cell_names, reference_names
from pipeline.metrics.features import FeatureExtractor, open_extractor, open_extractors
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError, one_line
from stages import autoencoder, flow, paths, student, teacher
from stages.code import code_of, code_of_references
from stages.training import Inputs, checkpoints_name, saved_fingerprint

Precision = Literal["fp32", "bf16"]
DEVICES = ("cpu", "cuda")
"""The machine that runs the stages need not be the one that asks."""


@dataclass
class Needed:
    """What is needed of one kind of kept work.

    Attributes:
        names: Names of folders.
        untold: Why names of some could not be told: by model, by the source of couplings, or by ``""`` for all.
    """

    names: set[str] = field(default_factory=set)
    untold: dict[str, str] = field(default_factory=dict)

    def add(self, group: str, names: Callable[[], Iterable[str]]) -> None:
        """Adds what ``names`` returns, or why it could not."""
        try:
            self.names |= set(names())
        except StraightflowError as error:
            self.untold[group] = f"{error.expected}: {error.found}"
        except OSError as error:
            self.untold[group] = one_line(error)


def needed_trainings(config: Config) -> Needed:
    """Folders of checkpoints that a training of the run would continue from."""
    needed = Needed()
    for training in trainings(config):
        needed.add(training.model, partial(_training_names, config, training))
    return needed


def needed_stores(config: Config) -> Needed:
    """Unfinished stores that a run would go on with."""
    needed = Needed()
    for couplings in config.couplings.values():
        needed.add(couplings.source, partial(_store_names, config, couplings))
    return needed


def needed_references(config: Config) -> Needed:
    """Statistics of real images that a run would read; none for points."""
    needed = Needed()
    if space_of(config.data).is_visual:
        needed.add("", lambda: [name for _, names in _references(config) for name in names.values()])
    return needed


def needed_cells(config: Config) -> Needed:
    """Measured cells that a run would read; none for points."""
    needed = Needed()
    if space_of(config.data).is_visual:
        needed.add("", lambda: _cell_names(config))
    return needed


def _training_names(config: Config, training: RunTraining) -> Iterator[str]:
    stage = training_stage(config, training.model).partition("@")[0]
    inputs = _training_inputs(config, training.model)
    for precision in _precisions(config):
        yield checkpoints_name(stage, training.model, training.settings, precision, inputs)


def _training_inputs(config: Config, model: str) -> Inputs:
    """Of a model that the run trains, as its stage names its folder."""
    if model in config.students:
        return student.inputs(config.students[model])
    if model == AUTOENCODER:
        assert config.autoencoder is not None  # it is trained
        return autoencoder.inputs(config.autoencoder, open_samples(paths.IMAGES, "train"))
    samples = _samples_to_train_on(config)
    return teacher.inputs(config.teacher, samples) if model == TEACHER else flow.inputs(config.teacher.network, samples)


def _samples_to_train_on(config: Config) -> SampleSet:
    return open_samples(paths.trained_on(config.trained_on), "train")


def _store_names(config: Config, couplings: CouplingsConfig) -> Iterator[str]:
    """Names of the folders that the stage itself would open, tried in another place."""
    images = _samples_to_train_on(config) if couplings.image_to_noise is not None else None
    saved_fingerprint(paths.model(couplings.source))
    runtime = Runtime(Accelerator(cpu=True), "fp32", compile=False, channels_last=False)
    sampler = load_sampler(paths.model(couplings.source), runtime)
    for precision in _precisions(config):
        with tempfile.TemporaryDirectory() as folder:
            opened = replace(sampler, runtime=replace(runtime, precision=precision))
            run = open_run(opened, couplings, Path(folder), images, code=code_of("couplings"))
            yield run.unfinished.folder.name


def _references(config: Config) -> list[tuple[FeatureExtractor, dict[str, str]]]:
    train, heldout = open_samples(paths.IMAGES, "train"), open_samples(paths.IMAGES, "heldout")
    extractors = open_extractors(config.features, paths.CLASSIFIER, train.shape, torch.device("cpu"))
    code = code_of_references()
    return [(extractor, reference_names(config, train, heldout, extractor, code)) for extractor in extractors]


def _chosen_references(config: Config) -> list[tuple[FeatureExtractor, str]]:
    """Each kind of features with the name of the reference that models are compared with."""
    file, split = config.features.reference_file, config.features.reference_split
    if file is not None:
        extractor = open_extractor(config.features, paths.CLASSIFIER, config.data.image_shape, torch.device("cpu"))
        return [(extractor, file_reference_name(file))]
    assert split is not None  # no file
    return [(extractor, names[split]) for extractor, names in _references(config)]


def _cell_names(config: Config) -> Iterator[str]:
    references = _chosen_references(config)
    for model in config.evaluate.models:
        fingerprint = saved_fingerprint(paths.model(model))
        for device, precision in itertools.product(DEVICES, _precisions(config)):
            machine = Machine(device, precision)
            yield from cell_names(config, model, fingerprint, references, code_of("evaluate"), machine)


def _precisions(config: Config) -> tuple[Precision, ...]:
    """Precisions that a run of the configuration may have, on whichever machine."""
    return ("fp32", "bf16") if config.compute.precision == "auto" else (config.compute.precision,)
