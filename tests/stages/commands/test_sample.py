from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import printed, refusal
from helpers.small_unet import small_unet
from PIL import Image

from pipeline.config.network import MLPConfig
from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.solvers import heun, uniform_grid
from pipeline.models.networks import build_network, starting_network
from pipeline.models.sampler import load_sampler
from pipeline.models.sampling import sample_trajectories
from pipeline.models.student import save_student


@pytest.fixture
def student(project: Path, tiny_unet) -> Path:
    save_student(tiny_unet, project / "models/student")
    return project / "models/student"


def expected_images(student: Path, runtime, count: int, steps: int) -> np.ndarray:
    sampler = load_sampler(student, runtime)
    noise = sample_noise(stream_key("evaluation", 3), range(count), sampler.shape)
    return to_uint8(sampler.sample(noise, SolverConfig(name="euler", num_steps=steps)).x).numpy()


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("L"))


def run(model: str | Path, out: Path, *options: str) -> str:
    return printed("sample", str(model), "--seed", "3", "--out", str(out), *options)


def test_a_grid_holds_the_samples_that_evaluation_measures(student: Path, tmp_path: Path, runtime) -> None:
    run(student, tmp_path / "grid.png", "--steps", "2", "--num", "5", "--batch-size", "2")
    canvas, expected = pixels(tmp_path / "grid.png"), expected_images(student, runtime, 5, 2)
    assert canvas.shape == (2 * 9 - 1, 3 * 9 - 1)
    for index, image in enumerate(expected):
        top, left = index // 3 * 9, index % 3 * 9
        # Batches of another size round differently in the last bits.
        assert np.abs(canvas[top : top + 8, left : left + 8].astype(int) - image[0]).max() <= 1


def test_files_go_to_no_folder_with_others(student: Path, tmp_path: Path) -> None:
    mine = tmp_path / "pictures/000000.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    said = refusal("sample", str(student), "--num", "1", "--files", "--out", str(mine.parent))
    assert "found: a folder with 000000.png" in said
    assert mine.read_bytes() == b"mine"


def test_files_are_one_per_image_whatever_the_batch(student: Path, tmp_path: Path, runtime) -> None:
    run(student, tmp_path / "images", "--num", "5", "--batch-size", "2", "--files")
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == [f"{index:06d}.png" for index in range(5)]
    for name, image in zip(names, expected_images(student, runtime, 5, 1), strict=True):
        assert np.abs(pixels(tmp_path / "images" / name).astype(int) - image[0]).max() <= 1


def test_a_trajectory_runs_from_the_noise_to_the_sample(student: Path, tmp_path: Path, runtime) -> None:
    run(student, tmp_path / "strip.png", "--steps", "3", "--num", "2", "--trajectory")
    assert pixels(tmp_path / "strip.png").shape == (2 * 9 - 1, 4 * 9 - 1)
    sampler = load_sampler(student, runtime)
    states = sample_trajectories(sampler, SolverConfig(name="heun", num_steps=3), 3, 2)
    noise = sample_noise(stream_key("evaluation", 3), range(2), sampler.shape)
    assert [t for t, _ in states] == pytest.approx(uniform_grid(3))
    assert np.array_equal(states[0][1], to_uint8(noise).numpy())
    with torch.inference_mode():
        end = heun(sampler.velocity_field(), noise, uniform_grid(3)).x
    assert np.array_equal(states[-1][1], to_uint8(end).numpy())
    run(student, tmp_path / "way.gif", "--steps", "3", "--num", "2", "--trajectory")
    assert getattr(Image.open(tmp_path / "way.gif"), "n_frames", 1) == 4


@pytest.mark.parametrize("options", [(), ("--trajectory",)])
@pytest.mark.usefixtures("project")
def test_models_of_points_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    architecture = MLPConfig(width=8, num_layers=1, fourier_octaves=0, longest_wavelength=1.0)
    save_student(build_network(architecture, (2,), 0), tmp_path / "flow")
    message = refusal("sample", "flow", "--out", "grid.png", "--num", "4", *options)
    assert "points of shape (2,)" in message
    assert not (tmp_path / "grid.png").exists()


def test_a_model_is_named_by_its_place_or_its_name(student: Path) -> None:
    assert run("student", Path("name.png"), "--num", "2") == "2 images of student, euler: name.png\n"
    assert run(student, Path("place.png"), "--num", "2") == f"2 images of {student}, euler: place.png\n"
    assert np.array_equal(pixels(Path("name.png")), pixels(Path("place.png")))


@pytest.mark.usefixtures("student")
def test_endings_in_capitals_and_new_folders_are_taken() -> None:
    run("student", Path("new/folder/GRID.PNG"), "--num", "2")
    run("student", Path("WAY.GIF"), "--num", "2", "--steps", "2", "--trajectory")
    kinds = []
    for path in ("new/folder/GRID.PNG", "WAY.GIF"):
        with Image.open(path) as image:
            kinds.append(image.format)
    assert kinds == ["PNG", "GIF"]


