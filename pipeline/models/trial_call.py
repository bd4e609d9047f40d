"""Whether a network of these settings can be built and called, tried without weights or memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from diffusers import ModelMixin

from pipeline.system.errors import StraightflowError, one_line


@contextmanager
def trial(expected: str, mend: str) -> Iterator[None]:
    """For building networks without their weights and calling them, so that sizes that do not fit are told at once.

    Tensors that are made within are on a device without memory, and have shapes alone.

    Args:
        expected: What there is not if it fails.
        mend: What to correct then.

    Raises:
        StraightflowError: If anything is raised within, as settings of any kind reach code that does not check them.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            yield
    except Exception as error:
        raise StraightflowError(
            expected=expected, found=f"{type(error).__name__}: {one_line(error)}", mend=mend
        ) from error


def require_callable(
    build: Callable[[], ModelMixin],
    shape: tuple[int, ...],
    num_classes: int | None,
    origin: str,
    *,
    two_times: bool = False,
) -> None:
    """Builds a network and calls it, as a :func:`trial`.

    Args:
        build: Makes the network on the default device, which is one without memory while it is called.
        shape: Of one sample.
        num_classes: Classes that it is conditioned on; None for none.
        origin: Names it in errors.
        two_times: Whether it takes the time that a step ends at as well.

    Raises:
        StraightflowError: If it cannot be built, or its output has not the shape of its input (twice the channels
            with a learned variance).
    """
    classes = () if num_classes is None else (torch.zeros(1, dtype=torch.long, device="meta"),)
    ends = (torch.zeros(1, device="meta"),) if two_times else ()
    with trial(
        f"a network in {origin} that can be built, and called with samples of shape {shape}",
        "correct its settings (channels, groups, heads, blocks, size), or name another model",
    ):
        output = build()(torch.empty(1, *shape), torch.zeros(1), *classes, *ends).sample.shape
    if tuple(output) not in ((1, *shape), (1, 2 * shape[0], *shape[1:])):
        raise StraightflowError(
            expected=f"a network in {origin} whose output has the shape of its input, {shape}",
            found=str(tuple(output[1:])),
            mend="correct its settings, or name another model",
        )
