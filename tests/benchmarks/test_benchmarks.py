"""The benchmarks' own stand-ins keep up with what they stand in for; nothing is timed."""

from __future__ import annotations

import dataclasses
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks import distances, selection, solver_error
from benchmarks.kills import content_of
from benchmarks.training import contenders, open_benchmark, ours
from pipeline.config.solver import SolverConfig
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.system.errors import StraightflowError


def test_the_training_benchmark_times_blocks_of_the_loop(tiny_unet, runtime) -> None:
    images = torch.randint(0, 256, (20, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    seconds = ours(tiny_unet, images, 4, runtime, blocks=2, steps=1)
    assert len(seconds) == 2
    assert min(seconds) > 0


def test_all_contenders_of_the_training_benchmark_run_on_one_device(tiny_unet, runtime, monkeypatch) -> None:
    moved: list[object] = []
    monkeypatch.setattr(type(tiny_unet), "to", lambda self, *places, **named: (moved.extend(places), self)[1])  # noqa: ARG005
    images = torch.zeros(20, 1, 8, 8, dtype=torch.uint8)
    device = torch.device("cpu", 0)
    elsewhere = dataclasses.replace(runtime, accelerator=SimpleNamespace(device=device))
    for name, run in contenders(False, elsewhere).items():
        if name != "straightflow":
            moved.clear()
            assert len(run(tiny_unet, images, 4, 1, 1)) == 1
            assert device in moved


def test_the_training_benchmark_leaves_gpus_alone_and_refuses_one_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert open_benchmark("cpu", "fp32", 1).device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StraightflowError, match="everything to run on cuda"):
        open_benchmark("cuda", "fp32", 1)


def test_what_a_clock_measured_is_left_out_of_a_comparison_and_nothing_else(tmp_path) -> None:
    cost = tmp_path / "cost.json"
    cost.write_text('{"seconds": 1.5, "rows": [{"fid": 2.0, "seconds_per_1000": 3}]}')
    assert content_of(cost) == b'{"rows": [{"fid": 2.0}]}'
    table = tmp_path / "table.csv"
    table.write_text("fid,seconds_per_1000,peak_memory_mib\n2.5,1,7\n")
    assert content_of(table) == b'[{"fid": "2.5"}]'
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"\x00\x01")
    assert content_of(weights) == b"\x00\x01"


def test_benchmarks_that_presets_follow_measure_fid_on_noise_of_their_own(monkeypatch, tmp_path) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(selection, "open_few_step_fid", lambda *_, **named: asked.append(named))
    config = SimpleNamespace(evaluate=SimpleNamespace(batch_size=250))
    selection.open_selection_fid(config, None, tmp_path, (1, 8, 8), num_samples=66, seed=3)
    assert asked[0]["key"] == stream_key("selection", 3)
    assert asked[0]["num_samples"] == 66


def test_solvers_are_compared_on_the_noise_of_selection(tiny_unet, monkeypatch, tmp_path) -> None:
    save_teacher(tiny_unet, tmp_path / "teacher", training_scheduler())
    noises: list[torch.Tensor] = []

    def solve(_: object, noise: torch.Tensor, solver: SolverConfig) -> tuple[torch.Tensor, int]:
        noises.append(noise)
        return noise, solver.num_steps or 1

    monkeypatch.setattr(solver_error, "solve", solve)
    lines = solver_error.measure(tmp_path / "teacher", 4, 3)
    wanted = sample_noise(stream_key("selection", 3), range(4), (1, 8, 8))
    assert all(torch.equal(noise, wanted) for noise in noises)
    assert "4 images of the selection seed 3" in lines[0]


def test_the_teachers_baselines_have_one_fid_for_each_solver_grid_and_count(tiny_unet, monkeypatch, tmp_path) -> None:
    save_teacher(tiny_unet, tmp_path / "teacher", training_scheduler())

    class Counted:
        """In place of an FID, the number of steps: so each cell shows which it was asked for."""

        def __call__(self, _: object, solver: SolverConfig, __: object) -> float:
            return float(solver.num_steps or 0)

        def describe(self) -> str:
            return "steps"

    monkeypatch.setattr(solver_error, "load_config", lambda _: None)
    monkeypatch.setattr(solver_error, "open_selection_fid", lambda *_, **__: Counted())
    lines = solver_error.fids(tmp_path / "teacher", tmp_path, 66, 0)
    rows = [f"{name}, {grid}" for name in ("unipc", "dpmpp_2m", "ddim") for grid in ("quadratic", "uniform")]
    assert lines[2] == "| solver | 8 NFE | 10 NFE | 16 NFE |"
    assert lines[4:] == [f"| {row} | 8.00 | 10.00 | 16.00 |" for row in rows]


def test_the_benchmark_of_distances_agrees_with_clean_fid_and_names_what_is_missing(monkeypatch, capsys) -> None:
    for package in ("torch_fidelity", "pytorch_fid"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.setattr("sys.argv", ["distances", "--samples", "200", "--features", "12"])
    distances.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Fréchet distance of clean-fid",
        "KID of clean-fid",
        "largest relative difference",
        "torch-fidelity is not installed",
        "pytorch-fid is not installed",
    ]
    assert float(lines[2].split()[3].rstrip(",")) < distances.LIMIT
    assert all("--target aside" in line for line in lines[3:])


def test_the_benchmark_of_distances_reports_a_disagreement() -> None:
    found = [distances.Comparison("KID", "theirs", 1.02, 1.0), distances.Comparison("KID", "others", 1.0, 1.0)]
    assert "largest relative difference: 2.0e-02" in distances.report(found, [])
