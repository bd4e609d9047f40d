"""Trains the teacher, a diffusion model or a flow, or adopts a pretrained one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.config.model_names import TEACHER
from pipeline.config.solver import SolverConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.data.labelled import labelled_to_train
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.diffusion.noise_schedule import noise_schedule_of
from pipeline.methods.denoising import Denoising
from pipeline.methods.flow_matching import build_flow_matching
from pipeline.methods.label_dropout import LabelDropout
from pipeline.methods.objective import Objective
from pipeline.models.class_counts import set_class_counts
from pipeline.models.networks import build_network, set_noise, set_null_class
from pipeline.models.pretrained import adopt_pretrained, is_local, save_teacher, training_scheduler
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.student import save_student
from pipeline.training.samples import TrainingSet
from stages import paths
from stages.entry import run
from stages.recorded import recorded_commit
from stages.training import Inputs, Run, heldout_data, opened_for, run_training, write_training


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/teacher and its training curve."""
    del arguments
    runtime = open_runtime(config.compute, config.launch)
    teacher, data = config.teacher, paths.trained_on(config.trained_on)
    if teacher.pretrained is None:
        run_training(_teacher_run(teacher, data, runtime), config, runtime)
    elif runtime.is_main:
        name = teacher.pretrained
        commit = None if is_local(name) else recorded_commit(paths.TEACHER_INPUT, {"pretrained": name})
        guide_commit = None
        if teacher.guide is not None and not is_local(teacher.guide):
            guide_commit = recorded_commit(paths.TEACHER_INPUT, {"pretrained": teacher.guide}, part="guide")
        labels = open_samples(data, "train").labels
        adopt_pretrained(
            name,
            config.sample_shape,
            paths.model(TEACHER),
            commit,
            config.promised_teacher,
            labels=labels,
            guide_commit=guide_commit,
        )
        write_training(TEACHER, None)


def inputs(teacher: TeacherConfig, samples: SampleSet) -> Inputs:
    """What a teacher of ``samples`` depends on."""
    return [samples.fingerprint, teacher.model_dump(mode="json", exclude={"train"})]


def _teacher_run(teacher: TeacherConfig, data: Path, runtime: Runtime) -> Run:
    samples = open_samples(data, "train")
    items, num_classes = _to_train(teacher, samples)
    null_class = num_classes if teacher.label_dropout else None
    embedded = num_classes if null_class is None else null_class + 1
    network = build_network(teacher.network, samples.shape, teacher.train.seed, embedded)
    set_null_class(network, null_class)
    set_class_counts(network, samples.labels)
    common = partial(
        Run,
        stage="teacher",
        name=TEACHER,
        network=network,
        items=items,
        heldout=heldout_data(teacher.train.heldout_items, "teacher.train", data, num_classes),
        settings=teacher.train,
        autoencoder=opened_for(samples, data, runtime),
        inputs=inputs(teacher, samples),
    )
    if teacher.flow is not None:
        set_noise(network, teacher.flow.noise)
        return common(
            objective=_with_classes(build_flow_matching(teacher.flow, runtime.device), teacher, null_class),
            solver=SolverConfig(name="euler", num_steps=16),
            noise_schedule=None,
            save=partial(save_student, like=data),
        )
    scheduler = training_scheduler(teacher.prediction_type)
    return common(
        objective=_with_classes(Denoising(scheduler), teacher, null_class),
        solver=SolverConfig(name="unipc", num_steps=16),
        noise_schedule=noise_schedule_of(scheduler),
        save=partial(save_teacher, scheduler=scheduler, like=data),
    )


def _to_train(teacher: TeacherConfig, images: SampleSet) -> tuple[TrainingSet, int | None]:
    """What it is trained on, and the classes of the data where it is conditioned on them."""
    if not teacher.trains_classes:
        return images, None
    return labelled_to_train(images, "teacher.label_dropout")


def _with_classes(objective: Objective, teacher: TeacherConfig, null_class: int | None) -> Objective:
    """``objective`` with the configured label dropout."""
    if null_class is None:
        return objective
    assert teacher.label_dropout is not None  # it has a null class
    return LabelDropout(objective, teacher.label_dropout, null_class)


if __name__ == "__main__":
    run(main)
