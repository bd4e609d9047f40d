"""The formats of exported students: how a file of each is written, and how it is opened and called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch.export import ExportedProgram

from pipeline.system.packages import require_package

FormatName = Literal["onnx", "torch"]
Drawing = Callable[..., torch.Tensor]
"""Images of noise ``x_0``, and of ``labels`` of a class-conditional student, as tensors on the CPU."""
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Format:
    """How a program is kept in a file.

    Attributes:
        file: Name of the file.
        packages: That are needed beside torch.
        write: Writes a program to a path.
        open: Opens what was written.
    """

    file: str
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, Path], None]
    open: Callable[[Path], Drawing]


def require_format(name: FormatName) -> None:
    """Raises StraightflowError if a package that the format needs is not installed."""
    for package in FORMATS[name].packages:
        mend = "pip install -e '.[export]', or choose --format torch, which needs no further package"
        require_package(package, wanted_by=f"--format {name}", mend=mend)


def _write_torch(program: ExportedProgram, path: Path) -> None:
    torch.export.save(program, path)


def _open_torch(path: Path) -> Drawing:
    module: Drawing = torch.export.load(path).module()
    return module


def _write_onnx(program: ExportedProgram, path: Path) -> None:
    """Weights too large for one file of ONNX go to a second one beside it."""
    graph = torch.onnx.export(program, dynamo=True, verbose=False, output_names=["x_1"])
    assert graph is not None  # as nothing was written by the export itself
    graph.save(path)


def _open_onnx(path: Path) -> Drawing:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]

    def draw(*inputs: torch.Tensor) -> torch.Tensor:
        values = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, values)[0])

    return draw


FORMATS: dict[FormatName, Format] = {
    "onnx": Format("student.onnx", ONNX_PACKAGES, _write_onnx, _open_onnx),
    "torch": Format("student.pt2", (), _write_torch, _open_torch),
}
