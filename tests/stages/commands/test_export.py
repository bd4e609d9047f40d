from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.alone import execute
from helpers.command_line import printed, refusal
from helpers.small_unet import ONE_LEVEL, small_unet
from PIL import Image

from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student
from stages.commands.app import app


@pytest.fixture
def students(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models but no configuration, which an export does not need."""
    monkeypatch.chdir(tmp_path)
    save_student(small_unet(**ONE_LEVEL), tmp_path / "models/plain")
    save_student(small_unet(channels=3, num_class_embeds=4, **ONE_LEVEL), tmp_path / "models/classes")
    save_teacher(small_unet(), tmp_path / "models/teacher", training_scheduler())
    return tmp_path


def draw(programs: dict[Path, str], allowed: set[str]) -> None:
    """Runs programs by folder in processes that find installed packages, and nothing of this project."""
    for folder, code in programs.items():
        assert set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)) <= allowed
        exit_code, printed_there = execute(code, folder)
        assert exit_code == 0, printed_there


def drawn(folder: Path) -> np.ndarray:
    """Images in a folder, (count, height, width, channels)."""
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("0*.png"))]).astype(int)
    return images if images.ndim == 4 else images[..., None]


def expected(folder: Path, runtime, count: int, steps: int) -> np.ndarray:
    """Pixels of the student for the noise of the printed code, (count, height, width, channels)."""
    sampler = load_sampler(folder, runtime)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((count, *sampler.shape), dtype=np.float32))
    labels = None if sampler.num_classes is None else torch.arange(count) % sampler.num_classes
    images = sampler.sample(noise, SolverConfig(name="euler", num_steps=steps), labels).x
    return to_uint8(images).numpy().transpose(0, 2, 3, 1).astype(int)


@pytest.mark.parametrize(("format_", "library"), [("torch", "torch"), ("onnx", "onnxruntime")])
def test_the_code_draws_the_images_of_the_student_as_printed_and_wherever_the_folder_is_moved(
    students: Path, runtime, format_: str, library: str
) -> None:
    output = printed("export", "plain", "--format", format_)
    code = output[output.index("import numpy") :]
    output = printed("export", "classes", "--format", format_, "--steps", "2", "--batch", "6", "--out", "mine")
    (students / "elsewhere").mkdir()
    moved = (students / "mine").rename(students / "elsewhere/student")
    code_of_moved = (moved / "draw.py").read_text()
    assert output.endswith(code_of_moved.replace('"student.', '"mine/student.'))
    draw({students: code, moved: code_of_moved}, {"numpy", "PIL", library})
    # 1e-3 may round to the next level.
    assert np.abs(drawn(students) - expected(Path("models/plain"), runtime, 16, 1)).max() <= 1
    assert np.abs(drawn(moved) - expected(Path("models/classes"), runtime, 6, 2)).max() <= 1


def test_what_cannot_be_exported_is_refused_with_what_to_do(students: Path) -> None:
    assert "did you mean 'plain'" in refusal("export", "plian")
    assert "name a student of it" in refusal("export", "teacher")
    (students / "mine").mkdir()
    (students / "mine/work.txt").write_text("work")
    assert "move it elsewhere" in refusal("export", "plain", "--out", "mine")
    assert (students / "mine/work.txt").read_text() == "work"
    for options in (("--steps", "0"), ("--steps", "65"), ("--batch", "0"), ("--format", "coreml")):
        refusal("export", "plain", *options)
    assert not (students / "exported").exists()


@pytest.mark.usefixtures("students")
@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_package_that_is_missing_is_named_with_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == package else find(name, *more))
    message = refusal("export", "plain", "--format", "onnx")
    assert f"the package {package}" in message
    assert "pip install -e '.[export]'" in message


def test_the_command_offers_the_formats_that_there_are() -> None:
    from typing import get_args

    from pipeline.models.export.formats import FORMATS, FormatName
    from stages.commands.app import ExportFormat

    assert set(get_args(ExportFormat)) == set(get_args(FormatName)) == set(FORMATS)
    assert "export" in {command.callback.__name__ for command in app.registered_commands if command.callback}
