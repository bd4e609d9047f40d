"""Trains the autoencoder whose latents the models of the run learn, or adopts one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import ModelMixin

from pipeline.config.autoencoder import AutoencoderConfig
from pipeline.config.graph import Config
from pipeline.config.model_names import AUTOENCODER
from pipeline.config.solver import SolverConfig
from pipeline.data.sample_set import SampleSet, open_samples
from pipeline.methods.reconstruction import Reconstruction
from pipeline.models.autoencoder_network import TrainableAutoencoder, build_autoencoder
from pipeline.models.pretrained_autoencoder import adopt_autoencoder
from pipeline.models.runtime import open_runtime
from pipeline.models.saved_autoencoder import is_saved_autoencoder, save_autoencoder, with_unit_latents
from stages import paths
from stages.entry import run
from stages.recorded import recorded_autoencoder
from stages.training import Inputs, Run, heldout_data, run_training, write_training

PREVIEW_IMAGES = 64


def main(config: Config, arguments: list[str]) -> None:
    """Writes models/autoencoder and its training curve."""
    del arguments
    runtime = open_runtime(config.compute, config.launch)
    settings = config.autoencoder
    assert settings is not None  # the stage is of a configuration with one
    trained = settings.trained
    if trained is None:
        if runtime.is_main:
            commit = recorded_autoencoder(settings.source)
            adopt_autoencoder(settings, config.data.image_shape, paths.model(AUTOENCODER), commit)
            write_training(AUTOENCODER, None)
        return
    images, others = open_samples(paths.IMAGES, "train"), open_samples(paths.IMAGES, "heldout")
    shape = config.data.image_shape
    latent_shape = settings.latent_shape(shape)
    network = build_autoencoder(trained.network, shape, settings.latent_channels, trained.train.seed)
    heldout = heldout_data(trained.train.heldout_items, "autoencoder.train")
    run_training(
        Run(
            stage="autoencoder",
            name=AUTOENCODER,
            network=network,
            items=images,
            heldout=heldout,
            objective=Reconstruction(latent_shape, trained.kl_weight),
            settings=trained.train,
            inputs=inputs(settings, images),
            solver=SolverConfig(name="euler", num_steps=1),
            noise_schedule=None,
            save=partial(_save, images=images, batch_size=trained.train.batch_size),
            is_own=is_saved_autoencoder,
            preview=partial(_reconstructed, images=others, shape=latent_shape),
        ),
        config,
        runtime,
    )


def inputs(settings: AutoencoderConfig, images: SampleSet) -> Inputs:
    """What an autoencoder of ``images`` depends on."""
    return [images.fingerprint, settings.model_dump(mode="json", exclude={"train"})]


def _save(network: ModelMixin, folder: Path, *, images: SampleSet, batch_size: int) -> None:
    assert isinstance(network, TrainableAutoencoder)
    save_autoencoder(with_unit_latents(network, images, batch_size=batch_size), folder)


def _reconstructed(network: torch.nn.Module, *, images: SampleSet, shape: tuple[int, int, int]) -> torch.Tensor:
    """The first held-out images, from the means of their posteriors."""
    x = images.load(np.arange(min(PREVIEW_IMAGES, len(images))))["x_1"]
    device = next(network.parameters()).device
    found: torch.Tensor = network(x.to(device), torch.zeros(1, *shape, device=device)).sample
    return found


if __name__ == "__main__":
    run(main)