@pytest.mark.usefixtures("student")
def test_the_largest_seed_and_the_adaptive_solver_are_taken() -> None:
    options = ("--num", "2", "--seed", str(2**64 - 1), "--solver", "dopri5", "--tolerance", "1e-2", "--out", "a.png")
    assert printed("sample", "student", *options) == "2 images of student, dopri5-0.01: a.png\n"


AT_HAND = "stages.commands.sample_room.memory_at_hand"


@pytest.mark.usefixtures("student")
@pytest.mark.parametrize("options", [(), ("--trajectory",), ("--trajectory", "--steps", "1000000"), ("--files",)])
def test_images_that_nothing_can_hold_are_refused_before_any_is_drawn(options: tuple[str, ...]) -> None:
    message = refusal(
        "sample", "student", "--num", "99999999999", "--out", "a" if "--files" in options else "a.png", *options
    )
    assert "--num 99999999999" in message
    assert not Path("a").exists()
    assert not Path("a.png").exists()


@pytest.mark.usefixtures("student")
def test_the_bound_is_the_number_that_fits(monkeypatch) -> None:
    # An image of 1×8×8, three colours of it twice, and its place in the picture with the gap: a bound on the whole.
    an_image = 64 + 2 * 3 * 64 + 3 * 9 * 9
    monkeypatch.setattr(AT_HAND, lambda: 5 * an_image)
    assert printed("sample", "student", "--num", "5", "--out", "five.png")
    assert "at most 5 of 1×8×8" in refusal("sample", "student", "--num", "6", "--out", "six.png")
    state = 64 + 2 * 3 * 64 + 3 * 9 * 9
    monkeypatch.setattr(AT_HAND, lambda: 2 * (3 * state + 8 * 64))
    options = ("--steps", "2", "--trajectory", "--out", "way.png")
    assert printed("sample", "student", "--num", "2", *options)
    assert "at most 2 of 1×8×8" in refusal("sample", "student", "--num", "3", *options)


@pytest.mark.usefixtures("student")
def test_an_allocation_that_fails_midway_is_one_message(monkeypatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 25600000000 bytes.")

    monkeypatch.setattr("stages.commands.sample.sample_images", fails)
    message = refusal("sample", "student", "--num", "4", "--out", "a.png")
    assert "you tried to allocate 25600000000 bytes" in message
    assert "lower --num" in message


def test_a_student_of_two_times_is_drawn_by_its_own_steps(project: Path, tiny_unet, tmp_path: Path, runtime) -> None:
    folder = project / "models/mean_flow"
    network = starting_network(tiny_unet, two_times=True)
    torch.nn.init.ones_(network.class_embedding.linear_2.bias)
    save_student(network, folder)
    run("mean_flow", tmp_path / "images", "--num", "2", "--steps", "2", "--files")
    for name, image in zip(("000000.png", "000001.png"), expected_images(folder, runtime, 2, 2), strict=True):
        assert np.abs(pixels(tmp_path / "images" / name).astype(int) - image[0]).max() <= 1
    run("mean_flow", tmp_path / "strip.png", "--num", "2", "--steps", "2", "--trajectory")
    for more in ((), ("--trajectory",)):
        said = refusal("sample", "mean_flow", "--out", str(tmp_path / "x.png"), "--solver", "heun", *more)
        assert "'heun', which does not exist" in said
        assert "known: euler" in said


def test_all_images_are_of_the_class_that_is_asked_for(project: Path, tmp_path: Path, runtime) -> None:
    save_student(small_unet(num_class_embeds=3), project / "models/student")
    run("student", tmp_path / "one", "--num", "3", "--files", "--condition", "2")
    sampler = load_sampler(project / "models/student", runtime)
    noise = sample_noise(stream_key("evaluation", 3), range(3), sampler.shape)
    labels = torch.full((3,), 2)
    expected = to_uint8(sampler.sample(noise, SolverConfig(name="euler", num_steps=1), labels).x).numpy()
    for index, image in enumerate(expected):
        assert np.abs(pixels(tmp_path / f"one/{index:06d}.png").astype(int) - image[0]).max() <= 1
    for value in ("3", "-1"):
        out = str(tmp_path / "no.png")
        assert "a class from 0 to 2" in refusal("sample", "student", "--out", out, "--condition", value)


def test_an_unconditional_model_takes_no_condition(student: Path, tmp_path: Path) -> None:
    said = refusal("sample", str(student), "--out", str(tmp_path / "no.png"), "--condition", "0")
    assert "the model is unconditional" in said
