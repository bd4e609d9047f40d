"""Few-step FID of the checkpoints of a student in training.

Every weight average of every checkpoint in ``runs/`` is measured, while the training runs or after it was stopped, so
that step and half-life can be chosen by FID without training again. The noises differ from evaluation's, so that the
choice does not bias the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffusers import ModelMixin

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.solver import SolverConfig
from pipeline.data.space import space_of
from pipeline.evaluation.few_step_fid import FewStepFid, open_few_step_fid
from pipeline.flow.noise import stream_key
from pipeline.models.accepted_autoencoder import autoencoder_folder
from pipeline.models.autoencoder import open_autoencoder
from pipeline.models.class_counts import class_counts
from pipeline.models.networks import load_network, noise_of, null_class_of, num_classes, sample_shape, starting_network
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import Sampler
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError, nearest
from pipeline.system.replacing import require_replaceable
from pipeline.training.checkpoint import load_average, saved_averages
from pipeline.training.inventory import unfinished_trainings
from stages import paths
from stages.commands.places import require_writable

BATCH_SIZE = 250


def choose_checkpoint(config: Config, model: str, steps: Sequence[int], num_samples: int, out: Path | None) -> None:
    """Prints a row for each average and which one is best.

    Args:
        config: Of the run.
        model: A name under ``students``.
        steps: Euler steps; the first one decides which is best.
        num_samples: Images per FID.
        out: Where to save the best as a student; None saves none.

    Raises:
        StraightflowError: If there is no such student or no checkpoint of it, if the images cannot be measured, or if
            saving would delete what is at ``out``.
    """
    _require_student(config, model)
    target = None if out is None else _target(out)
    network, sampler, fid_of = _opened(config, model, num_samples)
    print(f"FID: {fid_of.describe()}")
    best: tuple[float, str] | None = None
    for file in _averages(model):
        name = f"{file.parent.name} {file.stem}"
        try:
            load_average(file, network)
        except FileNotFoundError:
            print(f"{name}: dropped by the training meanwhile", flush=True)
            continue
        row = [fid_of(sampler, SolverConfig(name="euler", num_steps=num_steps)) for num_steps in steps]
        cells = ", ".join(f"{fid:.3f} at {num_steps}" for fid, num_steps in zip(row, steps, strict=True))
        print(f"{name}: {cells}", flush=True)
        if best is None or row[0] < best[0]:
            best = row[0], name
            if target is not None:  # at once, as a running training deletes old checkpoints
                save_student(network, target, paths.model(config.students[model].init))
    if best is None:
        raise _none_found(model)
    print(f"best at {steps[0]} step(s): {best[1]}, {best[0]:.3f}")


def _require_student(config: Config, model: str) -> None:
    if model not in config.students:
        raise StraightflowError(
            expected="a student", found=f"{model!r}{nearest(model, config.students)}", mend="name one of them"
        )
    if not space_of(config.data).is_visual:
        raise StraightflowError(
            expected="students of images, whose FID can be measured",
            found=f"points, data.source: {config.data.source}",
            mend="compare students of points by metrics/few_step.csv",
        )


def _target(out: Path) -> Path:
    """``out`` with links resolved, once it is known to hold at most a student: saving deletes what is there."""
    target = out.resolve()
    require_replaceable(out, is_saved_student)
    require_writable(target / "model_index.json")
    return target


def _opened(config: Config, model: str, num_samples: int) -> tuple[ModelMixin, Sampler, FewStepFid]:
    """The network that averages are loaded into, the sampler around it, and what measures its images."""
    runtime = open_runtime(config.compute, ONE_PROCESS)
    student = config.students[model]
    two_times = student.method.two_times
    init = paths.model(student.init)
    network = starting_network(load_network(init), two_times=two_times)
    has_autoencoder = autoencoder_folder(init) is not None
    sampler = Sampler(
        sample_shape(network), model, None, runtime.place(network), runtime, noise_of(network), num_classes(network),
        null_class=null_class_of(network), two_times=two_times, class_counts=class_counts(network),
        autoencoder=open_autoencoder(init, runtime, sample_shape(network)) if has_autoencoder else None,
    )  # fmt: skip
    fid_of = open_few_step_fid(
        config,
        runtime,
        paths.measuring(),
        sampler.image_shape,
        key=stream_key("training", 0),
        num_samples=num_samples,
        batch_size=BATCH_SIZE,
        setting="--num-samples",
    )
    return network, sampler, fid_of


def _averages(model: str) -> list[Path]:
    """Files of weight averages of the newest run that trains ``model``, oldest checkpoint first."""
    runs = [found.folder for found in unfinished_trainings(paths.RUNS) if found.model == model]
    found = saved_averages(max(runs, key=lambda folder: folder.stat().st_mtime)) if runs else []
    if not found:
        raise _none_found(model)
    return found


def _none_found(model: str) -> StraightflowError:
    return StraightflowError(
        expected=f"checkpoints of {model} in {paths.RUNS}",
        found="none",
        mend="call this while it trains or after it was stopped; a finished run is in models/ and its checkpoints "
        "are gone",
    )
