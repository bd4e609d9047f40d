"""FID of students trained in different ways at equal budget: ``python -m benchmarks.choices RUN``.

``RUN`` is the folder of a finished run of an image preset, with its params.yaml, teacher, couplings, images and
classifier. For each choice and seed, a student is trained by reflow on the couplings of one of the run's students for
the same number of steps, with that student's settings except for those of the choice; then its one- and four-step FID
are measured. The base run keeps several weight averages, all of which are measured after one training. Noises are those
of the stream ``selection``, as presets follow what is measured here: no evaluation draws from it.

    python -m benchmarks.choices . --write docs/choices.md
    OMP_NUM_THREADS=1 python -m benchmarks.choices . --only base --only l2 &       # faster in all than one process
    OMP_NUM_THREADS=1 python -m benchmarks.choices . --only cold --only uniform_t

Results are cached by their inputs in ``RUN/runs/choices`` (``--cache``), and an interrupted training resumes from its
checkpoint; the tables show all cached results. All choices are trained with one seed before the next seed begins, so
that an interrupted benchmark has about as many seeds of each choice. Delete the folder after changing the library's
code.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import ModelMixin

from benchmarks.choices_tables import NUM_STEPS, Average, Student, averages_table, choices_table, write_page
from benchmarks.selection import open_selection_fid
from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.config.model_names import TEACHER
from pipeline.config.solver import SolverConfig
from pipeline.config.students import StudentConfig
from pipeline.couplings.store import CouplingStore
from pipeline.evaluation.few_step_fid import FewStepFid
from pipeline.methods.build import build_method
from pipeline.models.class_counts import class_counts
from pipeline.models.networks import (
    build_network,
    load_network,
    null_class_of,
    num_classes,
    sample_shape,
    starting_network,
)
from pipeline.models.runtime import Runtime, open_runtime
from pipeline.models.sampler import Sampler
from pipeline.system.atomic import write_json
from pipeline.system.errors import EXIT_RESUME, InterruptedRunError, StraightflowError, nearest
from pipeline.system.fingerprint import fingerprint_file, fingerprint_folder, fingerprint_json
from pipeline.system.progress import Progress
from pipeline.training.dropout import set_dropout
from pipeline.training.heldout import heldout_split
from pipeline.training.loop import train
from pipeline.training.samples import Subset
from stages import paths

HELDOUT_ITEMS = 1000
SELECTION_SEED = 0
BASE = {
    "loss": {"name": "pseudo_huber", "c": 0.03},
    "method": {"name": "reflow", "timesteps": {"name": "u_shaped", "a": 4.0}},
}
EMA_SHARES = (0.0004, 0.005, 0.02, 0.05)
"""Half-lives besides the student's own, as shares of the images trained on; the first is about one step of digits."""


@dataclass(frozen=True)
class Choice:
    """One way to train.

    Attributes:
        description: As the table shows it.
        changes: Settings that differ from :data:`BASE`.
        warm_start: Whether training starts from the teacher's weights; if not, from random ones of the training seed.
        keeps_averages: Whether several weight averages are kept and measured.
    """

    description: str
    changes: Mapping[str, Any]
    warm_start: bool = True
    keeps_averages: bool = False


CHOICES = {
    "base": Choice("base: warm start, pseudo-Huber (c = 0.03), u-shaped t (a = 4)", {}, keeps_averages=True),
    "cold": Choice("cold start: random weights", {}, warm_start=False),
    "l2": Choice("L2 loss", {"loss": {"name": "l2", "c": None}}),
    "uniform_t": Choice("uniform t", {"method": {"name": "reflow", "timesteps": {"name": "uniform"}}}),
}


@dataclass(frozen=True)
class Setting:
    """What all choices share."""

    folder: Path
    config: Config
    student: StudentConfig
    store: CouplingStore
    runtime: Runtime
    fid_of: FewStepFid

    def fids(self, network: ModelMixin, label: str) -> list[float]:
        """FID at each of :data:`NUM_STEPS` Euler steps, from the noise of the selection seed."""
        sampler = Sampler(
            sample_shape(network),
            label,
            None,
            network,
            self.runtime,
            num_classes=num_classes(network),
            null_class=null_class_of(network),
            class_counts=class_counts(network.config),
        )
        with Progress(f"FID of {label}", len(NUM_STEPS) * self.fid_of.num_samples, "images") as progress:
            return [self.fid_of(sampler, SolverConfig(name="euler", num_steps=n), progress) for n in NUM_STEPS]


def open_setting(folder: Path, student: str, num_samples: int) -> Setting:
    """Opens what a finished run left in ``folder``, with the settings and couplings of one of its students."""
    config = load_config(folder / "params.yaml")
    if student not in config.students:
        raise StraightflowError(
            expected="a student of the run", found=f"{student!r}{nearest(student, config.students)}", mend="name one"
        )
    runtime = open_runtime(config.compute, ONE_PROCESS)
    store = CouplingStore(folder / paths.couplings(config.students[student].couplings))
    fid_of = open_selection_fid(
        config, runtime, folder, store.manifest.shape, num_samples=num_samples, seed=SELECTION_SEED
    )
    return Setting(folder, config, config.students[student], store, runtime, fid_of)


