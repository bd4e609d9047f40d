"""Matches a flow to the data, beside the teacher: ``flow NAME``, a name under ``flows``."""

from __future__ import annotations

import shutil

from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.data.sample_set import open_samples
from pipeline.models.networks import build_network, set_noise
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from pipeline.training.loop import train
from pipeline.training.objectives import build_flow_matching
from stages import paths
from stages.entry import run, single_argument
from stages.training_outputs import heldout_data, run_folder, write_training
from stages.watching import watching


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/<name> and its training curve."""
    name = single_argument(arguments, "a flow")
    settings, architecture = config.flows[name], config.teacher.network
    runtime = open_runtime(config.compute, config.launch)
    data = open_samples(paths.IMAGES, "train")
    network = build_network(architecture, data.shape, settings.seed)
    set_noise(network, settings.noise)
    inputs = [data.fingerprint, architecture.model_dump(mode="json"), settings.of_result()]
    run = run_folder(name, [*inputs, runtime.precision])
    solver = SolverConfig(name="euler", num_steps=16)
    with watching(config, name, network, None, solver, runtime) as watcher:
        result = train(
            network,
            data,
            build_flow_matching(settings, runtime.device),
            settings,
            runtime,
            run,
            name,
            heldout=heldout_data(settings.heldout_items, f"flows.{name}"),
            watcher=watcher,
        )
    if runtime.is_main:
        save_student(network, paths.model(name))
        write_training(name, result)
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    run(main)
