"""Encodes the data once, for models that are trained on latents."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from functools import partial

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER
from pipeline.data.latents import prepare_latents
from pipeline.models.autoencoder import load_autoencoder, open_autoencoder
from pipeline.models.counted import CodingCalls
from pipeline.models.runtime import open_runtime
from pipeline.models.saved_autoencoder import save_part
from pipeline.system.atomic import write_json
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes data/latents: both splits, in float16, with the autoencoder; and what encoding took, for the ledger."""
    del arguments
    settings = config.latents["data"]
    # In float32 on every device: a model should not learn the rounding of the machine that encoded its data.
    runtime = replace(open_runtime(config.compute, ONE_PROCESS), precision="fp32")
    folder, shape = paths.model(AUTOENCODER), config.latent_shape
    assert shape is not None  # the stage is of a configuration with an autoencoder
    autoencoder, began = open_autoencoder(folder, runtime, shape), time.monotonic()
    prepare_latents(
        paths.IMAGES,
        paths.LATENTS,
        autoencoder.encode,
        partial(save_part, load_autoencoder(folder)),
        batch_size=settings.batch_size,
    )
    compute = autoencoder.compute(CodingCalls(), time.monotonic() - began)
    write_json(paths.encoding_cost(), {"compute": asdict(compute)})


if __name__ == "__main__":
    run(main)
