from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.command_line import printed, refusal, straightflow
from helpers.composition import composed
from helpers.feature_networks import save_untrained
from helpers.lock_holder import held_by_another
from helpers.project_folders import bare_project, commit, run
from helpers.small_unet import small_unet

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.couplings.acceptance import write_acceptance
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.student import save_student
from pipeline.system.errors import InterruptedRunError
from pipeline.system.progress import Progress
from pipeline.system.task_status import kept_status
from stages import couplings, data, evaluate, flow, paths, student, teacher, training
from stages.commands import clean
from stages.commands.dvc_cache import DvcCache
from stages.commands.needed import needed_cells, needed_references

SMALL = (
    "preset=smoke",
    "compute.precision=fp32",
    "gate.drift_allowed=[]",
    "couplings.round1={num_pairs: 200, solver: {num_steps: 2}}",
    "evaluate.models=[teacher,few_step]",
    "evaluate.num_steps=[1,2]",
    "evaluate.teacher_solvers=[ddim]",
    "evaluate.num_samples=100",
    "evaluate.headline={num_steps: [1], num_samples: 100}",
    "evaluate.neighbours={num_samples: 20, k: 3}",
    "evaluate.kernel_distance.num_samples=40",
    "evaluate.straightness={num_samples: 4, num_steps: 2}",
    "features.classifier.num_features=16",
    "features.judge.classifier.num_features=16",
)


def settings(*overrides: str) -> dict[str, Any]:
    content = composed(*SMALL, *overrides)
    del content["couplings"]["round2"], content["students"]["round2"]
    content["flows"] = {
        "flow": {key: value for key, value in content["students"]["round1"].items() if key in FLOW_KEYS}
        | {"loss": {"name": "l2"}, "timesteps": {"name": "uniform"}, "coupling": "independent"}
    }
    return content


FLOW_KEYS = (
    "num_steps", "batch_size", "learning_rate", "lr_decay", "warmup_steps", "weight_decay", "gradient_clip_norm",
    "ema_halflife_images", "ema_rampup_ratio", "log_every_steps", "checkpoint_every_steps", "seed",
)  # fmt: skip


def configured(*overrides: str, **changes: object) -> Config:
    content = settings(*overrides)
    for key, value in changes.items():
        section, name, setting = key.split("__")
        content[section][name][setting] = value
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return load_config(Path("params.yaml"))


