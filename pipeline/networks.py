"""The kinds of network there are: made new, opened from a folder, told by what they were saved as."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ModelMixin, UNet2DModel

from pipeline.config import MLPConfig, NoiseConfig, UNetConfig
from pipeline.diffusers_layout import locate, read_json
from pipeline.errors import StraightflowError
from pipeline.velocity_mlp import VelocityMLP

# A saved configuration names its class. Only these are opened; nothing is imported by a name from a file.
NETWORKS: dict[str, type[ModelMixin]] = {"UNet2DModel": UNet2DModel, "VelocityMLP": VelocityMLP}


def load_network(folder: Path) -> ModelMixin:
    """Loads the network of a saved pipeline on the CPU, in float32; nothing is unpickled.

    Raises:
        StraightflowError: If it is of no known kind, cannot be read, or its weights are not exactly those of its
            configuration.
    """
    location = locate(folder, "unet", "config.json")
    kind = read_json(location / "config.json").get("_class_name", "UNet2DModel")
    if kind not in NETWORKS:
        raise StraightflowError(
            expected=f"one of {', '.join(NETWORKS)} in {location}", found=str(kind), mend="name another checkpoint"
        )
    try:
        network: ModelMixin
        network, loaded = NETWORKS[kind].from_pretrained(location, local_files_only=True, output_loading_info=True)
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
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _mlp(config, shape) if isinstance(config, MLPConfig) else _unet(config, shape)


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
        StraightflowError: If it is not N(0, I) and the network's kind has no place for that.
    """
    if noise_of(network) == noise:
        return
    if not isinstance(network, VelocityMLP):
        raise StraightflowError(
            expected=f"noise N(0, I) for a {type(network).__name__}",
            found=f"mean {noise.mean}, std {noise.std}",
            mend="leave noise out; other distributions are for points",
        )
    network.register_to_config(noise_mean=noise.mean, noise_std=noise.std)


def _unet(config: UNetConfig, shape: tuple[int, ...]) -> UNet2DModel:
    down = ["AttnDownBlock2D" if attention else "DownBlock2D" for attention in config.attention]
    up = ["AttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(config.attention)]
    return UNet2DModel(
        sample_size=shape[1],
        in_channels=shape[0],
        out_channels=shape[0],
        layers_per_block=config.layers_per_block,
        block_out_channels=config.block_out_channels,
        norm_num_groups=config.norm_num_groups,
        attention_head_dim=config.attention_head_dim,
        dropout=config.dropout,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
    )


def _mlp(config: MLPConfig, shape: tuple[int, ...]) -> VelocityMLP:
    network: VelocityMLP = VelocityMLP(
        in_channels=shape[0],
        width=config.width,
        num_layers=config.num_layers,
        fourier_octaves=config.fourier_octaves,
        longest_wavelength=config.longest_wavelength,
    )
    return network
