"""A device that is none: its tensors hold values in ordinary memory and follow a GPU's rules of who may meet whom."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

from pipeline.models.counted import NetworkCalls
from pipeline.models.sampler import Sampler

import_module("torchdiffeq")  # Imported in inference mode, its tables would go to ``meta`` without their values.
STAND_IN = torch.device("meta")
"""Its name, as autograd runs no other device's graph without a driver. Here its tensors have values."""

WAITING = frozenset(
    (
        "_local_scalar_dense",
        "_unique2",
        "argwhere",
        "bincount",
        "equal",
        "is_nonzero",
        "masked_select",
        "nonzero",
        "nonzero_numpy",
        "repeat_interleave",
        "unique_consecutive",
        "unique_dim",
    )
)
"""Operations after which the host must know a value or a shape."""
INDEXING = frozenset(("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"))
COPYING = frozenset(("copy_", "_to_copy", "_foreach_copy_"))


class LeftOnTheCpuError(AssertionError):
    """An operation mixed tensors of the host with the device's."""


class OnDevice(torch.Tensor):
    """A tensor of the stand-in device; ``values`` are in the host's memory."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> OnDevice:
        found = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=STAND_IN,
        )
        found.values = values
        return found

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ == "detach":  # of what is only looked at afterwards
            return return_and_correct_aliasing(func, args, kwargs or {}, cls(args[0].values.detach()))
        raise AssertionError(f"{func} on a tensor of the stand-in device, outside of its block")

    def __repr__(self) -> str:
        return f"OnDevice({self.values})"


class StandInDevice(TorchDispatchMode):
    """Computes for the device inside the block, as a GPU would: it does not read the host's tensors.

    Numbers (tensors without dimensions) of the host are taken by value, and copies go both ways.

    Attributes:
        waits: What made the host wait for the device: values read, shapes that depend on values, and copies from the
            device, or to it from memory that is not pinned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_device = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
        asked = kwargs.get("device")
        goes_to_device = bool(on_device) if asked is None else torch.device(asked) == STAND_IN
        if goes_to_device and kwargs.get("generator") is not None:
            raise LeftOnTheCpuError(f"{func} draws on the device with a generator of the host")
        if on_device:
            self._refuse_host_tensors(func, name, tensors)
        self._note_waits(func, name, args, kwargs, bool(on_device), goes_to_device)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        if name == "_to_copy" and asked is not None and not kwargs.get("dtype"):
            kwargs["dtype"] = args[0].dtype
        plain_args, plain_kwargs = pytree.tree_map_only(OnDevice, lambda tensor: tensor.values, (args, kwargs))
        found = func(*plain_args, **plain_kwargs)
        if name == "copy_":
            return args[0]
        if not goes_to_device:
            return found
        wrapped = pytree.tree_map_only(torch.Tensor, OnDevice, found)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if on_device and asked is None else wrapped

    def _refuse_host_tensors(self, func: Any, name: str, tensors: list[torch.Tensor]) -> None:
        if name in COPYING:
            return
        for tensor in tensors:
            if not isinstance(tensor, OnDevice) and tensor.dim() > 0:
                raise LeftOnTheCpuError(f"{func} on the device met a tensor {tuple(tensor.shape)} of the host")

    def _note_waits(
        self, func: Any, name: str, args: Any, kwargs: dict[str, Any], from_device: bool, goes_to_device: bool
    ) -> None:
        if name in ("copy_", "_to_copy"):
            source = args[1] if name == "copy_" else args[0]
            target_on_device = isinstance(args[0], OnDevice) if name == "copy_" else goes_to_device
            non_blocking = args[2] if name == "copy_" and len(args) > 2 else kwargs.get("non_blocking", False)
            if isinstance(source, OnDevice) and not target_on_device:
                self.waits.append("copy from the device")
            elif target_on_device and not isinstance(source, OnDevice) and source.dim() > 0 and not non_blocking:
                self.waits.append("copy to the device")
        elif from_device:
            masks = name in INDEXING and any(index is not None and index.dtype == torch.bool for index in args[1])
            if name in WAITING or masks:
                self.waits.append(str(func))


_READING = (
    torch.Tensor.tolist,
    torch.Tensor.item,
    torch.Tensor.__bool__,
    torch.Tensor.__float__,
    torch.Tensor.__int__,
)


class _Conversions(TorchFunctionMode):
    """Lists to tensors of the device, of which torch leaves out the values for ``meta``, and numbers and lists back."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if func in (torch.tensor, torch.as_tensor) and device is not None and torch.device(device) == STAND_IN:
            return func(*args, **kwargs | {"device": "cpu"}).to(STAND_IN)
        if func in _READING and isinstance(args[0], OnDevice):
            return func(args[0].cpu())
        return func(*args, **kwargs)


@contextmanager
def stand_in_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInDevice]:
    """Inside the block, runtimes compute on the stand-in device, which fused optimizers and clocks take for a GPU."""
    supported = [*_get_fused_kernels_supported_devices(), STAND_IN.type]
    with monkeypatch.context() as patch, _Conversions(), StandInDevice() as device:
        patch.setattr(Accelerator, "device", property(lambda _: STAND_IN))
        patch.setattr(torch.accelerator, "synchronize", lambda _: device.waits.append("synchronize"))
        patch.setattr(import_module("torch.optim.optimizer"), "_get_fused_kernels_supported_devices", lambda: supported)
        patch.setattr(torch, "autocast", _without_bfloat16)
        patch.setattr(torch.inference_mode, "__enter__", lambda entered: _without_gradients(entered).__enter__())
        patch.setattr(torch.inference_mode, "__exit__", lambda entered, *error: entered.guard.__exit__(*error))
        yield device


def _without_bfloat16(device_type: str, *_: Any, enabled: bool = True) -> AbstractContextManager[None]:
    """In place of ``torch.autocast``, which does not know the device."""
    assert not enabled, f"bfloat16 on {device_type}"
    return nullcontext()


def _without_gradients(entered: Any) -> AbstractContextManager[None]:
    """In place of inference mode, in which torch copies to ``meta`` and takes parts of its tensors by itself."""
    entered.guard = torch.no_grad()
    return entered.guard


def placed(sampler: Sampler) -> Sampler:
    """The same on the device of now; diffusers cannot read a model there."""
    network = sampler.runtime.place(copy.deepcopy(sampler.network))
    return replace(sampler, network=network, calls=NetworkCalls())
