"""The files of a Space of the hub that draws with a published model, in stock diffusers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import indent

from huggingface_hub import SpaceCard, SpaceCardData

from pipeline.models.accepted_teacher import AcceptedTeacher, num_conditions
from pipeline.report.publishing.snippets import (
    NOISE_STREAMS,
    Drawing,
    diffusers_import,
    exact_images,
    noises,
    solution,
)
from pipeline.system.errors import StraightflowError

SPACE = "space"
SDK_VERSION = "6.31.0"
"""Of gradio, that ``app.py`` is tested with."""
NEEDED = ("diffusers", "numpy", "torch")
LARGEST_STUDENT_STEPS, LARGEST_TEACHER_STEPS = 32, 100
SHOWN_PIXELS = 512


def space_files(
    name: str,
    repository: str | None,
    license_: str,
    drawing: Drawing,
    exact_steps: int | None,
    packages: Mapping[str, str],
) -> dict[str, bytes]:
    """Content of the Space's files, by path in the published folder.

    Args:
        name: Of the model.
        repository: Id of the model on the hub; None where it is published to a folder.
        license_: Of the model.
        drawing: What the card's code draws.
        exact_steps: The only number of steps that the model is for; None for any.
        packages: Versions of packages by name.

    Raises:
        StraightflowError: If no solver of stock diffusers draws what is measured.
    """
    if exact_images(drawing) is None:
        raise StraightflowError(
            expected="a model that a solver of stock diffusers draws with, for --space",
            found=f"{name}, whose process explodes in variance: its stock pipeline adds noise at every step",
            mend="leave --space out, or publish a student",
        )
    card = SpaceCardData(
        title=name,
        sdk="gradio",
        sdk_version=SDK_VERSION,
        app_file="app.py",
        license=license_,
        models=None if repository is None else [repository],
    )
    texts = {
        "README.md": str(SpaceCard(f"---\n{card.to_yaml()}\n---\n\n{_introduction(name)}\n")),
        "app.py": _app(name, repository, drawing, exact_steps),
        "requirements.txt": "".join(f"{package}=={packages[package].partition('+')[0]}\n" for package in NEEDED),
    }
    return {f"{SPACE}/{file}": text.encode() for file, text in texts.items()}


def _introduction(name: str) -> str:
    return (
        f"Draws with `{name}`, in stock diffusers. The image of a seed is the first one that "
        f"`straightflow sample {name} --seed SEED` draws with as many steps."
    )


def _app(name: str, repository: str | None, drawing: Drawing, exact_steps: int | None) -> str:
    classes = num_conditions(drawing.model.accepted)
    _, height, width = drawing.model.image_shape
    scale = max(1, SHOWN_PIXELS // max(height, width))
    none_chosen = "" if classes is None else "OF_THE_NOISE = -1\n"
    chosen = "" if classes is None else "\n    if label != OF_THE_NOISE:\n        labels = torch.tensor([label])"
    label = "" if classes is None else ", label=OF_THE_NOISE"
    return f'''"""Draws images with {name}, in stock diffusers."""

import hashlib
from pathlib import Path

import gradio as gr
import numpy as np
import torch
{diffusers_import(drawing)}
from PIL import Image

{_location(repository)}
{none_chosen}pipeline = DiffusionPipeline.from_pretrained(MODEL)


{NOISE_STREAMS}

def draw(num_steps, seed{label}):
    """The image of this seed at its own size."""
    num_images = 1
{indent(noises(drawing), "    ")}{chosen}
{indent(solution(drawing), "    ")}
    return Image.fromarray(pixels[0].squeeze())


def enlarged(*choices):
    """Every pixel becomes {scale} x {scale} equal ones."""
    return draw(*map(int, choices)).resize(({scale * width}, {scale * height}), Image.Resampling.NEAREST)


page = gr.Interface(
    enlarged,
    [
        {_steps_input(drawing, exact_steps)},
        gr.Slider(0, 9999, 0, step=1, label="Seed of the noise"),{_class_input(classes)}
    ],
    gr.Image(format="png", label="Image", width={scale * width}, height={scale * height}),
    title={json.dumps(name)},
    flagging_mode="never",
    analytics_enabled=False,
)

if __name__ == "__main__":
    page.launch()
'''


def _location(repository: str | None) -> str:
    if repository is not None:
        return f"MODEL = {json.dumps(repository)}"
    return (
        "# The published folder, in which this one lies. In a Space of its own: the id of the model on the hub.\n"
        "MODEL = str(Path(__file__).resolve().parents[1])"
    )


def _steps_input(drawing: Drawing, exact_steps: int | None) -> str:
    if exact_steps is not None:
        return f'gr.Radio([{exact_steps}], value={exact_steps}, label="Steps")'
    most = LARGEST_TEACHER_STEPS if isinstance(drawing.model.accepted, AcceptedTeacher) else LARGEST_STUDENT_STEPS
    return f'gr.Slider(1, {most}, {drawing.steps}, step=1, label="Steps")'


def _class_input(classes: int | None) -> str:
    if classes is None:
        return ""
    return f"""
        gr.Dropdown(
            [("that of the noise", OF_THE_NOISE), *((str(label), label) for label in range({classes}))],
            value=OF_THE_NOISE,
            label="Class",
        ),"""
