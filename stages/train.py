"""Trains a student on the couplings of a round: ``train round1``, or ``train distilled`` for one step."""

from __future__ import annotations

from pathlib import Path

from diffusers import ModelMixin

from pipeline.config.couplings import start_problem
from pipeline.config.graph import DISTILLED, Config
from pipeline.config.methods import OneStepConfig
from pipeline.config.solver import SolverConfig
from pipeline.config.training import DistillConfig, FlowTrainingConfig
from pipeline.couplings.acceptance import require_acceptance
from pipeline.couplings.manifest import MANIFEST
from pipeline.couplings.store import CouplingStore
from pipeline.methods.build import build_method
from pipeline.methods.objective import Objective
from pipeline.methods.reflow import build_reflow
from pipeline.models.accepted_teacher import open_model
from pipeline.models.networks import set_noise, starting_network
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder
from pipeline.training.dropout import set_dropout
from pipeline.training.heldout import heldout_split
from pipeline.training.samples import Subset
from stages import paths
from stages.entry import run, single_argument
from stages.training import Run, run_training


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/<name> and its training curve."""
    name = single_argument(arguments, f"a round or {DISTILLED!r}", (*config.rounds, DISTILLED))
    runtime = open_runtime(config.compute, config.launch)
    settings: DistillConfig | FlowTrainingConfig
    objective: Objective
    if name == DISTILLED:
        settings, round_name = config.distill, config.distill.couplings
        objective, num_steps = build_method(OneStepConfig(), settings.loss, runtime.device), 1
    else:
        settings, round_name = config.rounds[name].train, name
        objective, num_steps = build_reflow(settings, settings.loss, runtime.device), 4
    store = CouplingStore(paths.couplings(round_name))
    require_acceptance(store.folder, paths.gate(round_name))
    start = paths.model(settings.init)
    trained_on, heldout = heldout_split(len(store), settings.heldout_items, store.manifest.seed)
    student = Run(
        stage="train",
        name=name,
        network=_starting_student(name, start, store, settings.dropout),
        items=Subset(store, trained_on),
        heldout=Subset(store, heldout) if settings.heldout_items else None,
        objective=objective,
        settings=settings,
        inputs=[fingerprint_folder(start), fingerprint_file(store.folder / MANIFEST)],
        solver=SolverConfig(name="euler", num_steps=num_steps),
        noise_schedule=None,
        save=save_student,
    )
    run_training(student, config, runtime)


def _starting_student(name: str, start: Path, store: CouplingStore, dropout: float) -> ModelMixin:
    """The network of ``start`` as a student of ``store``: with its classes, its noise and the configured dropout."""
    accepted, opened = open_model(start)
    network, classes = starting_network(opened), accepted.num_classes
    problem = start_problem(classes, store.manifest.num_classes)
    if problem is not None:
        raise StraightflowError(
            expected=f"a model for {name} to start from that has the classes of its couplings",
            found=f"{start}: {problem}",
            mend=f"change init of {name}",
        )
    set_dropout(network, dropout)
    set_noise(network, store.manifest.noise)
    return network


if __name__ == "__main__":
    run(main)
