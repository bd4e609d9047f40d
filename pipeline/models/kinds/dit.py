"""diffusers' ``DiTTransformer2DModel`` (Peebles & Xie 2023): latents by class, as in facebook/DiT-XL-2-256."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from diffusers import ModelMixin
from torch import nn

from pipeline.config.network import LayerCount
from pipeline.config.section import PositiveFloat, PositiveInt, Probability
from pipeline.models.kinds.kind import NetworkKind, NetworkSettings, accept_channels, accept_patches, is_count
from pipeline.models.kinds.saving import save_parts
from pipeline.system.errors import StraightflowError
from pipeline.system.random_state import seeded


class DiTSettings(NetworkSettings):
    """By the names in diffusers' documentation."""

    num_attention_heads: PositiveInt = 16
    attention_head_dim: PositiveInt = 72
    num_layers: LayerCount = 28
    dropout: Probability = 0.0
    norm_num_groups: PositiveInt = 32
    attention_bias: bool = True
    activation_fn: str = "gelu-approximate"
    upcast_attention: bool = False
    norm_type: Literal["ada_norm_zero"] = "ada_norm_zero"
    norm_elementwise_affine: bool = False
    norm_eps: PositiveFloat = 1e-5


class DiTKind(NetworkKind):
    """Adapter of ``DiTTransformer2DModel``, saved as ``DiTPipeline``.

    Published ones call it ``Transformer2DModel``, which stood for several networks once, told apart by their norms.
    """

    class_name = "DiTTransformer2DModel"
    part = "transformer"
    settings = DiTSettings
    steps_exactly = True
    companions = ("vae",)
    is_given_classes = True

    def takes(self, config: Mapping[str, Any]) -> bool:
        """By either name."""
        older = config.get("_class_name") == "Transformer2DModel" and config.get("norm_type") == "ada_norm_zero"
        return older or super().takes(config)

    def accept_shape(self, config: Mapping[str, Any], origin: str) -> tuple[int, int, int]:
        """(channels, side, side): its positions are of squares."""
        channels, out_channels = config.get("in_channels", 4), config.get("out_channels")
        channels = accept_channels(channels, channels if out_channels is None else out_channels, origin)
        side = accept_patches(config.get("sample_size", 32), config.get("patch_size", 2), origin)
        return channels, side, side

    def class_count(self, config: Mapping[str, Any]) -> int:
        """``num_embeds_ada_norm`` and one more: its table ends with the class that stands for none."""
        count = config.get("num_embeds_ada_norm", 1000)
        if not is_count(count):
            raise StraightflowError(
                expected="a number of classes in num_embeds_ada_norm", found=repr(count), mend="correct config.json"
            )
        return count + 1

    def null_class(self, config: Mapping[str, Any]) -> int:
        """The last, always."""
        super().null_class(config)  # which may be recorded as well
        return self.class_count(config) - 1

    def opened(self, network: ModelMixin, folder: Path) -> ModelMixin:
        """As :func:`keep_labels` leaves it."""
        del folder
        return keep_labels(network)

    def called_besides(self, network: ModelMixin) -> Iterable[nn.Module]:
        """The first block's embedding of times and classes, which its last layers are conditioned on as well."""
        return (network.transformer_blocks[0].norm1.emb,)

    def velocity_field(self, network: ModelMixin) -> ModelMixin:
        """Of a learned variance only the half for the mean is kept; exact, as its last layer is linear.

        Its outputs are (patch_size, patch_size, channels), of which the first half of the channels is the mean.
        """
        channels, patch = network.config["in_channels"], network.config["patch_size"]
        if network.out_channels == channels:
            return network
        with seeded(0):
            student = self.build(dict(network.config) | {"out_channels": channels})
        weights = network.state_dict()
        for name in ("proj_out_2.weight", "proj_out_2.bias"):
            by_channel = weights[name].unflatten(0, (patch**2, -1))
            weights[name] = by_channel[:, :channels].flatten(0, 1)
        student.load_state_dict(weights)
        return keep_labels(student)

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """A ``DiTPipeline``, whose autoencoder is a companion."""
        save_parts("DiTPipeline", self.part, network, scheduler, folder)


def keep_labels(network: ModelMixin) -> ModelMixin:
    """Turns off that its blocks drop labels while training, each by itself, from the global generator."""
    for module in network.modules():
        if type(module).__name__ == "LabelEmbedding":
            module.dropout_prob = 0.0
    return network
