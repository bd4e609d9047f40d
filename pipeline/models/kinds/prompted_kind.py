"""Networks that read text: the part of their adapters that they share."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from diffusers import ModelMixin
from torch import nn

from pipeline.models.kinds.kind import NetworkKind, is_count
from pipeline.models.kinds.saving import save_parts
from pipeline.models.prompt_table import PromptTable, encoder_fingerprint, open_table
from pipeline.models.prompted import PromptedNetwork, bare
from pipeline.system.device import main_device
from pipeline.system.errors import StraightflowError, one_line

NUM_CONDITIONS = "_num_conditions"
"""Setting of ``config.json``, which stock diffusers passes over: prompts of the table beside it, and the empty one."""
AT_ONCE = 64
"""Prompts that are encoded in one batch."""


class PromptedKind(NetworkKind):
    """Base of adapters of networks whose conditions are prompts, in a table beside the network.

    Attributes:
        pipeline: Name of its stock pipeline's class.
        encoders: Parts of the pipeline that read text.
        options: Arguments with which the pipeline opens for these alone, beside the absence of other parts.
    """

    pipeline: ClassVar[str]
    encoders: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @abstractmethod
    def widths(self, config: Mapping[str, Any]) -> Mapping[str, int]:
        """Widths of the encoded text that it takes, by the names of its arguments."""

    @abstractmethod
    def encode_batch(self, pipeline: Any, prompts: list[str], device: torch.device) -> dict[str, torch.Tensor]:
        """What its stock pipeline makes of prompts, by the names of :meth:`widths`, a row each.

        Args:
            pipeline: Whose encoders are on ``device``.
            prompts: A batch.
            device: Where they are encoded.
        """

    def class_count(self, config: Mapping[str, Any]) -> int:
        """Rows of the table, as recorded."""
        count = config.get(NUM_CONDITIONS)
        if not is_count(count) or count < 2:
            raise StraightflowError(
                expected=f"encoded prompts beside a {self.class_name}, which reads text",
                found="none" if count is None else f"{NUM_CONDITIONS}: {str(count)[:80]}",
                mend="set teacher.prompts to a text file with one prompt a line; they are encoded when the teacher is "
                "adopted",
            )
        return count

    def null_class(self, config: Mapping[str, Any]) -> int:
        """The empty prompt, the last row."""
        super().null_class(config)  # which may be recorded as well
        return self.class_count(config) - 1

    def conditioned(self, network: ModelMixin, config: Mapping[str, Any]) -> ModelMixin:
        """With a table whose rows are all one, to be called."""
        rows = self.class_count(config)
        network.register_to_config(**{NUM_CONDITIONS: rows})
        tensors = {}
        for name, width in self.widths(config).items():
            shape = (1, width) if name == "encoder_hidden_states" else (width,)
            tensors[name] = torch.zeros(1, *shape).expand(rows, *shape)  # which takes the memory of one
        return PromptedNetwork(network, PromptTable((), "", tensors))

    def opened(self, network: ModelMixin, folder: Path) -> ModelMixin:
        """With the table of its folder; bare where it was saved elsewhere and has none yet."""
        if NUM_CONDITIONS not in network.config:
            return network
        rows = self.class_count(network.config)
        return PromptedNetwork(network, open_table(folder, self.encoders, self.widths(network.config), rows))

    def with_prompts(self, network: ModelMixin, folder: Path, prompts: tuple[str, ...]) -> ModelMixin:
        """The network of a folder with a table of these prompts, encoded by the tokenizers and encoders beside it.

        Raises:
            StraightflowError: If they cannot be read, or make text of another width than the network takes.
        """
        stock = bare(network)
        tensors = self._encoded(folder, stock.config, prompts)
        widths = dict(self.widths(stock.config))
        found = {name: values.shape[-1] for name, values in tensors.items()}
        if found != widths:
            raise StraightflowError(
                expected=f"a text encoder of the widths that the network takes, {widths}, in {folder}",
                found=str(found),
                mend="put encoder and network of one model together, or name another model",
            )
        stock.register_to_config(**{NUM_CONDITIONS: len(prompts) + 1})
        return PromptedNetwork(stock, PromptTable(prompts, encoder_fingerprint(folder, self.encoders), tensors))

    def save(self, network: ModelMixin, scheduler: Any, folder: Path) -> None:
        """Its stock pipeline, whose other parts are companions, and the table of prompts."""
        save_parts(self.pipeline, self.part, network.network, scheduler, folder)
        network.table.save(folder)

    @torch.no_grad()
    def _encoded(self, folder: Path, config: Mapping[str, Any], prompts: tuple[str, ...]) -> dict[str, torch.Tensor]:
        require_text_reader()
        import diffusers

        present = [name for name in self.encoders if (folder / name).is_dir()]
        absent = {name: None for name in self.companions if name not in present}
        with torch.device("meta"):  # some pipelines ask the network for its widths
            network = self.build(config)
        try:
            pipeline = getattr(diffusers, self.pipeline).from_pretrained(
                folder,
                **{**absent, **self.options, self.part: network},
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
            )
            texts = [*prompts, ""]
            try:
                batches = self._batches(pipeline, texts, main_device())
            except torch.OutOfMemoryError:  # large encoders and a small GPU
                batches = self._batches(pipeline, texts, torch.device("cpu"))
        except Exception as error:  # files of any content reach libraries that do not check them
            raise StraightflowError(
                expected=f"tokenizers and text encoders that read prompts, {', '.join(self.encoders)} in {folder}",
                found=one_line(error),
                mend="save the model again with current diffusers and transformers, or name another one",
            ) from error
        return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}

    def _batches(self, pipeline: Any, texts: list[str], device: torch.device) -> list[dict[str, torch.Tensor]]:
        """Texts encoded on ``device``; the host keeps what was made, as all of it may be more than a GPU holds."""
        for name in self.encoders:
            if isinstance(encoder := getattr(pipeline, name), nn.Module):
                encoder.to(device)
        starts = range(0, len(texts), AT_ONCE)
        batches = (self.encode_batch(pipeline, texts[start : start + AT_ONCE], device) for start in starts)
        return [{name: values.float().cpu() for name, values in batch.items()} for batch in batches]


def require_text_reader() -> None:
    """Raises StraightflowError if transformers is not installed, with whose classes prompts are encoded."""
    if importlib.util.find_spec("transformers") is None:
        raise StraightflowError(
            expected="transformers, which reads the text of teacher.prompts",
            found="no such package",
            mend="install it: pip install -e '.[text]'",
        )
