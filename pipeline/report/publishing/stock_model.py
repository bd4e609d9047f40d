"""How stock diffusers calls a saved model: which part of its pipeline is the network, and what decodes latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.models.accepted_autoencoder import autoencoder_folder, read_autoencoder
from pipeline.models.accepted_teacher import AcceptedFlow, AcceptedTeacher
from pipeline.models.autoencoder import images_at_once, load_autoencoder
from pipeline.models.kinds import read_kind
from pipeline.models.kinds.kind import NetworkKind
from pipeline.models.kinds.prompted_kind import PromptedKind
from pipeline.models.networks import read_network_config
from pipeline.models.opening import open_model
from pipeline.system.errors import StraightflowError


@dataclass(frozen=True)
class Decoder:
    """The autoencoder of a model of latents.

    Attributes:
        part: What its pipeline calls it.
        kind: Its class in diffusers.
        image_shape: (channels, height, width) of images.
        scale: Latents of the model are (latents of the autoencoder - shift) · scale.
        shift: See ``scale``.
        images_at_once: Images that one call makes at most, as they are drawn here.
    """

    part: str
    kind: str
    image_shape: tuple[int, int, int]
    scale: float
    shift: float
    images_at_once: int


@dataclass(frozen=True)
class StockModel:
    """A saved model as a stock pipeline of diffusers.

    Attributes:
        accepted: What its configuration says it is.
        part: What its pipeline calls the network.
        is_given_classes: Whether the call of its pipeline gives the network a class.
        decoder: What makes images of its samples; None where they are images.
    """

    accepted: AcceptedTeacher | AcceptedFlow
    part: str = "unet"
    is_given_classes: bool = False
    decoder: Decoder | None = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of its images."""
        return self.accepted.shape if self.decoder is None else self.decoder.image_shape

    @property
    def draws_by_its_call(self) -> bool:
        """Whether the call of its pipeline draws what is measured here.

        The pipelines of ``UNet2DModel`` give it no class, and none gives a second time; with the scheduler of a
        diffusion model they add noise at every step. Pipelines of latents draw squares, and ignore a shift.
        """
        model = self.accepted
        if isinstance(model, AcceptedTeacher) or model.two_times:
            return False
        _, height, width = model.shape
        is_decoded = self.decoder is None or (self.decoder.shift == 0 and height == width)
        return is_decoded and (model.num_classes is None or self.is_given_classes)


def open_stock_model(folder: Path) -> StockModel:
    """What the model saved in ``folder`` is, after its network and its autoencoder were opened.

    Raises:
        StraightflowError: If it is no model that code on a card can draw with, see :func:`require_described`; or if it
            is refused by :func:`pipeline.models.opening.open_model` or
            :func:`pipeline.models.autoencoder.load_autoencoder`.
    """
    kind = require_described(folder)
    accepted, _ = open_model(folder)
    return StockModel(accepted, kind.part, kind.is_given_classes, _decoder(folder, accepted.shape))


def require_described(folder: Path) -> NetworkKind:
    """The kind of a saved network that a card can say how to draw with: it reads no text, and its pipeline is whole.

    Raises:
        StraightflowError: If it is of another kind, or its pipeline takes an autoencoder that ``folder`` has not.
    """
    location, config = read_network_config(folder)
    kind = read_kind(config, str(location))
    reads_text = isinstance(kind, PromptedKind)
    if reads_text or (kind.companions and autoencoder_folder(folder) is None):
        raise StraightflowError(
            expected="a model without text, with the autoencoder that its stock pipeline decodes with, of which a card "
            "can say how it draws",
            found=f"a {kind.class_name} {'that reads text' if reads_text else 'without an autoencoder'}, {folder}",
            mend="share the folder itself: its stock pipeline opens it"
            if reads_text
            else "name a model that was made from a whole pipeline",
        )
    return kind


def _decoder(folder: Path, latent_shape: tuple[int, ...]) -> Decoder | None:
    place, accepted, network = autoencoder_folder(folder), read_autoencoder(folder), load_autoencoder(folder)
    if place is None or accepted is None or network is None:
        return None
    shape = accepted.image_shape(latent_shape)
    at_once = images_at_once(network, shape)
    return Decoder(place.name, accepted.kind, shape, accepted.scale, accepted.shift, at_once)
