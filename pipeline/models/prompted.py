"""A network that reads encoded text, called by the index of a prompt."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from pipeline.models.prompt_table import PromptTable


class PromptedNetwork(nn.Module):
    """Looks prompts up, so that ``network(x, time, labels)`` is what networks with classes are.

    The table is no weight: it is neither trained, averaged nor in checkpoints, and is saved beside the network. What
    training asks of a network of diffusers is passed on.

    Args:
        network: Takes a sample, ``timestep`` and the tensors of the table by their names.
        table: Encoded prompts.
    """

    def __init__(self, network: ModelMixin, table: PromptTable) -> None:
        super().__init__()
        self.network = network
        self.prompts, self.encoder, self.texts = table.prompts, table.encoder, tuple(table.tensors)
        for name, values in table.tensors.items():
            self.register_buffer(name, values, persistent=False)

    def forward(self, x: torch.Tensor, time: torch.Tensor, labels: torch.Tensor) -> Any:
        """What the network returns for samples ``x`` (batch, …), times and indices of prompts, (batch,) each."""
        text = {name: getattr(self, name)[labels].to(x.dtype) for name in self.texts}
        return self.network(x, timestep=time, **text)

    @property
    def table(self) -> PromptTable:
        """Its prompts as it holds them, on its device: kept elsewhere as well, a large table would be held twice."""
        return PromptTable(self.prompts, self.encoder, {name: getattr(self, name) for name in self.texts})

    @property
    def config(self) -> Any:
        """Of the network."""
        return self.network.config

    def register_to_config(self, **settings: Any) -> None:
        """Records settings in the network's configuration."""
        self.network.register_to_config(**settings)

    @property
    def _supports_gradient_checkpointing(self) -> bool:
        return bool(self.network._supports_gradient_checkpointing)

    def enable_gradient_checkpointing(self) -> None:
        """Of the network."""
        self.network.enable_gradient_checkpointing()

    def disable_gradient_checkpointing(self) -> None:
        """Of the network."""
        self.network.disable_gradient_checkpointing()


def bare(network: ModelMixin) -> ModelMixin:
    """The stock network in a :class:`PromptedNetwork`; another as it is."""
    return network.network if isinstance(network, PromptedNetwork) else network
