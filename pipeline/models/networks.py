"""The kinds of networks: built with fresh weights, or loaded from a folder by the class they were saved as."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import ModelMixin

from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.noise import NoiseConfig
from pipeline.config.two_times import require_times
from pipeline.models.architecture import fresh_network
from pipeline.models.diffusers_layout import locate, read_json
from pipeline.models.network_settings import require_settings_in_range
from pipeline.models.size import WEIGHTS_BYTES, require_network_fits
from pipeline.models.student import takes_two_times
from pipeline.models.weights_files import has_safetensors, require_whole_weights
from pipeline.system.errors import StraightflowError, nearest, one_line
from pipeline.system.file_hashes import require_unchanged
from pipeline.system.random_state import seeded

KINDS = ("UNet2DModel", "VelocityMLP")


def network_class(kind: str) -> type[ModelMixin]:
    """The class of one of ``KINDS``, imported when needed: a UNet's takes a second, which runs on points save.

    No other class is loaded: nothing is imported by a name from a file.
    """
    found: type[ModelMixin]
    if kind == "VelocityMLP":
        from pipeline.models.velocity_mlp import VelocityMLP

        found = VelocityMLP
    else:
        from diffusers import UNet2DModel

        found = UNet2DModel
    return found


def load_network(folder: Path) -> ModelMixin:
    """Loads the network of a saved pipeline on the CPU, in float32; nothing is unpickled.

    Raises:
        StraightflowError: If a file of the folder is not as it was saved here, if it is of no known kind or cannot be
            read, or if its weights are not finite or not exactly those of its configuration.
    """
    require_unchanged(folder)
    location = locate(folder, "unet", "config.json")
    config = read_json(location / "config.json")
    kind = config.get("_class_name", "UNet2DModel")
    if kind not in KINDS:
        raise StraightflowError(
            expected=f"one of {', '.join(KINDS)} in {location}", found=str(kind), mend="name another checkpoint"
        )
    require_known_settings(config, kind, str(location))
    return load_weights(location, network_class(kind))


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
    _require_finite_weights(location, network)
    return network


def require_known_settings(config: Mapping[str, Any], kind: str, origin: str) -> None:
    """Refuses settings that diffusers would leave out with a warning, or take for others, making another network.

    Raises:
        StraightflowError: If ``config``, the content of a config.json, has a setting that ``kind`` has not, or one of
            a value that :func:`pipeline.models.network_settings.require_settings_in_range` refuses.
    """
    require_known_names(config, network_class(kind), origin)
    require_settings_in_range(config, kind, origin)


def require_known_names(
    config: Mapping[str, Any], kind: type[ModelMixin], origin: str, besides: Collection[str] = ()
) -> None:
    """Refuses settings that a class of diffusers has not, and would leave out; those named ``besides`` are passed over.

    Raises:
        StraightflowError: If there is one.
    """
    known = tuple(inspect.signature(kind.__init__).parameters)[1:] + tuple(besides)
    for name, value in config.items():
        if not name.startswith("_") and name not in known and value is not None and value is not False:
            raise StraightflowError(
                expected=f"settings that {kind.__name__} has, in {origin}",
                found=f"{name}: {str(value)[:80]}{nearest(name, known)}",
                mend="correct config.json, or name another checkpoint",
            )


def require_own_weights(
    origin: str,
    missing: Collection[str],
    unexpected: Collection[str],
    misshapen: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> None:
    """Refuses weights of other names; diffusers fills missing tensors with random numbers and only warns.

    Args:
        origin: Names the model in errors.
        missing: Tensors of the network that its file lacks.
        unexpected: Tensors of the file that the network has not.
        misshapen: Shapes in the file that are not the network's.

    Raises:
        StraightflowError: If there are any.
    """
    problems = [
        f"a file that {problem} {min(names)}, {len(names)} such in all"
        for problem, names in (("has no tensor", missing), ("has a tensor", unexpected))
        if names
    ]
    if misshapen:
        name = min(misshapen)
        problems.append(f"a file with {name} of shape {misshapen[name]}, {len(misshapen)} such in all")
    if problems:
        raise StraightflowError(
            expected=f"the weights that the configuration in {origin} describes, by their names in diffusers",
            found="; ".join(problems),
            mend="put weights and config.json of one architecture together (saved from the network itself, not from a "
            "compiled or parallel wrapper), or name another model",
        )


def _require_finite_weights(location: Path, network: ModelMixin) -> None:
    for name, values in network.state_dict().items():
        if not bool(torch.isfinite(values).all()):
            raise StraightflowError(
                expected=f"finite weights in {location}",
                found=f"NaN or infinity in {name}",
                mend="take a checkpoint from before its training broke down",
            )


def build_network(config: UNetConfig | MLPConfig, shape: tuple[int, ...], seed: int) -> ModelMixin:
    """A fresh network of the configured architecture for samples of ``shape``, its weights drawn from ``seed``.

    Raises:
        StraightflowError: If it does not fit in memory.
    """
    require_network_fits(config, shape, WEIGHTS_BYTES)
    with seeded(seed):
        return fresh_network(config, shape)


def starting_network(network: ModelMixin, *, two_times: bool = False) -> ModelMixin:
    """What a student starts as: a UNet as :mod:`pipeline.models.unet` makes it, others as they are.

    Args:
        network: Of the model that it starts from.
        two_times: Whether the student takes the time that a step ends at as well.

    Raises:
        StraightflowError: If the network takes two times and the student does not, or it cannot take a second one.
    """
    is_unet = type(network).__name__ == "UNet2DModel"
    require_times(
        two_times, of_start=takes_two_times(network.config), of_images=is_unet, num_classes=num_classes(network)
    )
    if not is_unet:
        return network
    from pipeline.models.unet import flow_map_unet, velocity_unet

    return flow_map_unet(network) if two_times else velocity_unet(network)


def sample_shape(network: ModelMixin) -> tuple[int, ...]:
    """Shape of one sample: (channels, height, width) of images, (dim,) of points."""
    size = network.config["sample_size"]
    sizes = (size, size) if isinstance(size, int) else size
    return (int(network.config["in_channels"]), *map(int, sizes))


def num_classes(network: ModelMixin) -> int | None:
    """Classes that a network is conditioned on; None if it is unconditional.

    Raises:
        StraightflowError: If it is conditioned on something else.
    """
    return class_count(network.config)


def class_count(config: Mapping[str, Any]) -> int | None:
    """:func:`num_classes` of a network with these settings."""
    kind, count = config.get("class_embed_type"), config.get("num_class_embeds")
    if kind is not None and (kind != "timestep" or count is not None):
        raise StraightflowError(
            expected="an unconditional UNet2DModel, or one with num_class_embeds",
            found=f"class_embed_type {kind!r}" + ("" if count is None else " and num_class_embeds"),
            mend="name another teacher",
        )
    if count is None:
        return None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise StraightflowError(
            expected="a number of classes in num_class_embeds", found=repr(count), mend="correct config.json"
        )
    return count


NULL_CLASS = "_null_class"
"""Setting of a network's ``config.json`` that stock diffusers keeps and passes over, as its name begins so."""


def null_class(config: Mapping[str, Any]) -> int | None:
    """Class of a network with these settings that stands for none; None where every class is one.

    Raises:
        StraightflowError: If it is not the last class.
    """
    found, count = config.get(NULL_CLASS), class_count(config)
    if found is not None and (count is None or type(found) is not int or found != count - 1):
        raise StraightflowError(
            expected=f"the last of the network's {count or 'no'} classes as the one that stands for none",
            found=f"{NULL_CLASS}: {str(found)[:80]}",
            mend="correct config.json",
        )
    return found


def null_class_of(network: ModelMixin) -> int | None:
    """:func:`null_class` of a network."""
    return null_class(network.config)


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
