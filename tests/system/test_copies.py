"""Copies to a device beside its computation: begun early, waited for, and never written over what is still read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode

from pipeline.system.copies import copied_ahead

GPU = torch.device("cuda", 0)


class Stream:
    """Work that is done when another stream waits for it, and no sooner: the latest that a GPU may do it."""

    def __init__(self, device: torch.device) -> None:
        assert device == GPU
        self.asked: list[Callable[[], object]] = []

    def record_event(self) -> tuple[Stream, int]:
        """All that was asked until now."""
        return self, len(self.asked)

    def wait_event(self, event: tuple[Stream, int]) -> None:
        """Does what the other stream was asked before the event."""
        other, count = event
        for work in other.asked[:count]:
            work()
        other.asked[:count] = [lambda: None] * count


class LateCopies(TorchFunctionMode):
    """A GPU's copies in the host's memory: each result is NaN until its stream has done the copy."""

    def __init__(self) -> None:
        super().__init__()
        self.computing = self.current = Stream(GPU)
        self.read_by: list[tuple[torch.Tensor, Stream]] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.Tensor.to:
            return func(*args, **kwargs or {})
        values, device = args
        assert device == GPU
        assert kwargs == {"non_blocking": True}
        assert self.current is not self.computing, "a copy between the steps"
        result = torch.full_like(values, torch.nan)
        self.current.asked.append(lambda: result.copy_(values))
        return result

    @property
    def record_stream(self) -> Callable[[torch.Tensor, Stream], None]:
        """A method of tensors."""
        return lambda values, stream: self.read_by.append((values, stream))

    @contextmanager
    def stream(self, chosen: Stream) -> Iterator[None]:
        """Inside the block, this stream is the current one."""
        before, self.current = self.current, chosen
        yield
        self.current = before


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[LateCopies]:
    with LateCopies() as copies:
        monkeypatch.setattr(torch.Tensor, "record_stream", copies.record_stream)
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", copies.stream)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda _: copies.current)
        yield copies


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_gpu_has_each_batch_before_it_reads_it_and_copies_the_next_meanwhile(gpu: LateCopies, count: int) -> None:
    taken: list[int] = []

    def batches() -> Iterator[dict[str, torch.Tensor]]:
        for number in range(count):
            taken.append(number)
            yield {"x_1": torch.full((2, 3), float(number)), "t": torch.full((2,), 10.0 + number)}

    seen = 0
    for number, batch in enumerate(copied_ahead(batches(), GPU)):
        assert torch.equal(batch["x_1"], torch.full((2, 3), float(number)))
        assert torch.equal(batch["t"], torch.full((2,), 10.0 + number))
        # The next copy was asked for, and no more than that: the device holds two batches.
        assert taken == list(range(min(number + 2, count)))
        # The memory is kept until the stream that computes is done with it.
        mine = [stream for values, stream in gpu.read_by for own in batch.values() if values is own]
        assert mine == [gpu.computing, gpu.computing]
        seen += 1
    assert seen == count


def test_a_copy_that_is_not_waited_for_would_be_seen(gpu: LateCopies) -> None:
    copying = Stream(GPU)
    with gpu.stream(copying):
        placed = torch.ones(3).to(GPU, non_blocking=True)
    assert bool(placed.isnan().all())
    gpu.computing.wait_event(copying.record_event())
    assert torch.equal(placed, torch.ones(3))


def test_a_cpu_takes_each_batch_as_it_comes() -> None:
    batches = [{"x_1": torch.tensor([float(number)])} for number in range(3)]
    given = iter(batches)
    for batch, expected in zip(copied_ahead(given, torch.device("cpu")), batches, strict=True):
        assert batch["x_1"] is expected["x_1"]
