"""Trains a student on the couplings of a round: ``train round1``, or ``train distilled`` for one step."""

from __future__ import annotations

import shutil

from pipeline.config.graph import DISTILLED, Config
from pipeline.config.solver import SolverConfig
from pipeline.config.training import DistillConfig, FlowTrainingConfig
from pipeline.couplings.store import CouplingStore
from pipeline.models.networks import load_network, num_classes, set_noise, starting_network
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder
from pipeline.training.dropout import set_dropout
from pipeline.training.heldout import heldout_split
from pipeline.training.loop import train
from pipeline.training.objectives import build_distillation, build_velocity_regression
from pipeline.training.samples import Subset
from stages import paths
from stages.entry import run, single_argument
from stages.training_outputs import run_folder, write_training
from stages.watching import watching


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/<name> and its training curve."""
    name = single_argument(arguments, f"a round or {DISTILLED!r}")
    settings: DistillConfig | FlowTrainingConfig
    runtime = open_runtime(config.compute, config.launch)
    if name == DISTILLED:
        settings, round_name = config.distill, config.distill.couplings
        objective = build_distillation(settings.loss, runtime.device)
    else:
        settings, round_name = config.rounds[name].train, name
        objective = build_velocity_regression(settings, runtime.device)
    store = CouplingStore(paths.couplings(round_name))
    start = paths.model(settings.init)
    unet = starting_network(load_network(start))
    classes = num_classes(unet)
    if classes != store.manifest.num_classes:
        raise StraightflowError(
            expected=f"couplings of {store.manifest.num_classes or 'no'} classes trained from a model of as many",
            found=f"{classes or 'none'} in {start}",
            mend=f"let {name} start from the model that its couplings come from",
        )
    set_dropout(unet, settings.dropout)
    set_noise(unet, store.manifest.noise)
    run = run_folder(
        name,
        [
            fingerprint_folder(start),
            fingerprint_file(paths.couplings(round_name) / "manifest.json"),
            settings.of_result(),
            runtime.precision,
        ],
    )
    trained_on, heldout = heldout_split(len(store), settings.heldout_items, store.manifest.seed)
    solver = SolverConfig(name="euler", num_steps=1 if name == DISTILLED else 4)
    with watching(config, name, unet, None, solver, runtime) as watcher:
        result = train(
            unet,
            Subset(store, trained_on),
            objective,
            settings,
            runtime,
            run,
            name,
            heldout=Subset(store, heldout) if settings.heldout_items else None,
            watcher=watcher,
        )
    if runtime.is_main:
        save_student(unet, paths.model(name))
        write_training(name, result)
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    run(main)
