"""What is published, looked at and run as others do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.alone import execute
from helpers.command_line import printed

LICENSES = ("--license", "mit", "--data-license", "bsd-3-clause")
IN_THE_CARD = re.compile(r"```python\n(.*?)```", re.DOTALL)


def publish(model: str = "few_step", *options: str) -> Path:
    """The folder that a model of the run in the current folder was published to."""
    printed("publish", model, *LICENSES, "--to", f"./out/{model}", *options)
    return Path("out") / model


def snippets(folder: Path) -> list[str]:
    """The code on a card, in order."""
    return IN_THE_CARD.findall((folder / "README.md").read_text())


def run_alone(code: str, folder: Path) -> None:
    """Runs code in a process that finds installed packages, but nothing of this project."""
    imported = re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)
    assert set(imported) <= {"hashlib", "numpy", "torch", "diffusers", "PIL", "runpy"}
    exit_code, printed_there = execute(code, folder)
    assert exit_code == 0, printed_there


def images(folder: Path) -> np.ndarray:
    """Numbered images, (num, height, width), grey."""
    return np.stack([np.asarray(Image.open(path).convert("L")) for path in sorted(folder.glob("0*.png"))])


def drawn_by_the_card(folder: Path, tmp_path: Path) -> np.ndarray:
    """Images of the last snippet, run exactly as the card has it, on a copy, as the pictures are no part of it."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    run_alone(snippets(copy)[-1], copy)
    return images(copy)


def space_image(folder: Path, tmp_path: Path, *choices: int) -> np.ndarray:
    """What the Space's drawing function draws in a process of its own, on a copy; 8×8 images are shown at 512×512."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    imported = re.findall(r"^(?:from|import) (\w+)", (copy / "space/app.py").read_text(), re.MULTILINE)
    assert set(imported) <= {"hashlib", "pathlib", "gradio", "numpy", "torch", "diffusers", "PIL"}
    call = "import runpy\napp = runpy.run_path('space/app.py')\n"
    run_alone(f"{call}app['draw']{choices}.save('drawn.png')\napp['enlarged']{choices}.save('shown.png')", copy)
    drawn, shown = (np.asarray(Image.open(copy / name).convert("L")) for name in ("drawn.png", "shown.png"))
    assert np.array_equal(shown, np.kron(drawn, np.ones((64, 64), dtype=np.uint8)))  # 512 pixels, not blurred
    return drawn
