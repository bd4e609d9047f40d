"""``DiTTransformer2DModel``: half of a learned variance, labels in training, its stock pipeline, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel
from helpers.small_dit import small_dit, small_dit_pipeline

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.pretrained import Promised
from pipeline.config.solver import SolverConfig
from pipeline.models.networks import load_network, null_class_of, num_classes, sample_shape, starting_network
from pipeline.models.opening import read_model
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.sampler import load_sampler
from pipeline.models.student import is_saved_student, save_student
from pipeline.system.errors import StraightflowError
from pipeline.training.dropout import set_dropout

X, T = torch.randn(8, 4, 4, 4, generator=torch.Generator().manual_seed(2)), torch.full((8,), 300.0)
LABELS = torch.arange(8)


def saved(folder: Path, **changes: Any) -> Path:
    small_dit_pipeline(DDIMScheduler(), **changes).save_pretrained(folder)
    return folder


def edit(folder: Path, **changes: Any) -> None:
    file = folder / "transformer/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@torch.no_grad()
def test_the_velocity_field_predicts_the_half_for_the_mean_exactly() -> None:
    teacher = small_dit()
    student = starting_network(teacher)
    assert student.config["out_channels"] == 4
    expected = teacher(X, T, LABELS).sample.chunk(2, dim=1)[0]  # as DiTPipeline splits mean and variance
    assert torch.equal(student(X, T, LABELS).sample, expected)
    assert starting_network(student) is student


def test_its_last_class_stands_for_none(tmp_path: Path) -> None:
    network = load_network(saved(tmp_path))
    assert (num_classes(network), null_class_of(network), sample_shape(network)) == (1001, 1000, (4, 4, 4))
    accepted = read_model(tmp_path)
    assert (accepted.num_classes, accepted.null_class, accepted.shape) == (1001, 1000, (4, 4, 4))


@torch.no_grad()
def test_no_label_is_dropped_in_training(tmp_path: Path) -> None:
    """Stock blocks replace a tenth of the labels in training mode, so that 300 rows cannot all escape by chance."""
    rows = X[:1].expand(300, -1, -1, -1), T[:1].expand(300), torch.zeros(300, dtype=torch.int64)
    stock = small_dit().train()(*rows).sample
    assert not torch.allclose(stock, stock[:1].expand_as(stock), atol=1e-3)
    opened = load_network(saved(tmp_path))
    for network in (opened, starting_network(opened)):
        output = network.train()(*rows).sample
        assert torch.allclose(output, output[:1].expand_as(output), atol=1e-5)
        assert torch.equal(network.eval()(*rows).sample, output)


def test_dropout_is_that_of_its_class() -> None:
    network, stock = small_dit(), small_dit(dropout=0.25)
    set_dropout(network, 0.25)
    for ours, theirs in zip(network.modules(), stock.modules(), strict=True):
        assert getattr(ours, "p", None) == getattr(theirs, "p", None)
    assert network.config["dropout"] == 0.25


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 2, 4])
def test_a_student_in_the_stock_pipeline_takes_our_euler_steps(num_steps: int, runtime, tmp_path: Path) -> None:
    theirs = saved(tmp_path / "theirs")
    index = json.loads((theirs / "model_index.json").read_text())
    named = index | {"id2label": {"0": "tench, Tinca tinca"}}  # as published ones have it
    (theirs / "model_index.json").write_text(json.dumps(named))
    promised = Promised().of_latents(AutoencoderConfig(source="teacher", latent_channels=4, downsampling=1), 3)
    adopt_pretrained(str(theirs), (4, 4, 4), tmp_path / "teacher", promised=promised)
    save_student(starting_network(load_network(tmp_path / "teacher")), tmp_path / "student", tmp_path / "teacher")
    assert is_saved_student(tmp_path / "student")
    ours = (
        load_sampler(tmp_path / "student", runtime).sample(X, SolverConfig(name="euler", num_steps=num_steps), LABELS).x
    )

    stock = DiTPipeline.from_pretrained(tmp_path / "student")
    assert stock.get_label_ids(["tench"]) == [0]
    decoded: list[torch.Tensor] = []
    decode = stock.vae.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusers.pipelines.dit.pipeline_dit.randn_tensor", lambda shape, **_: X.reshape(shape))
        patch.setattr(stock.vae, "decode", lambda latents: decoded.append(latents) or decode(latents))
        stock(LABELS.tolist(), guidance_scale=1.0, num_inference_steps=num_steps, output_type="np")
    assert torch.allclose(decoded[0] * stock.vae.config.scaling_factor, ours, rtol=0, atol=1e-6)


def test_the_name_that_published_ones_have_is_known(tmp_path: Path) -> None:
    """facebook/DiT-XL-2-256 was saved as a ``Transformer2DModel``, with the settings of that class."""
    edit(
        saved(tmp_path), _class_name="Transformer2DModel", _diffusers_version="0.12.0.dev0", cross_attention_dim=None,
        num_vector_embeds=None, only_cross_attention=False, use_linear_projection=False,
    )  # fmt: skip
    assert read_model(tmp_path).num_classes == 1001
    assert type(load_network(tmp_path)) is DiTTransformer2DModel


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_type": "ada_norm_single"}, "norm_type"),
        ({"_class_name": "Transformer2DModel", "norm_type": "ada_norm_single"}, "DiTTransformer2DModel, "),
        ({"sample_size": 5}, "patch_size"),
        ({"sample_size": [4, 4]}, "square"),
        ({"out_channels": 5}, "output channels"),
        ({"num_embeds_ada_norm": None}, "num_embeds_ada_norm"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"caption_channels": 8}, "caption_channels"),
        ({"_null_class": 7}, "the last of the network's 1001 classes"),
    ],
)
def test_what_is_no_dit_of_this_kind_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    edit(saved(tmp_path), **changes)
    with pytest.raises(StraightflowError, match=message):
        read_model(tmp_path)
