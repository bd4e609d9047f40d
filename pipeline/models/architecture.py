"""Networks of the configured architectures, with weights from torch's generator."""

from __future__ import annotations

from diffusers import ModelMixin

from pipeline.config.network import MLPConfig, UNetConfig


def fresh_network(config: UNetConfig | MLPConfig, shape: tuple[int, ...], num_classes: int | None = None) -> ModelMixin:
    """A network for samples of ``shape``; its class is imported when needed, as a UNet's takes a second.

    Args:
        config: Its architecture.
        shape: Of a sample.
        num_classes: Classes that it is conditioned on, of images alone; None for none.
    """
    if isinstance(config, MLPConfig):
        from pipeline.models.velocity_mlp import build_mlp

        assert num_classes is None  # refused by the configuration
        return build_mlp(config, shape)
    from pipeline.models.unet import build_unet

    return build_unet(config, shape, num_classes)
