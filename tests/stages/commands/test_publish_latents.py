"""Models of latents are published with their autoencoder: their cards draw what `straightflow sample` draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diffusers import DDIMScheduler, DiTPipeline, LDMPipeline
from helpers.command_line import printed, refusal
from helpers.project_folders import OF_THIS_PROJECT, run
from helpers.published import LICENSES, drawn_by_the_card, images, publish, run_alone, snippets, space_image
from helpers.recorded_latent_run import (
    HELDOUT_FID,
    NUM_HELDOUT,
    RECONSTRUCTION_FID,
    record_latents,
    recorded_latent_run,
)
from helpers.recorded_run import COST
from helpers.small_autoencoder import small_autoencoder, with_autoencoder
from helpers.small_dit import small_dit
from helpers.small_text_model import small_condition_unet
from helpers.small_unet import small_unet
from huggingface_hub import ModelCard
from PIL import Image

from pipeline.models.class_counts import set_class_counts
from pipeline.models.networks import set_null_class
from pipeline.models.student import save_student
from pipeline.report.publishing.stock_model import open_stock_model
from pipeline.system.errors import StraightflowError

KINDS = ("AutoencoderKL", "AutoencoderTiny", "VQModel")
SAMPLE = ("--num", "16", "--files", "--out", "drawn")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unet_run(kind: str = "AutoencoderKL", conditions: dict[str, Any] | None = None) -> None:
    """The current folder with a finished run in it, of UNets of latents."""
    network = small_unet(2, sample_size=4, **(conditions or {}))
    if conditions:
        set_null_class(network, 2)
        set_class_counts(network, np.repeat(np.arange(2), (9, 1)))
    teacher = small_unet(2, sample_size=4)
    recorded_latent_run(Path(), teacher, network, with_autoencoder(Path("theirs"), kind))


def dit_run(kind: str = "AutoencoderKL", **changes: Any) -> None:
    """The same of DiTs of two classes and the one that stands for none; the teacher's has a learned variance."""
    teacher, network = (small_dit(in_channels=2, out_channels=count, num_embeds_ada_norm=2) for count in (4, 2))
    DiTPipeline(teacher, small_autoencoder(kind, **changes), DDIMScheduler()).save_pretrained("theirs")
    recorded_latent_run(Path(), teacher, network, Path("theirs"))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("conditions", [{}, {"num_class_embeds": 3}])
def test_the_card_draws_what_sample_draws_to_the_bit(kind: str, conditions: dict[str, Any], here: Path) -> None:
    unet_run(kind, conditions)
    folder = publish()
    printed("sample", "few_step", "--steps", "1", *SAMPLE)
    drawn = images(Path("drawn"))
    assert (drawn.shape, drawn.min() < drawn.max()) == ((16, 8, 8), True)
    assert np.array_equal(drawn_by_the_card(folder, here), drawn)
    assert len(snippets(folder)) == (1 if conditions else 2)  # LDMPipeline passes no class
    assert type(LDMPipeline.from_pretrained(folder).vqvae).__name__ == kind


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("kind", "shift"), [*((kind, 0.0) for kind in KINDS), ("AutoencoderKL", 0.25)])
def test_so_does_that_of_a_transformer(kind: str, shift: float, here: Path) -> None:
    dit_run(kind, **({"shift_factor": shift} if shift else {}))
    folder = publish()
    printed("sample", "few_step", "--steps", "1", *SAMPLE)
    assert np.array_equal(drawn_by_the_card(folder, here), images(Path("drawn")))
    assert len(snippets(folder)) == (1 if shift else 2)  # DiTPipeline ignores a shift
    assert type(DiTPipeline.from_pretrained(folder).vae).__name__ == kind


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("made", [unet_run, dit_run])
def test_at_several_steps_and_in_the_space_as_well(made, here: Path) -> None:
    made()
    folder = publish("few_step", "--space")
    text = (folder / "README.md").read_text()
    changed = text.replace("num_steps, num_images, seed = 1, 16, 0", "num_steps, num_images, seed = 3, 5, 7")
    (folder / "README.md").write_text(changed)
    printed("sample", "few_step", "--steps", "3", "--num", "5", "--seed", "7", "--files", "--out", "drawn")
    drawn = images(Path("drawn"))
    assert np.array_equal(drawn_by_the_card(folder, here), drawn)
    printed("sample", "few_step", "--steps", "3", "--num", "1", "--seed", "7", "--files", "--out", "one")
    assert np.array_equal(space_image(folder, here, 3, 7), images(Path("one"))[0])


@pytest.mark.usefixtures("one_thread")
def test_in_the_precision_that_was_measured_as_well(here: Path) -> None:
    """Decoding is in it too."""
    unet_run()
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["compute"]["precision"] = "bf16"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    measured = Path("metrics/evaluate/few_step.json")
    measured.write_text(json.dumps(json.loads(measured.read_text()) | {"precision": "bf16"}))
    record_latents(Path())
    folder = publish()
    # In a process of its own, as each has one precision.
    run(here, "stages.commands", "sample", "few_step", "--steps", "1", *SAMPLE, **OF_THIS_PROJECT)
    assert np.array_equal(drawn_by_the_card(folder, here), images(Path("drawn")))


