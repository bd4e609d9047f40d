"""Whether the host would have to wait for a device."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class WaitsForNothing(TorchDispatchMode):
    """Fails where the host would wait for a device to know a value or a shape."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waiting = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique")
        assert func.overloadpacket.__name__ not in waiting, func
        masks = func.overloadpacket.__name__ in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        assert not masks, func
        return func(*args, **(kwargs or {}))
