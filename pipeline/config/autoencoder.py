"""The autoencoder of a run on latents: images are encoded before networks see them, and decoded to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import model_validator

from pipeline.config.autoencoder_network import AutoencoderNetworkConfig
from pipeline.config.latent_space import LatentSpaceConfig
from pipeline.config.model_names import TEACHER
from pipeline.config.section import NonNegativeFloat, PathText, PositiveInt, Section
from pipeline.config.training import TrainingConfig

TRAIN = "train"
"""A source that is no path, as is the teacher."""


@dataclass(frozen=True)
class AutoencoderTraining:
    """How an autoencoder is trained here, see :class:`AutoencoderConfig`."""

    network: AutoencoderNetworkConfig
    kl_weight: float
    train: TrainingConfig


class LatentsConfig(Section):
    """The data as latents, encoded once.

    Attributes:
        batch_size: Images per call of the encoder.
    """

    batch_size: PositiveInt = 500


class AutoencoderConfig(LatentSpaceConfig):
    """The autoencoder that the models of a run make latents of.

    Attributes:
        source: ``teacher``: it lies in the folder of ``teacher.pretrained``, as stock pipelines of latent models save
            it, and is compared with what is said here. ``train``: it is trained on the data. Anything else is the
            folder of one, by itself or in the folder of a latent model, or the hub id of such.
        network: Architecture where it is trained here; null otherwise.
        kl_weight: Weight of the divergence of its posteriors from N(0, I), see
            :class:`pipeline.methods.reconstruction.Reconstruction`.
        train: Training settings where it is trained here; null otherwise.
    """

    source: PathText

    network: AutoencoderNetworkConfig | None = None
    kl_weight: NonNegativeFloat = 1e-6
    train: TrainingConfig | None = None

    @property
    def trained(self) -> AutoencoderTraining | None:
        """How it is trained here; None if it is brought along."""
        if self.network is None or self.train is None:
            return None
        return AutoencoderTraining(self.network, self.kl_weight, self.train)

    @property
    def is_brought_along(self) -> bool:
        """Whether it comes from elsewhere by itself, neither trained here nor with the teacher."""
        return self.source not in (TEACHER, TRAIN)

    @model_validator(mode="after")
    def _settings_are_of_the_source(self) -> AutoencoderConfig:
        for name in ("network", "train"):
            given = getattr(self, name) is not None
            if given != (self.source == TRAIN):
                raise ValueError(
                    f"source {self.source!r} takes no {name}; leave it out, or write source: train"
                    if given
                    else f"source 'train' needs {name}; give it, or name the folder of an autoencoder as source"
                )
        if not self.source.strip():
            raise ValueError("source is empty; write teacher, train, or the folder or hub id of an autoencoder")
        if self.network is not None and self.network.downsampling != self.downsampling:
            raise ValueError(
                f"downsampling is {self.downsampling}, but network.block_out_channels has "
                f"{len(self.network.block_out_channels)} levels, which halve sides to "
                f"1/{self.network.downsampling}; give one level more than halvings"
            )
        return self