@pytest.mark.parametrize("made", [unet_run, dit_run])
def test_the_short_snippet_draws_an_image(made, here: Path) -> None:
    made()
    folder = publish()
    shutil.copytree(folder, here / "copy")
    run_alone(snippets(folder)[0], here / "copy")
    assert Image.open(here / "copy/image.png").size == (8, 8)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("made", [unet_run, dit_run])
def test_a_teacher_is_drawn_by_the_stock_solver_to_rounding(made, here: Path) -> None:
    made()
    folder = publish("teacher")
    printed("sample", "teacher", "--solver", "ddim", "--steps", "20", *SAMPLE)
    assert np.abs(drawn_by_the_card(folder, here).astype(int) - images(Path("drawn"))).max() <= 1


def test_the_card_says_what_decodes_and_what_that_loses() -> None:
    unet_run()
    text = (publish() / "README.md").read_text()
    assert "grey images of 8 × 8 pixels and no other size" in text
    assert "latents of 2 × 4 × 4, which the `AutoencoderKL` in `vqvae/` decodes" in text
    assert (
        f"Reconstructions of {NUM_HELDOUT} held-out images by the autoencoder have FID {RECONSTRUCTION_FID:.2f} by "
        f"classifier, where the images themselves have {HELDOUT_FID:.2f}"
    ) in text
    # Autoencoder, encoding, teacher, couplings, round1 and few_step: six stages.
    assert f"took {6 * COST.flops:.2g} FLOPs and {6 * COST.seconds:.0f} device seconds.\n" in text
    assert "the steps of the stock scheduler are those measured below" in text


def test_a_transformer_is_given_its_class_by_its_pipeline() -> None:
    dit_run()
    text = (publish() / "README.md").read_text()
    assert "a class from 0 to 1 and on nothing else; its numbers are without guidance, `guidance_scale=1.0`" in text


def test_what_is_published_is_sampled_like_the_one_in_the_run_and_a_flipped_byte_is_refused() -> None:
    unet_run()
    folder = publish()
    for model, out in (("few_step", "a.png"), (str(folder), "b.png")):
        printed("sample", model, "--steps", "2", "--num", "4", "--out", out)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    weights = folder / "vqvae/diffusion_pytorch_model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "vqvae/diffusion_pytorch_model.safetensors" in refusal("sample", str(folder), "--out", "c.png")
    assert weights.name in (folder / "SHA256SUMS").read_text()


def run_with_autoencoder_of(source: str) -> None:
    """A run whose autoencoder was brought along from ``source``."""
    unet_run()
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["autoencoder"] = {"source": source, "latent_channels": 2, "downsampling": 2}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    record_latents(Path())


def test_an_autoencoder_that_was_brought_along_has_a_license_and_no_cost() -> None:
    run_with_autoencoder_of("theirs")
    assert "--autoencoder-license" in refusal("publish", "few_step", *LICENSES)
    card = ModelCard.load(publish("few_step", "--autoencoder-license", "openrail") / "README.md")
    assert card.data.to_dict()["autoencoder_license"] == "openrail"
    assert "- The autoencoder, which was brought along: openrail" in str(card)
    # Without the autoencoder five stages are left.
    assert f"took {5 * COST.flops:.2g} FLOPs and {5 * COST.seconds:.0f} device seconds, without its autoencoder" in str(
        card
    )


def test_one_of_the_hub_is_named_with_its_license() -> None:
    run_with_autoencoder_of("you/vae")
    text = (publish("few_step", "--autoencoder-license", "mit") / "README.md").read_text()
    assert "- The autoencoder, you/vae: mit" in text


def test_a_license_of_an_autoencoder_that_is_trained_here_is_refused() -> None:
    unet_run()
    message = refusal("publish", "few_step", *LICENSES, "--autoencoder-license", "mit")
    assert "--autoencoder-license mit" in message


@pytest.mark.parametrize("path", ["metrics/evaluate/autoencoder.json", "metrics/training/autoencoder.encoding.json"])
def test_a_changed_file_is_refused(path: str) -> None:
    unet_run()
    Path(path).write_text(Path(path).read_text() + " ")
    assert path in refusal("publish", "few_step", *LICENSES)
    assert not Path("published").exists()


def test_reconstructions_of_another_autoencoder_are_refused() -> None:
    unet_run()
    former = yaml.safe_load(Path("dvc.lock").read_text())["stages"]["reconstruction@data"]
    former["deps"][0]["md5"] = "0" * 32 + ".dir"
    record_latents(Path(), {"reconstruction@data": former})
    message = refusal("publish", "few_step", *LICENSES)
    assert "models/autoencoder has been made again since reconstruction@data read it" in message


def test_a_model_that_reads_text_is_refused_in_one_message() -> None:
    unet_run()
    shutil.rmtree("models/few_step")
    small_condition_unet().save_pretrained("models/few_step/unet")
    message = refusal("publish", "few_step")
    assert "a UNet2DConditionModel that reads text, models/few_step" in message
    assert "its stock pipeline opens it" in message
    assert not Path("published").exists()


def test_a_transformer_without_its_autoencoder_is_refused() -> None:
    save_student(small_dit(in_channels=2, out_channels=2), Path("student"))
    with pytest.raises(StraightflowError, match="a DiTTransformer2DModel without an autoencoder, student"):
        open_stock_model(Path("student"))
