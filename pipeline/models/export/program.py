"""A student's steps as a program of torch.export."""

from __future__ import annotations

import copy

import torch
from torch.export import Dim, ExportedProgram

from pipeline.models.export.any_batch import take_any_batch
from pipeline.models.export.student import ExportableStudent
from pipeline.system.errors import StraightflowError, one_line

TRACED_BATCH = 2
"""Images that a program for any batch is traced with; of one image, tracing would make it a program for one."""


def trace_program(student: ExportableStudent, batch: int | None) -> ExportedProgram:
    """The program of a student: ``x_0`` (batch, channels, height, width) and ``labels`` (batch,) to images.

    Args:
        student: It stays as it is.
        batch: The only batch that the program takes; None for any.

    Raises:
        StraightflowError: If the network's operations depend on the size of the batch, and ``batch`` is None.
    """
    if batch is not None:
        return torch.export.export(student.steps, student.inputs(batch))
    steps = copy.deepcopy(student.steps)
    take_any_batch(steps)
    inputs = student.inputs(TRACED_BATCH)
    free = Dim("batch", min=1)
    try:
        return torch.export.export(steps, inputs, dynamic_shapes=tuple({0: free} for _ in inputs))
    except torch._dynamo.exc.UserError as error:
        raise StraightflowError(
            expected="a network that computes the same for every size of the batch",
            found=one_line(error),
            mend="fix the size, for example --batch 1",
        ) from error
