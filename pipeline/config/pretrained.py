"""What is said of a pretrained teacher, for `check` and for who adopts it to compare with its files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.config.latent_space import LatentSpaceConfig

Process = Literal["diffusion", "flow"]


@dataclass(frozen=True)
class Promised:
    """What the configuration says of a pretrained teacher.

    Attributes:
        process: ``diffusion`` or ``flow``.
        null_class: Class that stands for none; None where every class is one.
        autoencoder: What its samples are latents of; None where they are the data's own samples.
        image_channels: Of the data, where there is an autoencoder to compare with it.
        prompts: Text file whose lines are its conditions; None for a model that reads no text.
        guide: Hub id or folder of the weaker network that it may be guided by; None where there is none.
    """

    process: Process = "diffusion"
    null_class: int | None = None
    autoencoder: LatentSpaceConfig | None = None
    image_channels: int | None = None
    prompts: str | None = None
    guide: str | None = None

    def of_latents(self, autoencoder: LatentSpaceConfig | None, image_channels: int | None) -> Promised:
        """The same with the run's autoencoder, for images of so many channels; None of it is none."""
        return replace(self, autoencoder=autoencoder, image_channels=None if autoencoder is None else image_channels)


NOTHING_SPECIAL = Promised()
