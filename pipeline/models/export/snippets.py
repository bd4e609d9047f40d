"""Code that draws images with an exported file, without this project."""

from __future__ import annotations

import json

from pipeline.models.accepted_teacher import AcceptedFlow, num_conditions
from pipeline.models.export.formats import FormatName

FREE_IMAGES = 16
"""Images that are drawn where the batch is free."""


def drawing_code(name: FormatName, location: str, model: AcceptedFlow, batch: int | None) -> str:
    """A whole program that writes 000000.png, … to the current folder.

    Args:
        name: Of the format.
        location: Of the file.
        model: What was exported.
        batch: That the file takes; None for any.
    """
    classes, count = num_conditions(model), batch or FREE_IMAGES
    labels = "" if classes is None else f"\nlabels = np.arange({count}, dtype=np.int64) % {classes}"
    write = _with_torch if name == "torch" else _with_onnx
    imported, drawn = write(json.dumps(location), labelled=classes is not None)
    return f"""import numpy as np
{imported}
from PIL import Image

noise = np.random.default_rng(0).standard_normal({(count, *model.shape)}, dtype=np.float32){labels}
{drawn}
pixels = ((images + 1) * 127.5).round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
for index, image in enumerate(pixels):
    Image.fromarray(image.squeeze()).save(f"{{index:06d}}.png")
"""


def _with_torch(location: str, *, labelled: bool) -> tuple[str, str]:
    labels = ", torch.from_numpy(labels)" if labelled else ""
    return (
        "import torch",
        f"""student = torch.export.load({location}).module()
with torch.inference_mode():
    images = student(torch.from_numpy(noise){labels}).numpy()""",
    )


def _with_onnx(location: str, *, labelled: bool) -> tuple[str, str]:
    labels = ', "labels": labels' if labelled else ""
    return (
        "import onnxruntime",
        f"""student = onnxruntime.InferenceSession({location}, providers=["CPUExecutionProvider"])
(images,) = student.run(None, {{"x_0": noise{labels}}})""",
    )
