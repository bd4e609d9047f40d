"""An autoencoder on the hub: judged by its settings before it is downloaded, and read at the commit that was judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, LDMPipeline
from helpers.composition import composed
from helpers.small_autoencoder import small_autoencoder
from helpers.small_unet import small_unet
from helpers.stand_in_hub import COMMIT, StandIn
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.data import DataConfig
from pipeline.config.teacher import TeacherConfig
from pipeline.models.check import check_teacher
from pipeline.models.pretrained_autoencoder import adopt_autoencoder
from pipeline.system import hub
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import write_hashes
from pipeline.system.fingerprint import fingerprint_folder
from stages import autoencoder as stage
from stages import paths

WEIGHTS = "diffusion_pytorch_model.safetensors"
RECORD: dict[str, Any] = {"autoencoder": {"source": "owner/model", "fingerprint": COMMIT}}
PLACES = ("", "vae", "vqvae")


def settings(source: str = "owner/model", **changes: object) -> AutoencoderConfig:
    content = {"source": source, "latent_channels": 2, "downsampling": 2}
    return AutoencoderConfig.model_validate(content | changes)


def check(previous: dict[str, object], config: AutoencoderConfig | None = None) -> dict[str, object]:
    """What check records of the autoencoder of a run on 8×8 images of a channel."""
    sections = composed()
    found = check_teacher(
        TeacherConfig.model_validate(sections["teacher"]),
        DataConfig.model_validate(sections["data"]),
        previous,
        autoencoder=config or settings(),
    )
    return {key: value for key, value in found.items() if key == "autoencoder"}


def save_in(folder: Path, place: str, **changes: Any) -> None:
    small_autoencoder(**changes).save_pretrained(folder / place)


@pytest.fixture
def on_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the model on the hub; what is downloaded of it lies in another."""
    folder = tmp_path / "hub"
    folder.mkdir()

    def file(name: str, wanted: str, *, revision: str, etag_timeout: float) -> str:
        assert wanted.endswith(".json"), "weights are not downloaded by check"
        assert (name, revision, etag_timeout) == ("owner/model", COMMIT, hub.TIMEOUT_SECONDS)
        return str(folder / wanted)

    def snapshot(name: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert (name, revision) == ("owner/model", COMMIT)
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        for wanted in filter_repo_objects(files, allow_patterns=allow_patterns):
            (tmp_path / COMMIT / wanted).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / wanted, tmp_path / COMMIT / wanted)
        return str(tmp_path / COMMIT)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "HfApi", lambda: StandIn(folder))
    monkeypatch.setattr(hub, "hf_hub_download", file)
    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    return folder


def adopt(folder: Path = Path("adopted")) -> dict[str, torch.Tensor]:
    adopt_autoencoder(settings(), (1, 8, 8), folder, COMMIT)
    return load_file(folder / "vae" / WEIGHTS)


@pytest.mark.parametrize("place", PLACES)
def test_it_is_judged_by_its_settings_alone_and_read_wherever_it_lies(on_hub: Path, place: str) -> None:
    save_in(on_hub, place)
    assert check({}) == RECORD
    adopted, given = adopt(), load_file(on_hub / place / WEIGHTS)
    assert adopted.keys() == given.keys()
    assert all(torch.equal(adopted[name], given[name]) for name in given)


def test_of_a_latent_model_the_autoencoder_alone_is_downloaded(on_hub: Path) -> None:
    LDMPipeline(small_autoencoder(), small_unet(2, sample_size=4), DDIMScheduler()).save_pretrained(on_hub)
    (on_hub / "vqvae/diffusion_pytorch_model.bin").write_bytes(b"not wanted")
    assert check({}) == RECORD
    adopt()
    downloaded = {path.relative_to(COMMIT).as_posix() for path in Path(COMMIT).rglob("*") if path.is_file()}
    assert downloaded == {"vqvae/config.json", f"vqvae/{WEIGHTS}"}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_downloaded_must_have_the_hashes_that_were_published(on_hub: Path, place: str) -> None:
    save_in(on_hub, place)
    (on_hub / "unet").mkdir()
    (on_hub / "unet/config.json").write_text("{}")  # is not downloaded
    write_hashes(on_hub)
    adopt()
    weights = on_hub / place / WEIGHTS
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights, metadata={"format": "pt"})
    with pytest.raises(StraightflowError, match=WEIGHTS):
        adopt(Path("again"))
    assert not Path("again").exists()


