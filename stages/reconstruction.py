"""Measures what the autoencoder gives back of held-out images: the floor of all models of its latents."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

from pipeline.config.compute import ONE_PROCESS
from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER
from pipeline.data.sample_set import open_samples
from pipeline.evaluation.reconstruction import measure_reconstruction
from pipeline.evaluation.reference import open_run_references
from pipeline.models.autoencoder import open_autoencoder
from pipeline.models.counted import CodingCalls
from pipeline.models.runtime import open_runtime
from pipeline.system.atomic import write_json
from stages import paths
from stages.entry import run


def main(config: Config, arguments: list[str]) -> None:
    """Writes metrics/evaluate/autoencoder.json, beside those of the models, of which none may have that name."""
    del arguments
    runtime = open_runtime(config.compute, ONE_PROCESS)
    shape = config.latent_shape
    assert shape is not None  # the stage is of a configuration with an autoencoder
    autoencoder = open_autoencoder(paths.model(AUTOENCODER), runtime, shape)
    references = open_run_references(config, runtime, paths.measuring())
    began = time.monotonic()
    found = measure_reconstruction(
        autoencoder, open_samples(paths.IMAGES, "heldout"), references, batch_size=config.evaluate.batch_size
    )
    compute = autoencoder.compute(CodingCalls(), time.monotonic() - began)
    write_json(paths.evaluation(AUTOENCODER), asdict(replace(found, compute=compute)))


if __name__ == "__main__":
    run(main)
