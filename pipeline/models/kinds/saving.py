"""Saves a pipeline part by part, where its class would need the parts that are not at hand, or their libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
from diffusers import ModelMixin

from pipeline.system.atomic import write_json


def save_parts(pipeline: str, part: str, network: ModelMixin, scheduler: Any, folder: Path) -> None:
    """Writes what ``pipeline.save_pretrained`` does of a network and a scheduler, and an index of the two.

    Args:
        pipeline: Name of the stock pipeline's class.
        part: What it calls the network.
        network: A stock one.
        scheduler: A stock one.
        folder: Where they go.
    """
    network.save_pretrained(folder / part)
    scheduler.save_pretrained(folder / "scheduler")
    classes = {part: type(network).__name__, "scheduler": type(scheduler).__name__}
    index = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__}
    write_json(folder / "model_index.json", index | {name: ["diffusers", kind] for name, kind in classes.items()})
