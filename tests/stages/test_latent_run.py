"""A run on latents of an autoencoder that is trained here, from the data to the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers import AutoencoderKL
from helpers.small_latent_run import TRAINED, latent_run

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.loading import load_config, parse_config
from pipeline.couplings.store import CouplingStore
from pipeline.data.sample_set import open_samples
from pipeline.data.space import LATENTS
from pipeline.models.runtime import open_runtime
from pipeline.models.sampler import load_sampler
from pipeline.system.errors import StraightflowError
from stages import (
    assess,
    autoencoder,
    check,
    classifier,
    couplings,
    data,
    evaluate,
    latents,
    reconstruction,
    report,
    student,
    teacher,
)


def prepared(folder: Path, monkeypatch, **changes: object) -> Config:
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(yaml.safe_dump(latent_run(**changes)))
    return load_config(Path("params.yaml"))


def assert_latents_are_of_unit_scale(folder: Path) -> None:
    """By the stock network alone, whose scaling factor is 1."""
    latent, images = open_samples(folder / "latents", "train"), open_samples(folder / "images", "train")
    assert latent.space is LATENTS
    rows = np.arange(len(latent))
    x = latent.load(rows)["x_1"].double()
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(2).double(), rtol=0, atol=1e-3)
    assert float(x.square().mean()) == pytest.approx(1, abs=1e-3)
    stock = AutoencoderKL.from_pretrained(folder / "latents/vae").eval()
    assert stock.config["scaling_factor"] == 1
    with torch.no_grad():
        exact = stock.encode(images.load(rows)["x_1"]).latent_dist.mean
    torch.testing.assert_close(latent.load(rows)["x_1"], exact, rtol=2e-3, atol=1e-3)


def test_a_run_on_latents_goes_from_the_data_to_the_report(tmp_path: Path, monkeypatch) -> None:
    config = prepared(tmp_path, monkeypatch)
    for stage, arguments in (
        (check, []),
        (data, []),
        (autoencoder, []),
        (latents, []),
        (classifier, []),
        (reconstruction, []),
        (teacher, []),
        (couplings, ["round1"]),
        (assess, ["round1"]),
        (student, ["round1"]),
        (student, ["few_step"]),
        (evaluate, ["few_step"]),
        (report, []),
    ):
        stage.main(config, arguments)
    assert_latents_are_of_unit_scale(Path("data"))
    store = CouplingStore(Path("couplings/round1/store"))
    assert (store.manifest.space, store.manifest.shape, store.manifest.dtype) == (LATENTS, (2, 4, 4), "float16")
    for model in ("teacher", "round1", "few_step"):
        sampler = load_sampler(Path("models") / model, open_runtime(config.compute, ONE_PROCESS))
        assert (sampler.space, sampler.shape, sampler.image_shape) == (LATENTS, (2, 4, 4), (1, 8, 8))
    rows = json.loads(Path("metrics/evaluate/few_step.json").read_text())["rows"]
    assert {row["model"] for row in rows} == {"few_step"}
    encoding = json.loads(Path("metrics/training/autoencoder.encoding.json").read_text())["compute"]
    assert (encoding["samples_forward"], encoding["samples_backward"]) == (1797, 0)
    assert json.loads(Path("metrics/summary.json").read_text())["total_forward_equivalents_teacher"] == (
        3 * 6 * 32 + 1797 + 3 * 4 * config.teacher.train.batch_size
    )
    measured = json.loads(Path("metrics/evaluate/autoencoder.json").read_text())
    assert measured["num_images"] == 180  # a tenth of 1,797
    summary = json.loads(Path("metrics/summary.json").read_text())
    assert summary["reconstruction_fid"] == measured["rows"][0]["fid"]
    assert "their reconstructions" in Path("report/index.html").read_text("utf-8")
    assert [row["is_judge"] for row in measured["rows"]] == [False, True]
    assert 0 < measured["mean_squared_error"] < 1
    assert json.loads(Path("metrics/training/autoencoder.json").read_text())["compute"]["samples_backward"] == 6 * 32


def test_an_autoencoder_of_another_folder_is_taken_as_it_is(tmp_path: Path, monkeypatch) -> None:
    first = tmp_path / "first"
    first.mkdir()
    config = prepared(first, monkeypatch)
    for stage in (check, data, autoencoder):
        stage.main(config, [])
    second = tmp_path / "second"
    second.mkdir()
    source = str(first / "models/autoencoder")
    (first / "models/autoencoder/sha256.json").unlink()
    settings = first / "models/autoencoder/vae/config.json"
    of_larger_images = json.loads(settings.read_text()) | {"sample_size": 64}  # than those of this run
    settings.write_text(json.dumps(of_larger_images))
    config = prepared(second, monkeypatch, source=source, network=None, train=None)
    for stage in (check, data, autoencoder, latents, classifier, reconstruction):
        stage.main(config, [])
    assert open_samples(Path("data/latents"), "train").shape == (2, 4, 4)
    assert json.loads(Path("metrics/evaluate/autoencoder.json").read_text())["num_images"] == 180
    weights = "vae/diffusion_pytorch_model.safetensors"
    assert (second / "models/autoencoder" / weights).read_bytes() == (Path(source) / weights).read_bytes()
    assert json.loads(Path("inputs/teacher.json").read_text())["autoencoder"]["source"] == source

    wrong = prepared(second, monkeypatch, source=source, network=None, train=None, downsampling=4)
    with pytest.raises(StraightflowError, match="downsampling 4, as configured"):
        check.main(wrong, [])
    missing = prepared(second, monkeypatch, source="./no/such", network=None, train=None)
    with pytest.raises(StraightflowError, match=r"an autoencoder at '\./no/such'"):
        check.main(missing, [])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"downsampling": 4}, "2 levels, which halve sides to 1/2"),
        ({"downsampling": 3}, "downsampling is 3"),
        ({"network": None}, "source 'train' needs network"),
        ({"source": "some/folder"}, "takes no network"),
        ({"source": "teacher", "network": None, "train": None}, "name one, or set it to null"),
        ({"kl_weight": -1.0}, "autoencoder.kl_weight"),
        ({"network": TRAINED["network"] | {"norm_num_groups": 3}}, "norm_num_groups=3 must divide"),
        (
            {"network": TRAINED["network"] | {"block_out_channels": [8] * 5}, "downsampling": 16},
            "data.resolution is 8, which autoencoder.downsampling, 16",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], found: str) -> None:
    with pytest.raises(StraightflowError, match=found):
        parse_config(latent_run(**changes), origin="params.yaml")


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ({"trained_on": "images"}, "write trained_on: latents"),
        ({"latents": {}}, "write latents: {data: {}}"),
        ({"autoencoder": None}, "write latents: {}(.|\n)*write trained_on: images"),
        ({"latents": {"others": {}}}, "latents.others"),
    ],
)
def test_keys_that_prepare_the_data_otherwise_than_models_learn_them_are_refused(root, found: str) -> None:
    with pytest.raises(StraightflowError, match=found):
        parse_config(latent_run() | root, origin="params.yaml")


def test_a_pretrained_teacher_brings_its_own(tmp_path: Path) -> None:
    content = latent_run()
    content["teacher"]["pretrained"] = str(tmp_path)
    with pytest.raises(StraightflowError, match="pretrained makes latents of its own"):
        parse_config(content, origin="params.yaml")
