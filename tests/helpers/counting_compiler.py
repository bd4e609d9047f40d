"""A backend of torch.compile that counts the graphs it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager


class CountingCompiler:
    """Counts graphs, and runs them as they are, or by ``aot_eager``, as inductor would be given them."""

    def __init__(self, *, aot: bool = False) -> None:
        self.graphs, self._aot = 0, aot

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        compiled: Callable[..., Any] = aot_eager(graph, inputs) if self._aot else graph.forward
        return compiled


@contextmanager
def compiled_by(compiler: CountingCompiler) -> Iterator[None]:
    """Inside the block networks that are compiled go to ``compiler``; what torch compiled before is forgotten."""
    original = torch.nn.Module.compile
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "compile", lambda self, **named: original(self, backend=compiler, **named))
        yield
    torch._dynamo.reset()


def breaks() -> int:
    """Graph breaks since the block began, by torch's own counters."""
    return sum(torch._dynamo.utils.counters["graph_break"].values())