def training_settings(
    setting: Setting, choice: Choice, seed: int, num_steps: int, batch_size: int | None
) -> StudentConfig:
    """The student's own settings with those of the choice."""
    own = setting.student.model_dump()
    changes = {"num_steps": num_steps, "heldout_items": min(HELDOUT_ITEMS, len(setting.store) // 10), "seed": seed}
    changes["batch_size"] = batch_size or own["batch_size"]
    halflives = {max(1, round(share * num_steps * changes["batch_size"])) for share in EMA_SHARES}
    others = sorted(halflives - {own["ema_halflife_images"]}) if choice.keeps_averages else ()
    return StudentConfig.model_validate(
        own | BASE | changes | {"ema_other_halflives_images": tuple(others)} | choice.changes
    )


def result_file(setting: Setting, name: str, settings: StudentConfig, cache: Path) -> Path:
    """Cache file of a student's result, named by everything that it depends on except the library's code."""
    teacher, manifest = setting.folder / paths.model(TEACHER), setting.store.folder / "manifest.json"
    inputs = [
        [fingerprint_folder(teacher), fingerprint_file(manifest), len(setting.store), CHOICES[name].warm_start],
        [settings.model_dump(mode="json"), setting.runtime.precision],
        [setting.fid_of.reference.extractor.fingerprint, setting.fid_of.reference.fingerprint],
        [setting.fid_of.num_samples, setting.fid_of.key],
    ]
    return cache / f"{name}-{settings.seed}-{fingerprint_json(inputs)[:16]}.json"


def measure(setting: Setting, name: str, settings: StudentConfig, run: Path) -> Student:
    """Trains a student, with checkpoints in ``run``, and measures each of its weight averages, the model's first."""
    label = f"{name}, seed {settings.seed}"
    network = starting_network(load_network(setting.folder / paths.model(TEACHER)))
    if not CHOICES[name].warm_start:
        network = build_network(setting.config.teacher.network, setting.store.manifest.shape, settings.seed)
    set_dropout(network, settings.dropout)
    trained_on, heldout = heldout_split(len(setting.store), settings.heldout_items, setting.store.manifest.seed)
    result = train(
        network,
        Subset(setting.store, trained_on),
        build_method(settings.method, settings.loss, setting.runtime.device),
        settings,
        setting.runtime,
        run,
        label,
        heldout=Subset(setting.store, heldout),
    )
    averages: list[Average] = []
    for average in result.averages:
        length = average.halflife_images
        with average.in_place():
            fids = setting.fids(network, f"{label}, half-life {length:,} images")
        averages.append({"halflife": length, "heldout_loss": result.heldout_loss_by_halflife[length], "fids": fids})
    shutil.rmtree(run, ignore_errors=True)
    return {"choice": name, "seed": settings.seed, "averages": averages}


def compare(setting: Setting, options: argparse.Namespace, cache: Path) -> None:
    """Trains and measures the requested students that are not cached; prints and writes the tables of all results."""
    students = [
        (name, training_settings(setting, choice, seed, options.num_steps, options.batch_size))
        for seed in range(options.seeds)
        for name, choice in CHOICES.items()
    ]
    found: list[Student] = []
    for name, settings in students:
        file = result_file(setting, name, settings, cache)
        if name in (options.only or CHOICES) and not file.is_file():
            write_json(file, measure(setting, name, settings, cache / "checkpoints" / file.stem))
        if file.is_file():
            found.append(json.loads(file.read_text("utf-8")))
            if options.write is not None:
                write_page(options.write, page(found, setting, settings))
    print("\n".join(page(found, setting, students[0][1])))


def page(found: Sequence[Student], setting: Setting, settings: StudentConfig) -> list[str]:
    """Lines of the page: how it was measured and both tables; ``settings`` are those of any student."""
    fid_of = setting.fid_of
    limit = settings.ema_rampup_ratio * settings.num_steps * settings.batch_size
    lines = [
        f"Every student: {settings.num_steps:,} steps at batch size {settings.batch_size} on the couplings of "
        f"{setting.student.couplings} ({len(setting.store):,} pairs, {settings.heldout_items:,} of them held out), "
        f"{settings.optimizer}, {setting.runtime.precision}. FID: {fid_of.reference.extractor.name} features, "
        f"{fid_of.num_samples:,} Euler samples "
        f"from the noise of selection seed {SELECTION_SEED}, {fid_of.reference.split} split as reference. Mean over "
        "training seeds, with the smallest and largest in brackets.",
        "",
        *choices_table(found, {name: choice.description for name, choice in CHOICES.items()}),
    ]
    base = [student for student in found if CHOICES[student["choice"]].keeps_averages]
    if base:
        lines += [
            "",
            f"Weight averages of the base students, all kept in the same training. A half-life is capped at "
            f"{settings.ema_rampup_ratio:g} of the images seen so far, {limit:,.0f} at the end.",
            "",
            *averages_table(base),
        ]
    return lines


def main() -> None:
    """Reads the command line; trains and measures what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--student", default="round1", help="whose couplings and settings (default: round1)")
    parser.add_argument("--only", choices=CHOICES, action="append", help="train only this one; may be repeated")
    parser.add_argument("--num-steps", type=int, default=2500, help="steps of every student (default: 2500)")
    parser.add_argument("--batch-size", type=int, help="default: the student's")
    parser.add_argument("--num-samples", type=int, default=5000, help="images per FID (default: 5000)")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds, from 0 on (default: 3)")
    parser.add_argument("--cache", type=Path, help="folder of results (default: RUN/runs/choices)")
    parser.add_argument("--write", type=Path, help="page to write, again after every student")
    options = parser.parse_args()
    try:
        setting = open_setting(options.run, options.student, options.num_samples)
        compare(setting, options, options.cache or options.run / paths.RUNS / "choices")
    except StraightflowError as error:
        raise SystemExit(f"error\n{error}") from None
    except InterruptedRunError as interrupted:
        print(f"{interrupted}; run the same command again to go on")
        raise SystemExit(EXIT_RESUME) from None


if __name__ == "__main__":
    main()
