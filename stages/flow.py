"""Trains a flow on the data, beside the teacher: ``flow NAME``, with a name under ``flows``."""

from __future__ import annotations

from functools import partial

from pipeline.config.graph import Config
from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.methods.flow_matching import build_flow_matching
from pipeline.models.networks import build_network, set_noise
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from stages import paths
from stages.entry import run, single_argument
from stages.training import Inputs, Run, heldout_data, opened_for, run_training


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/<name> and its training curve."""
    name = single_argument(arguments, "a flow", config.flows)
    settings, architecture = config.flows[name], config.teacher.network
    runtime = open_runtime(config.compute, config.launch)
    folder = paths.trained_on(config.trained_on)
    data = open_samples(folder, "train")
    network = build_network(architecture, data.shape, settings.seed)
    set_noise(network, settings.noise)
    flow = Run(
        stage="flow",
        name=name,
        network=network,
        items=data,
        heldout=heldout_data(settings.heldout_items, f"flows.{name}", folder),
        objective=build_flow_matching(settings, runtime.device),
        settings=settings,
        inputs=inputs(architecture, data),
        solver=SolverConfig(name="euler", num_steps=16),
        noise_schedule=None,
        save=partial(save_student, like=folder),
        autoencoder=opened_for(data, folder, runtime),
    )
    run_training(flow, config, runtime)


def inputs(architecture: UNetConfig | MLPConfig, data: SampleSet) -> Inputs:
    """What a flow of ``data`` depends on; its network is as the teacher's."""
    return [data.fingerprint, architecture.model_dump(mode="json")]


if __name__ == "__main__":
    run(main)
