"""Prompts as conditions by index: what a model's own text encoder makes of each line of a file, encoded once.

A row of the table is a prompt, so that a pair of couplings keeps one number for it, as for a class. The last row is the
empty prompt, which stands for none where the model is guided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.fingerprint import fingerprint_folder, fingerprint_json

FOLDER, TABLE, PROMPTS = "prompts", "table.safetensors", "prompts.txt"


@dataclass(frozen=True)
class PromptTable:
    """Encoded prompts.

    Attributes:
        prompts: Without the empty one.
        encoder: Fingerprint of the tokenizers and text encoders that made it, see :func:`encoder_fingerprint`.
        tensors: By the names of the network's arguments, (prompts + 1, …) each, float32; the last row is the empty
            prompt.
    """

    prompts: tuple[str, ...]
    encoder: str
    tensors: Mapping[str, torch.Tensor]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the prompts."""
        return fingerprint_json(self.prompts)

    def save(self, folder: Path) -> None:
        """Writes it to ``folder/prompts``, with the hashes of prompts and encoder in the table's header."""
        target = folder / FOLDER
        target.mkdir()
        (target / PROMPTS).write_text("".join(f"{prompt}\n" for prompt in self.prompts), "utf-8")
        tensors = {name: values.detach().cpu().contiguous() for name, values in self.tensors.items()}
        save_file(tensors, target / TABLE, metadata={"prompts": self.fingerprint, "encoder": self.encoder})


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a text file in UTF-8, one a line.

    Raises:
        StraightflowError: If it cannot be read, or a line is empty: the empty prompt stands for none.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:  # the second for what is no UTF-8
        raise StraightflowError(
            expected=f"a text file of prompts in UTF-8, one a line, at {path}",
            found=one_line(error),
            mend="correct teacher.prompts, or save the file as UTF-8",
        ) from error
    prompts = tuple(line.strip() for line in lines)
    if not prompts or not all(prompts):
        raise StraightflowError(
            expected=f"one prompt in each line of {path}",
            found="no lines" if not prompts else f"line {prompts.index('') + 1} empty",
            mend="write a prompt there, or take the line out",
        )
    return prompts


def open_table(folder: Path, encoders: tuple[str, ...], widths: Mapping[str, int], num_rows: int) -> PromptTable:
    """The table of a model's folder, where it is of that model's encoders and network.

    Args:
        folder: Of the saved pipeline.
        encoders: Its parts that read text.
        widths: Width of each tensor's rows that the network takes, by the tensor's name.
        num_rows: Conditions of the network, with the one that stands for none.

    Raises:
        StraightflowError: If there is no table, it cannot be read, or it is of other prompts, another encoder or
            another network.
    """
    path = folder / FOLDER / TABLE
    prompts = read_prompts(folder / FOLDER / PROMPTS)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except Exception as error:  # files of any content reach a library that checks some of it
        raise _refused(path, "a table of encoded prompts", one_line(error)) from error
    table = PromptTable(prompts, metadata.get("encoder", "none"), tensors)
    for problem in _problems(table, metadata.get("prompts", "none"), encoder_fingerprint(folder, encoders), widths):
        raise _refused(path, *problem)
    if len(prompts) + 1 != num_rows:
        raise _refused(path, f"{num_rows - 1} prompts, as the network's config.json says", str(len(prompts)))
    return table


def encoder_fingerprint(folder: Path, encoders: tuple[str, ...]) -> str:
    """SHA-256 of the files of those of a pipeline's parts ``encoders`` that it has."""
    present = [name for name in encoders if (folder / name).is_dir()]
    return fingerprint_json([(name, fingerprint_folder(folder / name)) for name in present])


def _problems(table: PromptTable, prompts: str, encoder: str, widths: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    if table.encoder != encoder:
        yield "a table by the text encoder beside it", "one by another encoder"
    if table.fingerprint != prompts:
        yield "a table of the prompts beside it", "one of other prompts"
    if table.tensors.keys() != widths.keys():
        yield f"tensors {', '.join(sorted(widths))}", ", ".join(sorted(table.tensors)) or "none"
    for name, values in table.tensors.items():
        rows, width = len(table.prompts) + 1, widths[name]
        if values.ndim < 2 or (len(values), values.shape[-1]) != (rows, width):
            yield f"{rows} rows of width {width} in {name}, as the network takes", str(tuple(values.shape))
        elif not values.is_floating_point() or not bool(torch.isfinite(values).all()):
            yield f"finite numbers in {name}", "NaN, infinity or whole numbers"


def _refused(path: Path, expected: str, found: str) -> StraightflowError:
    return StraightflowError(
        expected=f"{expected}, in {path}",
        found=found,
        mend="encode the prompts again with this model: name it as teacher.pretrained, and their file as "
        "teacher.prompts",
    )
