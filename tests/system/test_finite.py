from __future__ import annotations

import pytest
import torch

from pipeline.system.finite import all_finite


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_entry_anywhere_tells(dtype: torch.dtype, bad: float) -> None:
    values = torch.linspace(-1, 1, 99).to(dtype)
    assert all_finite(values)
    extreme = torch.finfo(dtype)
    assert all_finite(torch.tensor([extreme.min, extreme.max], dtype=dtype))
    for at in range(99):
        broken = values.clone()
        broken[at] = bad
        assert not all_finite(broken)
