"""Memory of a forward and backward pass, counted on one and two samples and extrapolated to more."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NORMS = (torch.nn.GroupNorm, torch.nn.LayerNorm)

LossOf = Callable[[int], torch.Tensor]
"""The loss of a given number of samples, a scalar, with its graph."""


def peak_bytes(loss_of: LossOf, parameters: list[torch.nn.Parameter], num_samples: int) -> int:
    """Most bytes that tensors hold at once in a forward and backward pass of ``num_samples``.

    Parameters, their gradients and whatever existed before do not count. At most two samples are computed: at every
    operation memory is a constant plus a share for each sample.

    Args:
        loss_of: Computes the loss; called with 1 and 2.
        parameters: Their gradients are dropped as soon as they are computed.
        num_samples: At least 1.
    """
    one = _live_bytes(loss_of, parameters, 1)
    if num_samples == 1:
        return int(one.max())
    return extrapolated_peak(one, _live_bytes(loss_of, parameters, 2), num_samples)


def extrapolated_peak(one: np.ndarray, two: np.ndarray, num_samples: int) -> int:
    """Most bytes at once of ``num_samples``, from :func:`live_bytes` of one sample and of two."""
    if len(one) != len(two):  # torch skips copies of a single sample, which is contiguous either way
        one, two = one.max(keepdims=True), two.max(keepdims=True)
    return int((two + (num_samples - 2) * (two - one)).max())


def live_bytes(work: Callable[[], object]) -> np.ndarray:
    """Bytes of what ``work`` made and has not freed, after each of its operations."""
    with LiveBytes() as live:
        work()
    return np.array(live.after_operations, dtype=np.int64)


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, after every operation, the bytes of all storages made inside the block and not yet freed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sizes: dict[int, int] = {}
        self._live = 0
        self.after_operations: list[int] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operation and counts what it returns."""
        given = {_key(tensor) for tensor in _tensors((args, kwargs))}
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            if _key(tensor) not in given | self._sizes.keys():
                self._add(tensor.untyped_storage())
        self.after_operations.append(self._live)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        self._sizes[key] = storage.nbytes()
        self._live += storage.nbytes()
        weakref.finalize(storage, self._remove, key).atexit = False

    def _remove(self, key: int) -> None:
        self._live -= self._sizes.pop(key)


class Visited(torch.nn.Module):
    """A network as training calls it: under autocast, its result in float32; inputs are moved to its device.

    Args:
        network: Any of :data:`pipeline.models.kinds.KINDS`.
        bf16: Whether to autocast to bfloat16.
        float32_norms: Whether autocast leaves normalisations in float32 wherever this runs, as it does on a GPU: a
            network counted on a CPU then holds what it would hold there.
    """

    def __init__(self, network: torch.nn.Module, *, bf16: bool, float32_norms: bool = False) -> None:
        super().__init__()
        self._network, self._bf16 = network, bf16
        self._norms = [item for item in network.modules() if isinstance(item, _NORMS)] if float32_norms else []

    def forward(self, x: torch.Tensor, *others: Any, **named: Any) -> SimpleNamespace:
        """The tensors that the network returns by name, ``sample`` among them, on the device of ``x``."""
        device = next(self._network.parameters()).device

        def moved(value: Any) -> Any:
            return value.to(device) if isinstance(value, torch.Tensor) else value

        with torch.autocast(device.type, torch.bfloat16, enabled=self._bf16), _in_float32(self._norms):
            output = self._network(moved(x), *map(moved, others), **{name: moved(named[name]) for name in named})
        found = vars(output).items()  # a dataclass, or any other object with ``sample``
        return SimpleNamespace(
            **{name: value.float().to(x.device) for name, value in found if isinstance(value, torch.Tensor)}
        )


@contextmanager
def _in_float32(norms: Sequence[torch.nn.Module]) -> Iterator[None]:
    handles = [norm.register_forward_pre_hook(_to_float32) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _to_float32(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:  # noqa: ARG001
    return tuple(values.float() for values in inputs)


def _live_bytes(loss_of: LossOf, parameters: list[torch.nn.Parameter], num_samples: int) -> np.ndarray:
    hooks = [
        parameter.register_post_accumulate_grad_hook(_drop_gradient)  # type: ignore[no-untyped-call]
        for parameter in parameters
    ]
    try:
        return live_bytes(lambda: loss_of(num_samples).backward())  # type: ignore[no-untyped-call]
    finally:
        for hook in hooks:
            hook.remove()


def _drop_gradient(parameter: torch.Tensor) -> None:
    parameter.grad = None


def _tensors(content: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(content) if isinstance(leaf, torch.Tensor)]


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
