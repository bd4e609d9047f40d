"""Networks: built with fresh weights, loaded from a folder, made a student, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffusers import ModelMixin
from torch import nn

from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.noise import NoiseConfig
from pipeline.config.two_times import require_times
from pipeline.models.architecture import fresh_network
from pipeline.models.diffusers_layout import locate, read_json
from pipeline.models.kinds import NETWORK_PARTS, kind_of, read_kind
from pipeline.models.kinds.kind import NULL_CLASS
from pipeline.models.network_settings import require_known_settings
from pipeline.models.own_weights import require_finite_weights, require_own_weights
from pipeline.models.prompted import bare
from pipeline.models.size import WEIGHTS_BYTES, require_network_fits
from pipeline.models.student import takes_two_times
from pipeline.models.weights_files import has_safetensors, require_whole_weights
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_hashes import require_unchanged
from pipeline.system.random_state import seeded


def load_network(folder: Path) -> ModelMixin:
    """Loads the network of a saved pipeline on the CPU, in float32; nothing is unpickled.

    Raises:
        StraightflowError: If a file of the folder is not as it was saved here, if it is of no known kind or cannot be
            read, or if its weights are not finite or not exactly those of its configuration.
    """
    require_unchanged(folder)
    location, config = read_network_config(folder)
    kind = read_kind(config, str(location))
    require_known_settings(config, kind, str(location))
    return kind.opened(load_weights(location, kind.network_class()), folder)


def load_weights(location: Path, kind: type[ModelMixin]) -> ModelMixin:
    """The network of a part's folder, whose settings are accepted, on the CPU, in float32; nothing is unpickled.

    Raises:
        StraightflowError: If it cannot be read, or its weights are not finite or not exactly those of its settings.
    """
    require_whole_weights(location)
    try:
        network: ModelMixin
        network, loaded = kind.from_pretrained(
            location,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=has_safetensors(location),  # left open, diffusers says on the way that it finds none
        )
    except Exception as error:  # files of any content reach libraries that do not check them
        raise StraightflowError(
            expected=f"a readable {kind.__name__} in {location}",
            found=one_line(error),
            mend="save the checkpoint again with a current diffusers, or name another one",
        ) from error
    require_own_weights(str(location), loaded["missing_keys"], loaded["unexpected_keys"])
    network = network.float()
    require_finite_weights(location, network)
    return network


def read_network_config(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Where the network of a saved pipeline lies, and what its configuration says.

    Raises:
        StraightflowError: If there is none, or it is no JSON object.
    """
    location = locate(folder, NETWORK_PARTS, "config.json")
    return location, read_json(location / "config.json")


def build_network(
    config: UNetConfig | MLPConfig, shape: tuple[int, ...], seed: int, num_classes: int | None = None
) -> ModelMixin:
    """A fresh network of the configured architecture for samples of ``shape``, its weights drawn from ``seed``.

    One of images is conditioned on ``num_classes`` classes, unless that is None.

    Raises:
        StraightflowError: If it does not fit in memory.
    """
    require_network_fits(config, shape, WEIGHTS_BYTES, num_classes)
    with seeded(seed):
        return fresh_network(config, shape, num_classes)


def starting_network(network: ModelMixin, *, two_times: bool = False) -> ModelMixin:
    """What a student starts as: the velocity field of the network's kind.

    Args:
        network: Of the model that it starts from.
        two_times: Whether the student takes the time that a step ends at as well.

    Raises:
        StraightflowError: If the network takes two times and the student does not, or it cannot take a second one.
    """
    kind = kind_of(network)
    require_times(
        two_times,
        of_start=takes_two_times(network.config),
        of_images=kind.of_images,
        num_classes=kind.class_count(network.config),
    )
    return kind.flow_map(network) if two_times else kind.velocity_field(network)


def sample_shape(network: ModelMixin) -> tuple[int, ...]:
    """Shape of one sample: (channels, height, width) of images, (dim,) of points."""
    of_images = _images_of_autoencoder(network)
    return kind_of(network).sample_shape(network.config) if of_images is None else of_images


def num_classes(network: ModelMixin) -> int | None:
    """Classes that a network is conditioned on, with the one that stands for none; None if it is unconditional."""
    return kind_of(network).class_count(network.config) if _images_of_autoencoder(network) is None else None


def called_besides(network: ModelMixin) -> Iterable[nn.Module]:
    """Modules inside of a network's blocks that it also calls without the block they are in."""
    return kind_of(network).called_besides(bare(network)) if _images_of_autoencoder(network) is None else ()


def _images_of_autoencoder(network: ModelMixin) -> tuple[int, int, int] | None:
    """Shape of the images that an autoencoder in training takes, which is no kind of network to sample; else None."""
    shape: tuple[int, int, int] | None = getattr(network, "image_shape", None)
    return shape


def null_class_of(network: ModelMixin) -> int | None:
    """Class of a network that stands for none, the last; None where every class is one."""
    return kind_of(network).null_class(network.config)


def set_null_class(network: ModelMixin, index: int | None) -> None:
    """Records in a network's configuration, with which it is saved, which class stands for none."""
    if index is not None:
        network.register_to_config(**{NULL_CLASS: index})


def noise_of(network: ModelMixin) -> NoiseConfig:
    """The distribution of x_0 that a network was saved with."""
    mean = network.config.get("noise_mean")
    return NoiseConfig(mean=None if mean is None else tuple(mean), std=network.config.get("noise_std", 1.0))


def set_noise(network: ModelMixin, noise: NoiseConfig) -> None:
    """Records the distribution of x_0 in a network's configuration, with which it is saved.

    Raises:
        StraightflowError: If it is not N(0, I) and this kind of network cannot record another.
    """
    if noise_of(network) == noise:
        return
    if "noise_mean" not in network.config:
        raise StraightflowError(
            expected=f"noise N(0, I) for a {type(network).__name__}",
            found=f"mean {noise.mean}, std {noise.std}",
            mend="leave noise out; other distributions are for points",
        )
    network.register_to_config(noise_mean=noise.mean, noise_std=noise.std)