@pytest.mark.parametrize(
    ("network", "config", "found"),
    [
        ({}, {"latent_channels": 4}, "2 latent channels(.|\n)*source: owner/model(.|\n)*name another autoencoder"),
        ({}, {"downsampling": 4}, "downsampling 2"),
        ({"in_channels": 3, "out_channels": 3}, {}, "images of 1 channels, as the data(.|\n)*set data.channels: 3"),
        ({"shift_factor": 0.25}, {}, "shift_factor of 0"),
        ({"scaling_factor": -1.0}, {}, "scaling_factor"),
    ],
)
def test_one_that_does_not_fit_is_refused_by_check_and_stage_alike(
    on_hub: Path, network: dict[str, Any], config: dict[str, Any], found: str
) -> None:
    save_in(on_hub, "", **network)
    with pytest.raises(StraightflowError, match=found):
        check({}, settings(**config))
    with pytest.raises(StraightflowError, match=found):
        adopt_autoencoder(settings(**config), (1, 8, 8), Path("adopted"), COMMIT)
    assert not Path("adopted").exists()


def test_no_autoencoder_two_of_them_and_other_networks_are_refused(on_hub: Path) -> None:
    with pytest.raises(StraightflowError, match="an autoencoder in the model 'owner/model' on the hub"):
        check({})
    small_unet().save_pretrained(on_hub)
    with pytest.raises(StraightflowError, match="UNet2DModel"):
        check({})
    save_in(on_hub, "vae")
    save_in(on_hub, "vqvae")
    with pytest.raises(StraightflowError, match="vae and vqvae"):
        check({})


def test_weights_that_are_pickled_are_refused_before_they_are_downloaded(on_hub: Path) -> None:
    save_in(on_hub, "")
    (on_hub / WEIGHTS).rename(on_hub / "diffusion_pytorch_model.bin")
    with pytest.raises(StraightflowError, match=r"weights of the AutoencoderKL in owner/model, in safetensors"):
        check({})
    save_in(on_hub, "vae")
    (on_hub / "vae" / WEIGHTS).rename(on_hub / WEIGHTS)  # which are not those of the part
    with pytest.raises(StraightflowError, match=r"weights of the AutoencoderKL in owner/model/vae, in safetensors"):
        check({})


@pytest.mark.usefixtures("on_hub")
def test_without_network_the_copy_of_the_recorded_commit_is_judged(monkeypatch) -> None:
    def unreachable(*_: object) -> str:
        raise StraightflowError(expected="an answer", found="none", mend="connect")

    copies: dict[str | None, Path] = {}
    monkeypatch.setattr("pipeline.models.hub_autoencoder.hub_revision", unreachable)
    monkeypatch.setattr("pipeline.models.hub_autoencoder.cached_model", lambda _, commit: copies.get(commit))
    assert check(RECORD) == RECORD
    for previous in ({}, {"autoencoder": {"source": "owner/other", "fingerprint": "b"}}):
        with pytest.raises(StraightflowError, match="an answer"):
            check(previous)
    save_in(Path(COMMIT), "")
    copies |= {COMMIT: Path(COMMIT), None: Path(COMMIT)}
    assert check(RECORD) == check({}) == RECORD
    with pytest.raises(StraightflowError, match="2 latent channels"):
        check(RECORD, settings(latent_channels=4))
    (Path(COMMIT) / WEIGHTS).unlink()  # an earlier check read the settings alone
    assert check(RECORD) == RECORD
    with pytest.raises(StraightflowError, match="an answer"):
        check({})


def test_the_stage_reads_the_commit_that_check_recorded(on_hub: Path, monkeypatch) -> None:
    save_in(on_hub, "")
    monkeypatch.setattr(stage, "open_runtime", lambda *_: SimpleNamespace(is_main=True))
    image = SimpleNamespace(image_shape=(1, 8, 8))
    config: Any = SimpleNamespace(compute=None, launch=None, autoencoder=settings(), data=image)
    with pytest.raises(StraightflowError, match=r"record of the commit of owner/model(.|\n)*check"):
        stage.main(config, [])
    write_json(paths.TEACHER_INPUT, check({}))
    Path("metrics/training").mkdir(parents=True)
    stage.main(config, [])
    assert load_file(Path("models/autoencoder/vae") / WEIGHTS).keys() == load_file(on_hub / WEIGHTS).keys()
    assert json.loads(Path("metrics/training/autoencoder.json").read_text())["compute"] is None


def test_a_folder_of_one_by_itself_is_taken_too(tmp_path: Path) -> None:
    source = tmp_path / "vae-of-mine"
    save_in(source, "")
    record = {"autoencoder": {"source": str(source), "fingerprint": fingerprint_folder(source)}}
    assert check({}, settings(str(source))) == record
    adopt_autoencoder(settings(str(source)), (1, 8, 8), tmp_path / "adopted", None)
    adopted, given = load_file(tmp_path / "adopted/vae" / WEIGHTS), load_file(source / WEIGHTS)
    assert all(torch.equal(adopted[name], given[name]) for name in given)
    write_hashes(source)
    (source / "diffusion_pytorch_model.bin").write_bytes(b"added since")
    with pytest.raises(StraightflowError, match="was not saved with it"):
        check({}, settings(str(source)))
