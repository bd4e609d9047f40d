"""Trains the teacher, a diffusion model or a flow, or adopts a pretrained one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.config.graph import TEACHER, Config
from pipeline.config.solver import SolverConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.data.sample_set import open_samples
from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.methods.flow_matching import build_flow_matching
from pipeline.methods.noise_prediction import NoisePrediction
from pipeline.models.autoencoder import load_autoencoder
from pipeline.models.networks import build_network, set_noise
from pipeline.models.pretrained import adopt_pretrained, is_local, save_teacher, training_scheduler
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.student import save_student
from stages import paths
from stages.entry import run
from stages.recorded import recorded_commit
from stages.training import Run, heldout_data, opened_for, run_training, write_training


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/teacher and its training curve."""
    del arguments
    runtime = open_runtime(config.compute, config.launch)
    teacher = config.teacher
    if teacher.pretrained is None:
        run_training(_teacher_run(teacher, paths.trained_on(config.trained_on), runtime), config, runtime)
    elif runtime.is_main:
        name = teacher.pretrained
        commit = None if is_local(name) else recorded_commit(paths.TEACHER_INPUT, {"pretrained": name})
        adopt_pretrained(name, config.sample_shape, paths.model(TEACHER), commit, config.promised_teacher)
        write_training(TEACHER, None)


def _teacher_run(teacher: TeacherConfig, data: Path, runtime: Runtime) -> Run:
    samples = open_samples(data, "train")
    network = build_network(teacher.network, samples.shape, teacher.train.seed)
    autoencoder = load_autoencoder(data)
    common = partial(
        Run,
        stage="teacher",
        name=TEACHER,
        network=network,
        items=samples,
        heldout=heldout_data(teacher.train.heldout_items, "teacher.train", data),
        settings=teacher.train,
        autoencoder=opened_for(samples, data, runtime),
        inputs=[samples.fingerprint, teacher.model_dump(mode="json", exclude={"train"})],
    )
    if teacher.flow is not None:
        set_noise(network, teacher.flow.noise)
        return common(
            objective=build_flow_matching(teacher.flow, runtime.device),
            solver=SolverConfig(name="euler", num_steps=16),
            noise_schedule=None,
            save=partial(save_student, autoencoder=autoencoder),
        )
    scheduler = training_scheduler()
    return common(
        objective=NoisePrediction(scheduler),
        solver=SolverConfig(name="unipc", num_steps=16),
        noise_schedule=noise_schedule_of(scheduler),
        save=partial(save_teacher, scheduler=scheduler, autoencoder=autoencoder),
    )


if __name__ == "__main__":
    run(main)
