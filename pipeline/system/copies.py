"""Copies between the host and a device that neither waits for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

import torch

# Pinned memory is taken from all processes of a machine, and a larger piece takes long to pin.
_MOST_PINNED_BYTES = 2**30


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` of the host on ``device``; a GPU copies from pinned memory, and the host goes on meanwhile."""
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


def copied_ahead(
    batches: Iterable[dict[str, torch.Tensor]], device: torch.device
) -> Generator[dict[str, torch.Tensor], None, None]:
    """``batches`` of the host on ``device``, in order.

    A GPU copies on a stream of its own: what is asked of it for one batch does not wait for the copy of the next, which
    is begun before. It has two batches at a time. From memory that is not pinned, the host would wait for each copy.
    """
    if device.type != "cuda":
        for batch in batches:
            yield _placed(batch, device)
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def begin(batch: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.cuda.Event]:
        with torch.cuda.stream(copying):
            return _placed(batch, device), copying.record_event()

    begun = map(begin, batches)
    following = next(begun, None)
    while following is not None:
        (placed, copied), following = following, next(begun, None)
        computing = torch.cuda.current_stream(device)
        computing.wait_event(copied)
        for values in placed.values():
            # Memory that is freed goes to the next copy, which must not write to it while the computation reads it.
            values.record_stream(computing)
        yield placed


def _placed(batch: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: values.to(device, non_blocking=True) for name, values in batch.items()}


def host_buffer(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Memory of the host, not set, that ``device`` can copy into while the host goes on: pinned for a GPU.

    A very large buffer is not pinned: copies into it are waited for.
    """
    num_bytes = torch.Size(shape).numel() * dtype.itemsize
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda" and num_bytes <= _MOST_PINNED_BYTES)


def copy_to_host(values: torch.Tensor, buffer: torch.Tensor) -> None:
    """Starts to copy ``values`` into ``buffer`` of the host; see :func:`all_done` for when it has them."""
    # Into memory that is not pinned, a copy that is not waited for would not be one at the time that it was asked for.
    buffer.copy_(values, non_blocking=buffer.is_pinned() and values.device.type == "cuda")


def all_done(device: torch.device) -> Callable[[], None]:
    """A function that waits until ``device`` has done what it was asked until now, and for nothing after that."""
    if device.type != "cuda":
        return _nothing
    event = torch.Event(device)
    event.record(torch.cuda.current_stream(device))
    return event.synchronize


def _nothing() -> None:
    """Other devices have done their work when a copy returns."""
