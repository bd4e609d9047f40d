"""The kinds of networks: built with fresh weights, or loaded from a folder by the class they were saved as."""

from __future__ import annotations

from pathlib import Path

from diffusers import ModelMixin

from pipeline.config.network import MLPConfig, UNetConfig
from pipeline.config.noise import NoiseConfig
from pipeline.models.diffusers_layout import locate, read_json
from pipeline.system.errors import StraightflowError
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
        StraightflowError: If it is of no known kind, cannot be read, or its weights are not exactly those of its
            configuration.
    """
    location = locate(folder, "unet", "config.json")
    kind = read_json(location / "config.json").get("_class_name", "UNet2DModel")
    if kind not in KINDS:
        raise StraightflowError(
            expected=f"one of {', '.join(KINDS)} in {location}", found=str(kind), mend="name another checkpoint"
        )
    try:
        network: ModelMixin
        network, loaded = network_class(kind).from_pretrained(location, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise StraightflowError(
            expected=f"a readable {kind} in {location}",
            found=" ".join(str(error).split())[:500],
            mend="save the checkpoint again with a current diffusers, or name another one",
        ) from error
    # diffusers fills missing tensors with random numbers and only warns.
    for problem, names in (("has no tensor", loaded["missing_keys"]), ("has a tensor", loaded["unexpected_keys"])):
        if names:
            raise StraightflowError(
                expected=f"the weights that the configuration in {location} describes",
                found=f"a file that {problem} {min(names)}, {len(names)} such in all",
                mend="put weights and config.json of one architecture together, or name another checkpoint",
            )
    return network.float()


def build_network(config: UNetConfig | MLPConfig, shape: tuple[int, ...], seed: int) -> ModelMixin:
    """A fresh network of the configured architecture for samples of ``shape``, its weights drawn from ``seed``."""
    with seeded(seed):
        if isinstance(config, MLPConfig):
            from pipeline.models.velocity_mlp import build_mlp

            return build_mlp(config, shape)
        from pipeline.models.unet import build_unet

        return build_unet(config, shape)


def starting_network(network: ModelMixin) -> ModelMixin:
    """What a student starts as: a UNet as :func:`pipeline.models.unet.velocity_unet` makes it, others as they are."""
    if type(network).__name__ != "UNet2DModel":
        return network
    from pipeline.models.unet import velocity_unet

    return velocity_unet(network)


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
    kind = network.config.get("class_embed_type")
    if kind is not None:
        raise StraightflowError(
            expected="an unconditional UNet2DModel, or one with num_class_embeds",
            found=f"class_embed_type {kind!r}",
            mend="name another teacher",
        )
    count = network.config.get("num_class_embeds")
    return None if count is None else int(count)


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
