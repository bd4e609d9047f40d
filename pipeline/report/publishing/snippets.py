"""Code on a card that draws images with stock diffusers alone, without this project.

The times of students are those of :mod:`pipeline.models.student`, the noises those of :mod:`pipeline.flow.noise`, so
image i is the one that ``straightflow sample`` draws and evaluation measures.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher, num_conditions
from pipeline.models.class_counts import CLASS_COUNTS
from pipeline.report.publishing.stock_model import Decoder, StockModel


@dataclass(frozen=True)
class Drawing:
    """What a snippet draws.

    Attributes:
        location: A folder, or the id of a repository on the hub.
        model: How diffusers calls it.
        steps: Steps of the solver.
        precision: Type of network calls.
    """

    location: str
    model: StockModel
    steps: int
    precision: Literal["fp32", "bf16"]


def pipeline_call(drawing: Drawing) -> str | None:
    """The call of the stock pipeline; None where its own call does not draw what is measured."""
    if not drawing.model.draws_by_its_call:
        return None
    of_class = "" if drawing.model.accepted.num_classes is None else "class_labels=[0], guidance_scale=1.0, "
    return f"""import torch
from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained({json.dumps(drawing.location)})
generator = torch.Generator().manual_seed(0)
pipeline({of_class}num_inference_steps={drawing.steps}, generator=generator).images[0].save("image.png")
"""


def exact_images(drawing: Drawing) -> str | None:
    """The images of ``straightflow sample --files``; None of a variance-exploding process, which DDIM does not take.

    Of a flow they are the same to the bit on the same machine; of a diffusion model, whose stock solver sums in another
    order, to rounding where the steps divide the noise levels.
    """
    model = drawing.model.accepted
    if isinstance(model, AcceptedTeacher) and model.noise_schedule.exploding:
        return None
    return f"""import hashlib

import numpy as np
import torch
{diffusers_import(drawing)}
from PIL import Image

num_steps, num_images, seed = {drawing.steps}, 16, 0


{NOISE_STREAMS}

pipeline = DiffusionPipeline.from_pretrained({json.dumps(drawing.location)})
{noises(drawing)}
{solution(drawing)}
for index, image in enumerate(pixels):
    Image.fromarray(image.squeeze()).save(f"{{index:06d}}.png")
"""


NOISE_STREAMS = """def key_of(name):
    return int.from_bytes(hashlib.sha256(f"straightflow/{name}".encode()).digest()[:8], "little")


def stream(key, index):
    return np.random.Generator(np.random.Philox(key=np.array([key, index], dtype=np.uint64)))
"""


def diffusers_import(drawing: Drawing) -> str:
    """What :func:`solution` takes from diffusers."""
    names = (
        "DiffusionPipeline" if isinstance(drawing.model.accepted, AcceptedFlow) else "DDIMScheduler, DiffusionPipeline"
    )
    return f"from diffusers import {names}"


def noises(drawing: Drawing) -> str:
    """Lines that make ``x``, and ``labels`` of a class-conditional model, of ``seed`` and ``num_images``."""
    model = drawing.model.accepted
    classes = num_conditions(model)
    labels = (
        ""
        if classes is None
        else f"""
label_key = key_of(f"labels/{{noise_key}}")
below = np.cumsum(pipeline.{drawing.model.part}.config.get("{CLASS_COUNTS}") or [1] * {classes})
drawn = [stream(label_key, index).integers(below[-1]) for index in range(num_images)]
labels = torch.from_numpy(np.searchsorted(below, drawn, side="right"))"""
    )
    return f"""noise_key = key_of(f"evaluation/{{seed}}")
streams = [stream(noise_key, index) for index in range(num_images)]
noise = np.stack([numbers.standard_normal({model.shape}, dtype=np.float32) for numbers in streams])
x = torch.from_numpy(noise){labels}"""


def solution(drawing: Drawing) -> str:
    """Lines that make ``pixels``, uint8 (num_images, height, width, channels), of ``x`` in ``num_steps`` steps."""
    model, network = drawing.model.accepted, f"pipeline.{drawing.model.part}"
    autocast = ', torch.autocast("cpu", torch.bfloat16)' if drawing.precision == "bf16" else ""
    passed = "" if num_conditions(model) is None else ", labels"
    if isinstance(model, AcceptedFlow) and model.two_times:
        passed = ", 1000 * (1 - torch.full((num_images,), end))"
    steps = (
        _flow_steps(network, passed)
        if isinstance(model, AcceptedFlow)
        else _ddim_steps(network, passed, model.shape[0])
    )
    return f"""with torch.inference_mode(){autocast}:
{steps}{"" if drawing.model.decoder is None else _decoding(drawing.model.decoder)}
pixels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()"""


def _flow_steps(network: str, passed: str) -> str:
    return f"""    for step in range(num_steps):
        start, end = step / num_steps, (step + 1) / num_steps
        timestep = 1000 * (1 - torch.full((num_images,), start))
        x = x - (end - start) * {network}(x, timestep{passed}).sample.float()"""


def _ddim_steps(network: str, passed: str, channels: int) -> str:
    """A learned variance, in the further channels of some networks, is not needed."""
    return f"""    settings = {{"timestep_spacing": "trailing", "clip_sample": False, "thresholding": False}}
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **settings)
    scheduler.set_timesteps(num_steps)
    for timestep in scheduler.timesteps:
        output = {network}(x, timestep.expand(num_images){passed}).sample[:, :{channels}].float()
        x = scheduler.step(output, timestep, x).prev_sample"""


def _decoding(decoder: Decoder) -> str:
    """In calls of as many images as here, since a sum may be rounded otherwise in a call of another number."""
    shift = "" if decoder.shift == 0 else f" + {decoder.shift}"
    return f"""
    parts = (x / {decoder.scale}{shift}).split({decoder.images_at_once})
    x = torch.cat([pipeline.{decoder.part}.decode(part).sample.float() for part in parts])"""
