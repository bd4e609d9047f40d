"""Exported students: their images are those of :meth:`Sampler.sample`, which solves the same ODE by its own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DModel
from helpers.small_unet import ONE_LEVEL, small_unet

from pipeline.config.network import MLPConfig
from pipeline.config.solver import SolverConfig
from pipeline.models.export.folder import Export, is_exported, write_export
from pipeline.models.export.formats import FORMATS, FormatName
from pipeline.models.export.program import trace_program
from pipeline.models.export.snippets import drawing_code
from pipeline.models.export.student import open_student
from pipeline.models.export.verified import require_same_images
from pipeline.models.networks import build_network, set_null_class, starting_network
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError


def with_attention() -> UNet2DModel:
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    return small_unet(channels=3, attention_head_dim=4, **blocks)


def of_classes() -> UNet2DModel:
    return small_unet(num_class_embeds=4, **ONE_LEVEL)


def of_two_times() -> UNet2DModel:
    """Heeds the second time, which a fresh one does not."""
    network = starting_network(small_unet(**ONE_LEVEL), two_times=True)
    for parameter in network.class_embedding.linear_2.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
    return network.eval()


def inputs(sampler, batch: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(batch)
    noise = torch.randn((batch, *sampler.shape), generator=generator)
    if sampler.num_classes is None:
        return (noise,)
    return noise, torch.randint(sampler.num_classes, (batch,), generator=generator)


def error(folder: Path, runtime: Runtime, draw: Callable[..., torch.Tensor], steps: int, batch: int) -> float:
    """Largest difference from the images that the saved student draws."""
    sampler = load_sampler(folder, runtime)
    given = inputs(sampler, batch)
    expected = sampler.sample(given[0], SolverConfig(name="euler", num_steps=steps), *given[1:]).x
    with torch.inference_mode():
        found = draw(*given)
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    return float((found - expected).abs().max())


# Tracing takes as long as the network is deep, and its steps many: one step of the deep one, two of each shallow one.
@pytest.mark.parametrize(("network", "steps"), [(with_attention, 1), (of_classes, 2), (of_two_times, 2)])
@pytest.mark.parametrize(("name", "tolerance"), [("torch", 1e-6), ("onnx", 1e-3)])
def test_a_file_draws_the_samples_of_the_student_in_any_batch(
    network: Callable[[], UNet2DModel], steps: int, name: FormatName, tolerance: float, tmp_path: Path, runtime: Runtime
) -> None:
    save_student(network(), tmp_path / "student")
    exported = write_export(Export(tmp_path / "student", name, steps, None), tmp_path / "out", version="1")
    draw = FORMATS[name].open(exported.file)
    # 64 is where the stock network branches, as it doubles sides: the one of two levels does.
    for batch in (1, 5, 64):
        assert error(tmp_path / "student", runtime, draw, steps, batch) <= tolerance


@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_a_file_of_a_fixed_batch_takes_that_alone(name: FormatName, tmp_path: Path, runtime: Runtime) -> None:
    save_student(small_unet(**ONE_LEVEL), tmp_path / "student")
    exported = write_export(Export(tmp_path / "student", name, 1, 2), tmp_path / "out", version="1")
    draw = FORMATS[name].open(exported.file)
    assert error(tmp_path / "student", runtime, draw, 1, 2) <= (1e-6 if name == "torch" else 1e-3)
    with pytest.raises(Exception, match=r"(?i)shape|dimension|size"):  # each library has its own type
        draw(torch.zeros(3, 1, 8, 8))


def test_a_network_that_computes_by_the_batch_needs_a_fixed_one(tmp_path: Path, runtime: Runtime) -> None:
    save_student(small_unet(up_block_types=("ResnetUpsampleBlock2D", "UpBlock2D")), tmp_path / "student")
    with pytest.raises(StraightflowError, match="--batch 1"):
        write_export(Export(tmp_path / "student", "torch", 1, None), tmp_path / "out", version="1")
    assert not (tmp_path / "out").exists()
    exported = write_export(Export(tmp_path / "student", "torch", 1, 1), tmp_path / "out", version="1")
    assert error(tmp_path / "student", runtime, FORMATS["torch"].open(exported.file), 1, 1) <= 1e-6


def test_tracing_leaves_the_student_as_it_was(tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path)
    student = open_student(tmp_path, 1)
    before = [type(module) for module in student.steps.modules()]
    trace_program(student, None)
    assert [type(module) for module in student.steps.modules()] == before


def test_teachers_and_models_of_points_are_refused(tmp_path: Path) -> None:
    save_teacher(small_unet(), tmp_path / "teacher", training_scheduler())
    with pytest.raises(StraightflowError, match=r"a diffusion model(.|\n)*name a student of it"):
        open_student(tmp_path / "teacher", 1)
    architecture = MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=1.0)
    save_student(build_network(architecture, (2,), 0), tmp_path / "points")
    with pytest.raises(StraightflowError, match="a student of images"):
        open_student(tmp_path / "points", 1)


@pytest.mark.parametrize("mistake", [0.0011, float("nan")])
def test_a_file_that_draws_other_images_is_refused(mistake: float, tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path)
    student = open_student(tmp_path, 1)
    with pytest.raises(StraightflowError, match=r"differ from the student's by at most 0\.001"):
        require_same_images(student, lambda x_0: student.steps(x_0) + mistake, None)
    assert require_same_images(student, lambda x_0: student.steps(x_0) + 0.0009, 1) == pytest.approx(0.0009, abs=1e-6)


def test_only_an_untouched_export_is_replaced(tmp_path: Path) -> None:
    save_student(small_unet(**ONE_LEVEL), tmp_path / "student")
    one, two = (Export(tmp_path / "student", "torch", steps, 1) for steps in (1, 2))
    out = tmp_path / "out"
    write_export(one, out, version="1")
    assert is_exported(out)
    write_export(two, out, version="1")
    assert json.loads((out / "export.json").read_text())["steps"] == 2
    (out / "notes.txt").write_text("mine")
    with pytest.raises(StraightflowError, match=r"expected: nothing at .*out"):
        write_export(one, out, version="1")
    assert (out / "notes.txt").read_text() == "mine"
    assert json.loads((out / "export.json").read_text())["steps"] == 2


def test_a_folder_with_hashes_of_another_kind_is_no_export(tmp_path: Path) -> None:
    """As a published model is."""
    from pipeline.system.sums import write_sums

    (tmp_path / "provenance.json").write_text("{}")
    write_sums(tmp_path)
    assert not is_exported(tmp_path)


def test_the_code_asks_for_no_null_class(tmp_path: Path) -> None:
    network = of_classes()
    set_null_class(network, 3)
    save_student(network, tmp_path)
    assert "np.arange(2, dtype=np.int64) % 3" in drawing_code("onnx", "file", open_student(tmp_path, 1).model, 2)
