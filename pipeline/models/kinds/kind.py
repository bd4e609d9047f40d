"""What the library asks of a kind of network; each kind is one file beside this one."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeGuard

from diffusers import ModelMixin
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from pipeline.system.errors import StraightflowError, validation_problems

NULL_CLASS = "_null_class"
"""Setting of a network's ``config.json`` that stock diffusers keeps and passes over, as its name begins so."""


class NetworkSettings(BaseModel):
    """Ranges of a network's settings. Nothing is converted, so that what is read is what is written; defaults are not
    used.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class NetworkKind(ABC):
    """A class of networks, called as ``network(x, time)``, or ``network(x, time, labels)`` with classes.

    Its methods read ``config.json`` as it is saved, which may hold anything; they raise StraightflowError for what is
    not of this kind. Classes are imported when they are needed: a UNet's takes a second, which runs on points save.

    Attributes:
        class_name: As ``_class_name`` in ``config.json``.
        part: Subfolder of a saved pipeline that it lies in.
        settings: Ranges of its settings, beside channels, sizes, times and classes, which its methods read.
        of_images: Whether its samples are (channels, height, width).
        steps_exactly: Whether its stock pipeline takes the scheduler of flow maps, whose Euler steps are ours.
        companions: Parts of its stock pipeline beside network and scheduler, which a model made from it keeps.
        is_given_classes: Whether the call of its stock pipeline gives it classes.
        latent_pipeline: Class of the stock pipeline of networks of latents, where it is another than that of images; it
            calls the autoencoder ``vqvae``, whatever its kind, and ignores a shift of latents.
    """

    class_name: ClassVar[str]
    part: ClassVar[str] = "unet"
    settings: ClassVar[type[NetworkSettings]]
    of_images: ClassVar[bool] = True
    steps_exactly: ClassVar[bool] = False
    companions: ClassVar[tuple[str, ...]] = ()
    is_given_classes: ClassVar[bool] = False
    latent_pipeline: ClassVar[str | None] = None

    def takes(self, config: Mapping[str, Any]) -> bool:
        """Whether a network of these settings is of this kind."""
        return bool(config.get("_class_name", "UNet2DModel") == self.class_name)

    def network_class(self) -> type[ModelMixin]:
        """The class, of diffusers; no other is loaded, as nothing is imported by a name from a file."""
        import diffusers

        found: type[ModelMixin] = getattr(diffusers, self.class_name)
        return found

    def known_settings(self) -> tuple[str, ...]:
        """Names of the settings of its class."""
        return tuple(inspect.signature(self.network_class().__init__).parameters)[1:]

    def build(self, config: Mapping[str, Any]) -> ModelMixin:
        """A network of these settings, as accepted, with fresh weights; those that its class has not are off."""
        known = self.known_settings()
        return self.network_class()(**{name: value for name, value in config.items() if name in known})

    @abstractmethod
    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, ...]:
        """Shape of its samples, (channels, height, width) or (dim,), where its sizes go together."""

    def time_embedding(self, config: Mapping[str, Any]) -> object:
        """How it sees the time: ``positional``, ``fourier``, or another, which is for whole times alone."""
        del config
        return "positional"

    def accept_settings(self, config: Mapping[str, Any], origin: str) -> None:
        """Checks the types and ranges of :attr:`settings`."""
        try:
            self.settings.model_validate(dict(config))
        except ValidationError as error:
            raise StraightflowError(
                expected=f"settings of a {self.class_name} that it can be built with, in {origin}",
                found=validation_problems(error)[:500],
                mend="correct config.json to what the model was trained with, or name another one",
            ) from error

    @abstractmethod
    def class_count(self, config: Mapping[str, Any]) -> int | None:
        """Classes that it is conditioned on, with the one that stands for none; None for an unconditional network."""

    def null_class(self, config: Mapping[str, Any]) -> int | None:
        """Its class that stands for none, the last; None where every class is one."""
        found, count = config.get(NULL_CLASS), self.class_count(config)
        if found is not None and (count is None or type(found) is not int or found != count - 1):
            raise StraightflowError(
                expected=f"the last of the network's {count or 'no'} classes as the one that stands for none",
                found=f"{NULL_CLASS}: {str(found)[:80]}",
                mend="correct config.json",
            )
        return found

    def sample_shape(self, config: Mapping[str, Any]) -> tuple[int, ...]:
        """Shape of the samples of a network that was accepted or built here."""
        size = config["sample_size"]
        return (int(config["in_channels"]), *map(int, (size, size) if isinstance(size, int) else size))

    def conditioned(self, network: ModelMixin, config: Mapping[str, Any]) -> ModelMixin:
        """A network of these settings, without weights, as it is called."""
        del config
        return network

    def opened(self, network: ModelMixin, folder: Path) -> ModelMixin:
        """The network as it is used here, from how its class loads it from the saved pipeline ``folder``."""
        del folder
        return network

    def dropout_layers(self, network: ModelMixin) -> Iterable[nn.Dropout]:
        """The layers that the setting ``dropout`` of its class sets; asked where there is such a setting."""
        return [module for module in network.modules() if isinstance(module, nn.Dropout)]

    def called_besides(self, network: ModelMixin) -> Iterable[nn.Module]:
        """Modules inside of its blocks that its class also calls without the block they are in."""
        del network
        return ()

    def velocity_field(self, network: ModelMixin) -> ModelMixin:
        """The network with the head and the time input of a velocity field; itself if it has them already."""
        return network

    def flow_map(self, network: ModelMixin) -> ModelMixin:
        """:meth:`velocity_field` that takes the time that a step ends at as well; asked of images only."""
        raise StraightflowError(
            expected="a network that can take the time that a step ends at as well",
            found=type(network).__name__,
            mend="choose a method of one time",
        )

    @abstractmethod
    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """Saves it as its stock pipeline does; companions are left out."""


def is_count(value: object) -> TypeGuard[int]:
    """Whether a setting is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def accept_channels(channels: object, out_channels: object, origin: str) -> int:
    """Channels of a sample, where a network predicts as many, or twice as many with the variance.

    Raises:
        StraightflowError: If it predicts another number.
    """
    if not is_count(channels) or not is_count(out_channels) or out_channels not in (channels, 2 * channels):
        raise StraightflowError(
            expected=f"as many output channels as input channels ({channels!r}) in {origin}, or twice as many if it "
            "also predicts the variance",
            found=repr(out_channels),
            mend="name a model that maps noisy images to predictions of their own shape",
        )
    return channels


def accept_patches(side: object, patch: object, origin: str) -> int:
    """Side of square samples that a transformer cuts into square patches.

    Raises:
        StraightflowError: If they are none, or do not divide it.
    """
    if not is_count(side) or not is_count(patch) or side % patch:
        raise StraightflowError(
            expected=f"the side of square samples as sample_size in {origin}, divisible by its patch_size",
            found=f"sample_size {str(side)[:80]}, patch_size {str(patch)[:80]}",
            mend="correct config.json, or name another model",
        )
    return side
