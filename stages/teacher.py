"""Trains the diffusion teacher, or adopts a pretrained one."""

from __future__ import annotations

import shutil

from pipeline.config.graph import TEACHER, Config
from pipeline.config.solver import SolverConfig
from pipeline.data.sample_set import open_samples
from pipeline.diffusion.noise_schedule import read_noise_schedule
from pipeline.models.networks import build_network, set_noise
from pipeline.models.pretrained import adopt_pretrained, save_teacher, training_scheduler
from pipeline.models.runtime import open_runtime
from pipeline.models.student import save_student
from pipeline.training.loop import train
from pipeline.training.objectives import NoisePrediction, build_flow_matching
from stages import paths
from stages.entry import run
from stages.training_outputs import heldout_data, run_folder, write_training
from stages.watching import watching


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/teacher and its training curve."""
    del arguments
    runtime = open_runtime(config.compute, config.launch)
    images = open_samples(paths.IMAGES, "train")
    teacher = config.teacher
    if teacher.pretrained is not None:
        if runtime.is_main:
            adopt_pretrained(teacher.pretrained, images.shape, paths.model(TEACHER))
            write_training(TEACHER, None)
        return
    scheduler = training_scheduler()
    objective = (
        NoisePrediction(scheduler) if teacher.flow is None else build_flow_matching(teacher.flow, runtime.device)
    )
    network = build_network(teacher.network, images.shape, teacher.train.seed)
    settings = teacher.model_dump(mode="json") | {"train": teacher.train.of_result()}
    run = run_folder(TEACHER, [images.fingerprint, settings, runtime.precision])
    if teacher.flow is None:
        noise_schedule, solver = read_noise_schedule(dict(scheduler.config)), SolverConfig(name="unipc", num_steps=16)
    else:
        set_noise(network, teacher.flow.noise)
        noise_schedule, solver = None, SolverConfig(name="euler", num_steps=16)
    with watching(config, TEACHER, network, noise_schedule, solver, runtime) as watcher:
        result = train(
            network,
            images,
            objective,
            teacher.train,
            runtime,
            run,
            TEACHER,
            heldout=heldout_data(teacher.train.heldout_items, "teacher.train"),
            watcher=watcher,
        )
    if runtime.is_main:
        if teacher.flow is None:
            save_teacher(network, scheduler, paths.model(TEACHER))
        else:
            save_student(network, paths.model(TEACHER))
        write_training(TEACHER, result)
        shutil.rmtree(run, ignore_errors=True)


if __name__ == "__main__":
    run(main)
