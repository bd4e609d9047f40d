from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from helpers.small_training import OBJECTIVE, Pairs, training_config

from pipeline.config.compute import ONE_PROCESS, ComputeConfig
from pipeline.models.runtime import (
    HARMLESS_VALUES,
    channels_last_here,
    compiles_here,
    open_runtime,
    require_harmless_environment,
)
from pipeline.system.errors import StraightflowError
from pipeline.training.loop import train

FP32 = ComputeConfig(precision="fp32", compile="off", channels_last="off")


def test_what_accelerate_reads_from_the_environment_changes_no_training(
    tiny_unet, runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, other = copy.deepcopy(tiny_unet), copy.deepcopy(tiny_unet)
    first = train(plain, Pairs(), OBJECTIVE, training_config(), runtime, tmp_path / "plain", "plain")
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "EAGER")
    monkeypatch.setenv("ACCELERATE_GRADIENT_CLIPPING", "0.001")
    second = train(other, Pairs(), OBJECTIVE, training_config(), open_runtime(FP32, ONE_PROCESS), tmp_path / "b", "b")
    assert [row.gradient_norm for row in first.history] == [row.gradient_norm for row in second.history]
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", HARMLESS_VALUES)
def test_a_variable_that_would_change_results_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(StraightflowError, match=rf"environment variable {name} (.|\n)*found: 1(.|\n)*unset {name}"):
        open_runtime(FP32, ONE_PROCESS)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, all_ in HARMLESS_VALUES.items() for value in all_])
def test_what_launchers_set_is_taken(name: str, value: str) -> None:
    require_harmless_environment({name: value.upper()})
    require_harmless_environment({name: ""})


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "fp32")])
def test_emulated_bf16_is_not_taken(native: bool, precision: str) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or native

    auto = ComputeConfig(precision="auto", compile="off", channels_last="off")
    with (
        patch("torch.cuda.is_available", lambda: True),
        patch("torch.cuda.is_bf16_supported", supported),
        patch("pipeline.models.runtime.Accelerator") as accelerator,
    ):
        accelerator.return_value.num_processes = 1
        assert open_runtime(auto, ONE_PROCESS).precision == precision
        assert accelerator.call_args.kwargs["mixed_precision"] == ("bf16" if native else "no")


def test_network_calls_in_fp32_take_no_tf32_for_convolutions_and_leave_the_setting_as_it_was(runtime) -> None:
    before = torch.backends.cudnn.allow_tf32
    assert before  # torch's own default
    with runtime.autocast(), runtime.autocast():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == (False, True)
        assert not torch.is_autocast_enabled("cpu")
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    ("gpu", "compiled", "last"), [(True, "auto", True), (True, "off", False), (False, "on", False)]
)
def test_images_are_channels_last_where_compiled_on_a_gpu(monkeypatch, gpu: bool, compiled: str, last: bool) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    compute = ComputeConfig(precision="bf16", compile=compiled, channels_last="auto")
    assert compiles_here(compute) == (compiled == "on" or (compiled == "auto" and gpu))
    assert channels_last_here(compute) == last
    assert channels_last_here(compute.model_copy(update={"channels_last": "on"}))


class OneBuffer(torch.nn.Module):
    """Writes every result into the same memory, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.buffer = torch.zeros(2, 1)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=self.buffer.copy_(self.weight * x + t[:, None]))


def test_cuda_graphs_are_asked_for_in_sampling_alone_and_no_result_is_written_over(monkeypatch) -> None:
    modes: list[dict[str, object]] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda _, **named: modes.append(named))
    graphs = ComputeConfig(precision="fp32", compile="cuda_graphs", channels_last="off")
    runtime = open_runtime(graphs, ONE_PROCESS)
    assert (runtime.compile, runtime.cuda_graphs) == (True, True)
    placed = runtime.place(OneBuffer())
    assert modes == [{"mode": "reduce-overhead"}]
    first = placed(torch.ones(2, 1), torch.zeros(2)).sample
    placed(torch.zeros(2, 1), torch.ones(2))
    assert first.tolist() == [[1.0], [1.0]]
    open_runtime(ComputeConfig(precision="fp32", compile="on", channels_last="off"), ONE_PROCESS).place(OneBuffer())
    assert modes[1:] == [{}]
