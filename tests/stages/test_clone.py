"""A clone, whose lock file names outputs that no cache of it has, and caches whose files are linked."""

from __future__ import annotations

from pathlib import Path

import yaml
from helpers.project_folders import OF_THIS_PROJECT, ROOT, commit, fresh_copy, run

OF_THE_COPY = OF_THIS_PROJECT | {"PYTHONPATH": ""}


def test_an_experiment_in_a_clone_whose_cache_is_linked_runs_check(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    run(tmp_path, "dvc", "config", "cache.type", "symlink")
    commit(tmp_path)
    for _ in range(2):
        run(tmp_path, "dvc", "exp", "run", "check", **OF_THE_COPY)
        for name in ("data.json", "teacher.json", "code/train.json"):
            assert (tmp_path / "inputs" / name).is_file()
            assert not (tmp_path / "inputs" / name).is_symlink()


def test_an_experiment_in_such_a_clone_makes_the_images_and_makes_them_again(tmp_path: Path) -> None:
    fresh_copy(tmp_path)
    run(tmp_path, "dvc", "config", "cache.type", "symlink")
    commit(tmp_path)
    run(tmp_path, "dvc", "exp", "run", "data", **OF_THE_COPY)
    made = {path.name: path.read_bytes() for path in (tmp_path / "data/images").iterdir()}
    assert all((tmp_path / "data/images" / name).is_symlink() for name in made)
    run(tmp_path, "dvc", "repro", "--single-item", "--force", "data", **OF_THE_COPY)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data/images").iterdir()} == made


def test_no_file_that_a_stage_keeps_in_place_is_linked_to_a_cache() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outs = [out for stage in stages.values() for out in stage.get("do", stage).get("outs", []) if isinstance(out, dict)]
    kept = {name: settings for out in outs for name, settings in out.items() if settings.get("persist")}
    assert set(kept) == {"inputs/code", "inputs/data.json", "inputs/teacher.json", "data/images"}
    # DVC unlinks what it keeps before the stage runs, and fails for good where the link leads nowhere. A folder that a
    # cache lacks is not linked at all.
    assert [name for name, settings in kept.items() if settings.get("cache") is not False] == ["data/images"]
