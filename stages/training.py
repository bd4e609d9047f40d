"""What the training stages share: the folder of a run, its watching, the training itself, and its outputs."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from diffusers import ModelMixin

from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.config.training import TrainingConfig
from pipeline.data.labelled import labelled_heldout
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.diffusion.noise_schedule import NoiseSchedule
from pipeline.methods.objective import Objective
from pipeline.models.autoencoder import Autoencoder, open_autoencoder
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler
from pipeline.models.saved_pipeline import is_saved_pipeline
from pipeline.system.atomic import atomic_file, write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_folder, fingerprint_json
from pipeline.system.replacing import Ours, require_replaceable
from pipeline.training.heldout import heldout_split
from pipeline.training.inventory import run_name
from pipeline.training.loop import TrainingResult, train
from pipeline.training.meter import TIME_BUCKETS
from pipeline.training.samples import Subset, TrainingSet
from pipeline.training.watching import Preview, Watcher
from stages import paths
from stages.code import code_of
from stages.watching import watching, watching_images

HELDOUT_DATA_SEED = 0
Inputs = list[Any]
"""Plain values that a training depends on beside the settings of its loop, the precision and the code."""


@dataclass(frozen=True)
class Run:
    """One training, ready to start.

    Attributes:
        stage: Stage that trains, whose code the result depends on.
        name: Of the model.
        network: With its starting weights.
        items: What it is trained on.
        heldout: Held-out samples to measure its loss on; None for none.
        objective: What it minimises.
        settings: Of the loop.
        inputs: Everything else that the result depends on.
        solver: For the images drawn during training.
        noise_schedule: Of a diffusion model; None for a flow.
        save: Saves the trained network in a folder.
        companions: Models that ``objective`` calls besides the network.
        autoencoder: What decodes the images drawn during training; None where the network makes them itself.
        is_own: Whether a folder is one that ``save`` writes, which it may replace.
        preview: Makes the images to look at; None for samples along the network's ODE.
    """

    stage: str
    name: str
    network: ModelMixin
    items: TrainingSet
    heldout: TrainingSet | None
    objective: Objective
    settings: TrainingConfig
    inputs: Inputs
    solver: SolverConfig
    noise_schedule: NoiseSchedule | None
    save: Callable[[ModelMixin, Path], None]
    companions: Sequence[Sampler] = ()
    autoencoder: Autoencoder | None = None
    is_own: Ours = is_saved_pipeline
    preview: Preview | None = None


def run_training(run: Run, config: Config, runtime: Runtime) -> None:
    """Trains, and writes models/<name> and its training curve; an interrupted run goes on from its checkpoint."""
    require_replaceable(paths.model(run.name), run.is_own)
    folder = _folder(run, runtime)
    with _watching(run, config, runtime) as watcher:
        result = train(
            run.network, run.items, run.objective, run.settings, runtime, folder, run.name,
            heldout=run.heldout, companions=run.companions, watcher=watcher,
        )  # fmt: skip
    if runtime.is_main:
        run.save(run.network, paths.model(run.name))
        write_training(run.name, result)
        shutil.rmtree(folder, ignore_errors=True)


def _watching(run: Run, config: Config, runtime: Runtime) -> AbstractContextManager[Watcher]:
    if run.preview is not None:
        return watching_images(config, run.name, run.preview, runtime)
    return watching(config, run.name, run.network, run.noise_schedule, run.solver, runtime, run.autoencoder)


def _folder(run: Run, runtime: Runtime) -> Path:
    """Folder of the run's checkpoints."""
    return paths.RUNS / checkpoints_name(run.stage, run.name, run.settings, runtime.precision, run.inputs)


def checkpoints_name(stage: str, model: str, settings: TrainingConfig, precision: str, inputs: Inputs) -> str:
    """Name of the folder in ``runs/`` with the checkpoints of a training: all that its result depends on is in it.

    Args:
        stage: Stage that trains, whose code the result depends on.
        model: Name of the model.
        settings: Of the loop.
        precision: In which the network is called.
        inputs: From the function of that name of the stage.
    """
    return run_name(model, fingerprint_json([*inputs, settings.result_settings(), precision, code_of(stage)]))


def saved_fingerprint(folder: Path) -> str:
    """Of what a stage saved in a folder; an empty listing has a fingerprint as well.

    Raises:
        StraightflowError: If there is no such folder.
    """
    if not folder.is_dir():
        raise StraightflowError(expected=f"a model in {folder}", found="none yet", mend="run `dvc repro`")
    return fingerprint_folder(folder)


def heldout_data(wanted: int, key: str, folder: Path = paths.IMAGES, num_classes: int | None = None) -> Subset | None:
    """``wanted`` random held-out samples of ``folder``, None for 0; ``key`` names the training's settings in errors.

    With their labels where a model of ``num_classes`` classes is trained.
    """
    if not wanted:
        return None
    data = open_samples(folder, "heldout")
    if len(data) < wanted:
        raise StraightflowError(
            expected=f"{wanted} held-out samples, as {key}.heldout_items says",
            found=str(len(data)),
            mend="lower it, or raise data.heldout_share",
        )
    items = data if num_classes is None else labelled_heldout(data, num_classes, f"{key}.heldout_items")
    return Subset(items, heldout_split(len(data), wanted, HELDOUT_DATA_SEED)[1])


def opened_for(data: SampleSet, folder: Path, runtime: Runtime) -> Autoencoder | None:
    """The autoencoder that decodes the prepared ``data`` of ``folder``; None where they are no latents."""
    return open_autoencoder(folder, runtime, data.shape) if data.are_latents else None


def write_training(name: str, result: TrainingResult | None) -> None:
    """Writes the curve and the cost of a training; both are empty for None, a pretrained model.

    The curve is CSV with a column per field of :class:`pipeline.training.meter.LossRecord`, and one per tenth of t.
    """
    history = [] if result is None else result.history
    by_time = [f"loss_t{bucket / TIME_BUCKETS:.1f}" for bucket in range(TIME_BUCKETS)]
    with atomic_file(paths.losses(name)) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("step", "loss", "learning_rate", "gradient_norm", "heldout_loss", *by_time))
        for row in history:
            writer.writerow(
                (row.step, row.loss, row.learning_rate, row.gradient_norm, row.heldout_loss, *row.loss_by_time)
            )
    cost = {
        "images_per_second": result.num_images / result.seconds if result and result.num_images else None,
        "seconds": result.seconds if result else None,
        "ema_halflife_images": result.halflife_images if result else None,
        "heldout_loss_by_halflife": result.heldout_loss_by_halflife if result else {},
        "compute": asdict(result.compute) if result else None,
    }
    write_json(paths.training_cost(name), cost)
