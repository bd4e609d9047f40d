from __future__ import annotations

import hashlib
import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import yaml
from helpers.command_line import printed, refusal
from helpers.composition import composed
from helpers.project_folders import ROOT
from helpers.published import LICENSES, drawn_by_the_card, images, publish, run_alone, snippets, space_image
from helpers.recorded_run import COST, md5, record, recorded_run
from helpers.small_image_results import COUPLINGS_FID, FID, STEPS
from helpers.small_unet import small_unet
from huggingface_hub import HfApi, ModelCard, SpaceCard
from PIL import Image

from pipeline.config.loading import load_config
from pipeline.models.class_counts import set_class_counts
from pipeline.models.opening import open_teacher
from pipeline.models.pretrained import NOTHING_SPECIAL, adopt_pretrained
from pipeline.system.errors import StraightflowError
from stages.commands.publish import PublishOptions, publish_model
from stages.commands.run_record import content_hash


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a finished run in it."""
    monkeypatch.chdir(tmp_path)
    recorded_run(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("conditions", "counts"),
    [
        ({}, None),
        ({"num_class_embeds": 3}, None),
        ({"num_class_embeds": 3}, (9, 0, 1)),
        ({"class_embed_type": "timestep"}, None),
    ],
)
def test_the_card_draws_what_sample_draws_to_the_bit(
    conditions: dict[str, Any], counts: tuple[int, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = small_unet(**conditions)
    if counts is not None:
        set_class_counts(network, np.repeat(np.arange(3), counts))
    recorded_run(tmp_path, few_step=network)
    folder = publish()
    printed("sample", "few_step", "--steps", "1", "--num", "16", "--files", "--out", "drawn")
    assert np.array_equal(drawn_by_the_card(folder, tmp_path), images(Path("drawn")))
    assert len(snippets(folder)) == (1 if conditions else 2)  # the stock pipeline passes no class and no second time


@pytest.mark.usefixtures("run", "one_thread")
def test_at_several_steps_as_well(tmp_path: Path) -> None:
    folder = publish()
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(
        text.replace("num_steps, num_images, seed = 1, 16, 0", "num_steps, num_images, seed = 3, 5, 7")
    )
    printed("sample", "few_step", "--steps", "3", "--num", "5", "--seed", "7", "--files", "--out", "drawn")
    assert np.array_equal(drawn_by_the_card(folder, tmp_path), images(Path("drawn")))


@pytest.mark.usefixtures("run")
def test_the_short_snippet_draws_an_image(tmp_path: Path) -> None:
    folder = publish()
    shutil.copytree(folder, tmp_path / "copy")
    run_alone(snippets(folder)[0], tmp_path / "copy")
    assert Image.open(tmp_path / "copy/image.png").size == (8, 8)


@pytest.mark.usefixtures("run", "one_thread")
def test_a_teacher_is_drawn_by_the_stock_solver_to_rounding(tmp_path: Path) -> None:
    folder = publish("teacher")
    printed("sample", "teacher", "--solver", "ddim", "--steps", "20", "--num", "16", "--files", "--out", "drawn")
    difference = drawn_by_the_card(folder, tmp_path).astype(int) - images(Path("drawn"))
    assert np.abs(difference).max() <= 1


@pytest.mark.usefixtures("run")
def test_the_metadata_are_those_of_the_measured_rows() -> None:
    data = ModelCard.load(
        publish("few_step", "--base-model", "me/teacher", "--dataset", "me/digits") / "README.md"
    ).data
    content = data.to_dict()
    assert (content["license"], content["data_license"]) == ("mit", "bsd-3-clause")
    assert (content["base_model"], content["datasets"]) == ("me/teacher", ["me/digits"])
    assert content["library_name"] == "diffusers"
    found = {result.metric_args["num_steps"]: result for result in data.eval_results}
    for steps, fid in zip(STEPS, FID["few_step", "euler"], strict=True):
        result = found.pop(steps)
        assert (result.metric_value, result.dataset_split, result.dataset_type) == (fid, "train", "me/digits")
        expected = {"features": "classifier", "num_samples": 5000, "num_chunks": 1, "seed": 0, "network_calls": steps}
        assert expected.items() <= result.metric_args.items()
        assert result.metric_args["interval_95"] == [0.9 * fid, 1.1 * fid]
        # Only Inception's distance is what papers call FID.
        assert result.metric_type == "frechet_distance"
    assert not found


@pytest.mark.usefixtures("run")
def test_the_card_says_quality_limits_provenance_and_licenses() -> None:
    text = (publish() / "README.md").read_text()
    assert "| few_step | euler | 4 | 4 | classifier | 5,000 | train | 0 | 4.50 [4.05, 4.95] |" in text
    assert f"| couplings@round1 | unipc | 20 | – | classifier | 5,000 | train | 1 | {COUPLINGS_FID:.2f}" in text
    assert "grey images of 8 × 8 pixels and no other size" in text
    assert "unconditional" in text
    # Teacher, couplings, round1 and few_step: four stages.
    assert f"took {4 * COST.flops:.2g} FLOPs and {4 * COST.seconds:.0f} device seconds" in text
    assert "- This model: mit\n- The data: bsd-3-clause" in text
    for figure in re.findall(r"!\[.*\]\((.*)\)", text):
        assert Image.open(Path("out/few_step") / figure).format == "PNG"


def test_a_student_that_was_trained_on_the_features_that_measure_it_says_so_at_every_fid(run: Path) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["students"]["few_step"]["method"] = {"name": "frechet"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    record(run)
    card = ModelCard.load(publish("few_step", "--force") / "README.md")
    assert "| few_step | euler | 4 | 4 | classifier (trained on these) | 5,000 |" in str(card)
    assert "| couplings@round1 | unipc | 20 | – | classifier | 5,000 |" in str(card)
    assert "few_step descended the FID by classifier features" in str(card)
    assert "by the method `frechet`" in str(card)
    for result in card.data.eval_results:
        assert result.metric_args["trained_on_features"]
        assert "classifier features that it was trained on" in result.metric_name


def test_a_student_of_one_step_is_not_advertised_for_more(run: Path) -> None:
    assert "Any `num_inference_steps` works" in (publish() / "README.md").read_text()
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["students"]["few_step"]["method"] = {"name": "fixed_steps"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    record(run)
    text = (publish("few_step", "--force") / "README.md").read_text()
    assert "It is for exactly 1 step." in text
    assert "num_inference_steps=1" in text
    assert "Any `num_inference_steps`" not in text


@pytest.mark.usefixtures("run")
def test_every_file_is_hashed_and_provenance_goes_back_to_the_data() -> None:
    folder = publish()
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: sha256 for name, sha256 in hashes.items() if name != "SHA256SUMS"}
    opened = json.loads((folder / "sha256.json").read_text())["sha256"]
    assert opened.items() <= hashes.items()
    assert {name for name in files if name.endswith((".json", ".safetensors"))} - {"sha256.json"} == opened.keys()
    assert (folder / "params.yaml").read_bytes() == Path("params.yaml").read_bytes()
    came_from = json.loads((folder / "provenance.json").read_text())
    stages = {stage["stage"]: stage for stage in came_from["stages"]}
    assert stages["student@few_step"]["deps"]["couplings/round1/store"] == md5(Path("couplings/round1/store"))
    assert stages["data"]["outs"] == {"data/images": md5(Path("data/images"))}
    assert "evaluate@teacher" not in stages
    assert came_from["compute"]["total"]["forward_equivalents"] == 4 * (10 + 2 * 4)


def test_hashes_are_those_of_dvc(run: Path) -> None:
    for path in (run / "models/few_step", run / "params.yaml"):
        assert content_hash(path) == md5(path)


def test_a_published_teacher_opens_as_a_teacher_and_a_flipped_byte_is_refused(run: Path) -> None:
    folder = publish("teacher")
    adopt_pretrained(str(folder), (1, 8, 8), run / "adopted")
    for name in json.loads((folder / "sha256.json").read_text())["sha256"]:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(StraightflowError, match=re.escape(name)):
            open_teacher(folder, (1, 8, 8), "it", NOTHING_SPECIAL)
        (folder / name).write_bytes(content)
    (folder / "README.md").write_text("edited on the hub")  # a card may change, and is not what is opened
    open_teacher(folder, (1, 8, 8), "it", NOTHING_SPECIAL)


@pytest.mark.usefixtures("run")
def test_check_takes_a_published_teacher_of_another_run_by_its_folder() -> None:
    folder = publish("teacher")
    params = composed("preset=smoke", f"teacher.pretrained={folder.resolve()}")
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert f"teacher: {folder.resolve()}" in printed("check")
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    flip(str(weights))
    assert "unet/diffusion_pytorch_model.safetensors with SHA-256" in refusal("check")


@pytest.mark.usefixtures("run")
def test_what_is_downloaded_of_a_repository_opens_without_its_card_and_figures() -> None:
    folder = publish("teacher")
    for path in [item for item in folder.rglob("*") if item.is_file() and item.suffix not in (".json", ".safetensors")]:
        path.unlink()
    open_teacher(folder, (1, 8, 8), "it", NOTHING_SPECIAL)


@pytest.mark.usefixtures("run")
def test_a_published_student_is_sampled_like_the_one_in_the_run() -> None:
    folder = publish()
    for model, out in (("few_step", "a.png"), (str(folder), "b.png")):
        printed("sample", model, "--steps", "2", "--num", "4", "--out", out)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.usefixtures("run")
def test_to_the_hub_goes_the_same_folder_with_the_name_of_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    api = create_autospec(HfApi, instance=True)
    api.endpoint = "https://hub.example"
    api.whoami.return_value = {"name": "me"}
    api.model_info.return_value = SimpleNamespace(sha="abc", siblings=[])
    sent: dict[str, bytes] = {}

    def upload(*, folder_path: Path, **_: object) -> SimpleNamespace:
        files = [path for path in folder_path.rglob("*") if path.is_file()]
        sent.update({path.relative_to(folder_path).as_posix(): path.read_bytes() for path in files})
        return SimpleNamespace(commit_url="https://hub.example/commit")

    api.upload_folder.side_effect = upload
    options = PublishOptions("few_step", "me/model", "mit", "bsd-3-clause", None, None, (), force=False)
    publish_model(load_config(Path("params.yaml")), options, api)
    told = capsys.readouterr().out
    assert told.endswith("few_step published: https://hub.example/commit\n")
    assert all(name in told for name in sent)
    assert b'from_pretrained("me/model")' in sent.pop("README.md")
    folder = publish()
    del sent["SHA256SUMS"]  # has the card's hash
    assert {name: (folder / name).read_bytes() for name in sent} == sent
    assert not Path("published").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), ("no --license, no --data-license",)),
        (("--license", "mit"), ("no --data-license",)),
        ((*LICENSES, "--teacher-license", "mit"), ("--teacher-license mit",)),
        (("--license", "My License", "--data-license", "mit"), ("'My License'", "--license")),
        ((*LICENSES, "--base-model", "a/b/c"), ("'a/b/c'", "--base-model")),
        ((*LICENSES, "--to", "./models/x"), ("lies in models",)),
        ((*LICENSES, "--to", "models/x"), ("could be either",)),
    ],
)
@pytest.mark.usefixtures("run")
def test_what_is_missing_or_wrong_is_named(options: tuple[str, ...], named: tuple[str, ...]) -> None:
    message = refusal("publish", "few_step", *options)
    assert all(text in message for text in named)
    assert not Path("published").exists()


@pytest.mark.usefixtures("run")
def test_a_name_that_is_no_model_or_was_not_measured() -> None:
    assert "did you mean 'few_step'?" in refusal("publish", "few_stop", *LICENSES)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["evaluate"]["models"].remove("round1")
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert "round1 among evaluate.models" in refusal("publish", "round1", *LICENSES)


@pytest.mark.usefixtures("project")
def test_models_of_points_are_no_repositories() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(composed("preset=toy_smoke")))
    assert "points" in refusal("publish", "teacher", *LICENSES)


def flip(path: str) -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize(
    "path",
    [
        "models/few_step/unet/diffusion_pytorch_model.safetensors",
        "models/few_step/model_index.json",
        "metrics/evaluate/few_step.json",
        "samples/few_step.safetensors",
        "couplings/round1/quality.json",
        "metrics/training/teacher.json",
    ],
)
@pytest.mark.usefixtures("run")
def test_a_changed_file_is_refused(path: str) -> None:
    flip(path)
    message = refusal("publish", "few_step", *LICENSES)
    assert path in message or str(Path(*Path(path).parts[:2])) in message
    assert not Path("published").exists()


@pytest.mark.usefixtures("run")
def test_a_model_whose_files_do_not_match_their_own_hashes_is_refused_whatever_dvc_recorded(run: Path) -> None:
    flip("models/few_step/model_index.json")
    record(run)
    assert "sha256.json" in refusal("publish", "few_step", *LICENSES)


def test_metrics_of_another_model_are_refused(run: Path) -> None:
    """The student was trained again after it was measured: its metrics are of the former one."""
    former = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["evaluate@few_step"]
    former["deps"][0]["md5"] = "0" * 32 + ".dir"
    record(run, {"evaluate@few_step": former})
    message = refusal("publish", "few_step", *LICENSES)
    assert "models/few_step has been made again since evaluate@few_step read it" in message
    assert "dvc repro evaluate@few_step" in message


@pytest.mark.parametrize("key", ["data", "teacher", "students"])
@pytest.mark.usefixtures("run")
def test_settings_of_another_run_are_refused(key: str) -> None:
    params: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text())
    changed = {
        "data": params["data"],
        "teacher": params["teacher"]["train"],
        "students": params["students"]["few_step"],
    }
    changed[key]["seed"] += 1
    Path("params.yaml").write_text(yaml.safe_dump(params))
    assert "in params.yaml is not what" in refusal("publish", "few_step", *LICENSES)


@pytest.mark.usefixtures("run")
def test_without_a_record_nothing_is_published() -> None:
    Path("dvc.lock").unlink()
    assert "dvc.lock" in refusal("publish", "few_step", *LICENSES)


@pytest.mark.usefixtures("run")
def test_a_publication_is_replaced_only_by_force_and_only_while_nobody_edited_it() -> None:
    folder = publish()
    before = md5(folder)
    assert "--force" in refusal("publish", "few_step", *LICENSES, "--to", str(folder))
    printed("publish", "few_step", "--license", "apache-2.0", *LICENSES[2:], "--to", str(folder), "--force")
    assert ModelCard.load(folder / "README.md").data.license == "apache-2.0"
    publish("few_step", "--force")
    assert md5(folder) == before
    for name in ("README.md", "notes.txt"):
        original = (folder / name).read_bytes() if (folder / name).exists() else None
        (folder / name).write_text("mine")
        assert "would not have written" in refusal("publish", "few_step", *LICENSES, "--to", str(folder), "--force")
        assert (folder / name).read_text() == "mine"
        (folder / name).unlink()
        if original is not None:
            (folder / name).write_bytes(original)
    assert md5(folder) == before


@pytest.mark.usefixtures("run")
def test_an_interrupted_publication_leaves_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = publish()
    before = md5(folder)

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ModelCard, "save", broken)
    refusal("publish", "few_step", *LICENSES, "--to", str(folder), "--force")
    assert md5(folder) == before
    assert [item.name for item in folder.parent.iterdir()] == ["few_step"]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("conditions", [{}, {"num_class_embeds": 3}])
def test_the_space_draws_what_sample_draws_to_the_bit(
    conditions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded_run(tmp_path, few_step=small_unet(**conditions))
    folder = publish("few_step", "--space")
    printed("sample", "few_step", "--steps", "3", "--seed", "7", "--num", "1", "--files", "--out", "drawn")
    assert np.array_equal(space_image(folder, tmp_path, 3, 7), images(Path("drawn"))[0])
    if conditions:
        of_classes = [space_image(folder, tmp_path, 3, 7, label) for label in range(3)]
        assert sum(np.array_equal(image, images(Path("drawn"))[0]) for image in of_classes) == 1


@pytest.mark.usefixtures("run")
def test_the_files_of_a_space_are_complete_hashed_and_on_the_card() -> None:
    folder = publish("few_step", "--space")
    data = SpaceCard.load(folder / "space/README.md").data
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert (data.sdk, data.app_file, data.license) == ("gradio", "app.py", "mit")
    assert data.sdk_version == pins["gradio"]
    packages = dict(line.split("==") for line in (folder / "space/requirements.txt").read_text().splitlines())
    assert packages == {name: version(name).partition("+")[0] for name in ("diffusers", "numpy", "torch")}
    sums = (folder / "SHA256SUMS").read_text()
    assert all(f"  space/{name}\n" in sums for name in ("README.md", "app.py", "requirements.txt"))
    assert "`space/` holds the files of a Space" in (folder / "README.md").read_text()
    assert "`space/`" not in (publish("few_step", "--force") / "README.md").read_text()
    assert not (folder / "space").exists()
    assert "gr.Slider(1, 100, 20" in (publish("teacher", "--space") / "space/app.py").read_text()


@pytest.mark.parametrize("name", ["pipeline", "stages"])
def test_code_that_needs_this_project_is_found_out(name: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(AssertionError, match=f"ModuleNotFoundError: .*{name}"):
        run_alone(f"def draw():\n    import {name}\ndraw()", tmp_path / "elsewhere")
    run_alone("print(1)", tmp_path / "elsewhere")