def interrupted(*arguments: Any, **_: object) -> None:
    """Stands in for the training itself: one checkpoint in the folder that the stage chose."""
    run_folder = arguments[5]
    (run_folder / "step-000000001").mkdir(parents=True)
    (run_folder / "step-000000001/optimizers.pt").write_bytes(bytes(1_000_000))
    (run_folder / ".lock").touch()
    raise InterruptedRunError("asked to stop")


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages left trainings, couplings, cells and references, by their own code."""
    folder = tmp_path_factory.mktemp("worked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(training, "train", interrupted)
        config = configured()
        data.main(config, [])
        save_untrained(paths.CLASSIFIER)
        save_teacher(small_unet(), paths.model("teacher"), training_scheduler())
        for name in ("round1", "few_step"):
            save_student(small_unet(), paths.model(name))
        couplings.main(config, ["round1"])
        write_acceptance(paths.couplings("round1"), paths.gate("round1"))
        couplings.main(config, ["round1", "--worker", "0", "--workers", "1"])  # which publishes nothing
        for stage, arguments in (
            (teacher, []), (flow, ["flow"]), (student, ["round1"]), (student, ["few_step"])
        ):  # fmt: skip
            with pytest.raises(InterruptedRunError):
                stage.main(config, arguments)
        for model in ("teacher", "few_step"):
            evaluate.main(config, [model])
    return folder


@pytest.fixture
def project(worked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(worked, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(clean, "dvc_at_work", lambda _: [])
    return tmp_path / "project"


def folders() -> set[str]:
    """What is kept in runs/, but for pictures and the like."""
    found = (*paths.RUNS.glob("*-*"), *paths.CELLS.glob("*"), *paths.REFERENCES.glob("*"))
    return {path.relative_to(paths.RUNS).as_posix() for path in found}


def listed(text: str) -> set[str]:
    return {line.split(": ")[0].removeprefix("runs/") for line in text.splitlines() if line.startswith("runs/")}


@pytest.mark.usefixtures("project")
def test_what_the_stages_themselves_kept_is_needed_to_the_last_folder() -> None:
    before = folders()
    kinds = {name.split("/")[0].rsplit("-", 1)[0] for name in before}
    assert kinds == {
        "train-teacher",
        "train-flow",
        "train-round1",
        "train-few_step",
        "couplings",
        "cells",
        "references",
    }
    done = straightflow("clean")
    assert done.exit_code == 0
    assert ": stays, " not in done.stderr
    assert listed(done.stdout) == set()
    assert "no DVC in this folder" in done.stdout
    assert printed("clean", "--yes").endswith("deleted\n")
    assert folders() == before
    # Nothing that is measured is missing among the needed names, and no name is of nothing on this machine.
    config = load_config(Path("params.yaml"))
    assert {path.name for path in paths.REFERENCES.iterdir()} == needed_references(config).names
    cells = {path.name for path in paths.CELLS.iterdir()}
    # Whether a model has classes is not asked, so that those of any are kept.
    needed = {name for name in needed_cells(config).names if not name.startswith("classes-")}
    assert cells < needed
    assert len(needed) == 2 * len(cells)  # as many would be measured on a GPU


@pytest.mark.usefixtures("project")
def test_what_other_settings_left_is_listed_with_its_size_and_deleted_on_request_alone() -> None:
    before = folders()
    configured("evaluate.seed=5", students__few_step__learning_rate=0.5, couplings__round1__seed=77)
    gone = {name for name in before if name.startswith(("train-few_step", "couplings-", "cells/"))}
    shown = printed("clean")
    assert listed(shown) == gone
    [few_step] = [line for line in shown.splitlines() if "train-few_step" in line]
    assert few_step.endswith(": training of few_step, 1 checkpoints, 1.0 MB")
    assert folders() == before
    printed("clean", "--yes")
    assert folders() == before - gone
    assert listed(printed("clean")) == set()
    # Other numbers of features are kept one by one.
    configured("evaluate.seed=5", "evaluate.neighbours.num_samples=21")
    assert {name for name in listed(printed("clean")) if name.startswith("references/")} == {
        name for name in before if name.startswith("references/")
    }


@pytest.mark.usefixtures("project")
def test_what_cannot_be_told_stays() -> None:
    before = folders()
    configured("evaluate.seed=5", students__few_step__learning_rate=0.5)
    shutil.rmtree(paths.model("round1"))  # few_step starts from it, and may be trained anew
    shutil.rmtree(paths.CLASSIFIER)
    done = straightflow("clean", "--yes")
    assert done.exit_code == 0
    assert folders() == before
    assert "train-few_step" in done.stderr
    assert "cannot be told: a model in models/round1: none yet" in done.stderr


def test_what_no_stage_wrote_stays(project: Path) -> None:
    configured("evaluate.seed=5", students__few_step__learning_rate=0.5)
    [few_step] = paths.RUNS.glob("train-few_step-*")
    (few_step / "notes.txt").write_text("mine")
    for mine in ("runs/seeds/a", "runs/train-mine", "runs/cells/of-mine", "runs/cells/mine-0123456789abcdef"):
        (project / mine).mkdir(parents=True)
        (project / mine / "file").touch()
    elsewhere = project / "elsewhere"
    cell, *_ = paths.CELLS.glob("ddim-*")
    cell.rename(elsewhere)
    cell.symlink_to(elsewhere)
    done = straightflow("clean", "--yes")
    assert done.exit_code == 0
    assert "as no stage wrote notes.txt in it" in done.stderr
    assert f"{cell}: stays, as it is a link" in done.stderr
    left = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert {"runs/seeds/a/file", "runs/train-mine/file", "runs/cells/of-mine/file"} <= left
    assert {"runs/cells/mine-0123456789abcdef/file", f"{few_step}/notes.txt", "elsewhere/result.json"} <= left
    assert (few_step / "step-000000001").is_dir()


@pytest.mark.usefixtures("project")
def test_a_run_in_progress_is_never_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    configured(students__few_step__learning_rate=0.5)
    [few_step] = paths.RUNS.glob("train-few_step-*")
    with held_by_another(few_step / ".lock"):
        done = straightflow("clean", "--yes")
        assert f"{few_step}: stays, as a process is at work in it" in done.stderr
        assert few_step.is_dir()
    with kept_status(paths.PROGRESS, "teacher"), Progress("teacher", 1, "steps"):
        assert f"found: teacher, process {os.getpid()}" in refusal("clean", "--yes")
        assert few_step.name in printed("clean")  # looking is allowed
    monkeypatch.setattr(clean, "dvc_at_work", lambda _: [41])
    assert "found: dvc, process 41" in refusal("clean", "--yes")
    assert few_step.is_dir()


def test_of_dvcs_cache_goes_what_neither_workspace_nor_commit_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bare_project(tmp_path, {}, {"stages": {}})
    for content, keeps in (("committed", True), ("neither", False), ("present", False)):
        Path("a").write_text(content * 100)
        run(tmp_path, "dvc", "add", "-q", "a")
        if keeps:
            commit(tmp_path)
    cache = DvcCache(tmp_path)
    # "neither", a hundred times: 700 bytes in one file.
    assert cache.num_bytes == 700
    assert "1 files not used" in cache.describe()
    cache.collect()
    files = [path.read_text()[:7] for path in Path(".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert sorted(files) == ["committ", "present"]
    assert DvcCache(tmp_path).num_bytes == 0


def test_a_cache_outside_of_the_project_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    bare_project(folder, {}, {"stages": {}})
    with (folder / ".dvc/config").open("a") as stream:
        stream.write(f"[cache]\n    dir = {tmp_path / 'shared'}\n")
    cache = DvcCache(folder)
    assert "outside of the project" in cache.describe()
    assert cache.num_bytes == 0
    cache.collect()
