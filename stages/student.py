"""Trains a student on its couplings: ``student NAME``, with a name under ``students``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from diffusers import ModelMixin

from pipeline.config.couplings import start_problem
from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.couplings.acceptance import require_acceptance
from pipeline.couplings.manifest import MANIFEST
from pipeline.couplings.store import CouplingStore
from pipeline.couplings.with_states import WithStates
from pipeline.methods.build import build_method
from pipeline.metrics.learnable_features import open_learnable_features
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.autoencoder import open_autoencoder
from pipeline.models.networks import set_noise, starting_network
from pipeline.models.ode import ode_of
from pipeline.models.opening import open_model
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.fingerprint import fingerprint_file
from pipeline.training.dropout import set_dropout
from pipeline.training.heldout import heldout_split
from pipeline.training.samples import Subset
from stages import paths
from stages.entry import run, single_argument
from stages.training import Inputs, Run, run_training, saved_fingerprint


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/<name> and its training curve."""
    name = single_argument(arguments, "a student", config.students)
    settings = config.students[name]
    runtime = open_runtime(config.compute, config.launch)
    store = CouplingStore(paths.couplings(settings.couplings))
    require_acceptance(store.folder, paths.gate(settings.couplings))
    start = paths.model(settings.init)
    trained_on, heldout = heldout_split(len(store), settings.heldout_items, store.manifest.seed)
    autoencoder = None if autoencoder_folder(start) is None else open_autoencoder(start, runtime, store.manifest.shape)
    init = model_to_follow(name, start, store, runtime) if settings.method.follows_init else None
    with_states = WithStates(store) if settings.method.needs_states else None
    learned = paths.learnable_features(settings.method.name) if settings.method.learns_features else None
    features = None if learned is None else open_learnable_features(learned, store.manifest.shape, runtime.device)
    items = store if with_states is None else with_states
    student = Run(
        stage="student",
        name=name,
        network=starting_student(name, start, store, settings.dropout, two_times=settings.method.two_times),
        items=Subset(items, trained_on),
        heldout=Subset(items, heldout) if settings.heldout_items else None,
        objective=build_method(
            settings.method,
            settings.loss,
            runtime.device,
            init=None if init is None else ode_of(init),
            state_times=() if with_states is None else with_states.times,
            features=features,
        ),
        settings=settings,
        inputs=inputs(settings),
        solver=SolverConfig(name="euler", num_steps=settings.method.exact_steps or 4),
        noise_schedule=None,
        save=partial(save_student, like=start),
        autoencoder=autoencoder,
        companions=() if init is None else (init,),
    )
    run_training(student, config, runtime)


def inputs(settings: StudentConfig) -> Inputs:
    """What a student depends on: the model that it starts from, its couplings, and the features that its method learns.

    Raises:
        StraightflowError: If there is no such model, or are no such features.
    """
    learned = paths.learnable_features(settings.method.name) if settings.method.learns_features else None
    return [
        saved_fingerprint(paths.model(settings.init)),
        fingerprint_file(paths.couplings(settings.couplings) / MANIFEST),
        *([] if learned is None else [saved_fingerprint(learned)]),
    ]


def starting_student(
    name: str, start: Path, store: CouplingStore, dropout: float, *, two_times: bool = False
) -> ModelMixin:
    """The network of ``start`` as a student of ``store``: with its classes, its noise and the configured dropout.

    With ``two_times`` it takes the time that a step ends at as well.
    """
    accepted, opened = open_model(start)
    network, classes = starting_network(opened, two_times=two_times), accepted.num_classes
    problem = start_problem(classes, store.manifest.num_classes)
    of_latents = autoencoder_folder(start) is not None
    if of_latents != store.manifest.space.is_decoded:
        problem = (
            f"a model of {'latents' if of_latents else 'images or points'}, and pairs of {store.manifest.space.noun}s"
        )
    if problem is not None:
        raise StraightflowError(
            expected=f"a model for {name} to start from that has the classes and the kind of samples of its couplings",
            found=f"{start}: {problem}",
            mend=f"change init of {name}",
        )
    set_dropout(network, dropout)
    set_noise(network, store.manifest.noise)
    return network


def model_to_follow(name: str, start: Path, store: CouplingStore, runtime: Runtime) -> Sampler:
    """The model of ``start`` as the ODE that a student of ``store`` follows, beside the one that is trained from it."""
    init = load_sampler(start, runtime)
    if init.noise != store.manifest.noise:
        raise StraightflowError(
            expected=f"couplings of the noise that the model followed by {name} starts from, {init.noise}",
            found=f"{store.folder} of {store.manifest.noise}",
            mend=f"change init or couplings of {name}, so that both start from the same noise",
        )
    return init


if __name__ == "__main__":
    run(main)
