from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.composition import composed, of_latents
from helpers.project_folders import OF_THIS_PROJECT, ROOT, bare_project, call

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.system.errors import StraightflowError
from stages import paths
from stages.inputs import require_apart_from_outputs

KEYS = {
    "data.location": "data={source: folder, location: %s}",
    "teacher.pretrained": "teacher.pretrained=%s",
    "features.inception.weights": "features.inception.weights=%s",
    "features.dinov2.weights": "features.dinov2.weights=%s",
}


def config(key: str, value: object) -> Config:
    return parse_config(composed("preset=smoke", KEYS[key] % value), origin="test")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "inside",
    ["data/images", "data", ".", "models/teacher", "models/mine/deep", "couplings", "runs", "report/../models"],
)
def test_an_input_is_apart_from_every_output(key: str, inside: str, tmp_path: Path) -> None:
    require_apart_from_outputs(config(key, "pictures"), tmp_path)
    with pytest.raises(StraightflowError, match=f"{key} outside of data/images, data/latents, models"):
        require_apart_from_outputs(config(key, inside), tmp_path)
    with pytest.raises(StraightflowError, match=key):
        require_apart_from_outputs(config(key, tmp_path / inside), tmp_path)


def test_an_autoencoder_that_is_brought_along_is_apart_from_every_output(tmp_path: Path) -> None:
    def brought(source: str) -> Config:
        content = of_latents(composed("preset=smoke"), source=source, network=None, train=None)
        return parse_config(content, origin="test")

    require_apart_from_outputs(brought("mine"), tmp_path)
    with pytest.raises(StraightflowError, match=r"autoencoder\.source outside of"):
        require_apart_from_outputs(brought("models/autoencoder"), tmp_path)


@pytest.mark.parametrize("link", ["input", "output", "above the input", "in an output"])
def test_links_are_followed_on_either_side(link: str, tmp_path: Path) -> None:
    project, mine = tmp_path / "project", tmp_path / "mine"
    (mine / "models").mkdir(parents=True)
    project.mkdir()
    given = mine / "models"
    if link == "output":
        (project / "models").symlink_to(mine)
    elif link == "input":
        (project / "models").mkdir()
        given = project / "pictures"
        given.symlink_to(project / "models")
    elif link == "above the input":
        (tmp_path / "elsewhere").symlink_to(project)
        given = tmp_path / "elsewhere/models"
    else:
        (project / "models").mkdir()
        given = project / "models/link"
        given.symlink_to(mine)
    with pytest.raises(StraightflowError, match=r"data\.location"):
        require_apart_from_outputs(config("data.location", given), project)


def test_a_folder_beside_the_outputs_is_left_in_peace(tmp_path: Path) -> None:
    for name in ("data/pictures", "models_of_mine", "images", "../models"):
        require_apart_from_outputs(config("data.location", name), tmp_path / "project")


def test_every_output_of_the_graph_is_in_the_list() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"].values()
    declared = [
        Path(next(iter(item)) if isinstance(item, dict) else item)
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for item in stage.get("do", stage).get(kind, [])
    ]
    assert [out for out in declared if not any(out.is_relative_to(folder) for folder in paths.OUTPUTS)] == []
    assert {paths.RUNS, paths.watched("x").parent} <= set(paths.OUTPUTS)


@pytest.mark.parametrize("options", [(), ("--single-item", "--force", "data")])
def test_dvc_repro_leaves_pictures_that_are_named_as_its_own_output(options: tuple[str, ...], tmp_path: Path) -> None:
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))
    kept = {"stages": {name: graph["stages"][name] for name in ("check", "data")}}
    kept["stages"]["check"]["deps"] = []
    bare_project(tmp_path, composed("preset=smoke", KEYS["data.location"] % "data/images"), kept)
    for name in ("data/images/mine.png", "inputs/data.json", "inputs/code/data.json"):  # as after an earlier run
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    done = call(tmp_path, "dvc", "repro", *options, **OF_THIS_PROJECT)
    assert done.returncode != 0
    assert "data.location outside of" in done.stderr
    assert (tmp_path / "data/images/mine.png").read_bytes() == b"mine"
