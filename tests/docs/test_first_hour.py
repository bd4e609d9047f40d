"""The numbers of docs/first-hour.md, computed from the network and from the committed run."""

from __future__ import annotations

import json
import re

import pytest
from helpers.composition import composed
from helpers.project_folders import ROOT

from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.models.flops import FlopsPerSample, flops_per_sample
from pipeline.models.networks import build_network

MINUTES_AT_8 = 17  # as configs/preset/digits.yaml says, with the machine
GPU_FLOPS_PER_SECOND = 1e13
UNITS = {"s": 1, "min": 60, "h": 3600}
DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
ROW = re.compile(r"^\| (\d+)×\d+ \| ([\d.]+)·10(\S+) \| ([\d.]+) (\w+) \| ([\d.]+) (\w+) \|$", re.MULTILINE)


def of_pictures(resolution: int) -> tuple[Config, FlopsPerSample]:
    changes = ("data.source=folder", "data.location=pictures", "data.channels=3", f"data.resolution={resolution}")
    config = parse_config(composed("preset=digits", *changes), origin="digits")
    shape = (3, resolution, resolution)
    return config, flops_per_sample(build_network(config.teacher.network, shape, 0), shape, None)


def total_flops(resolution: int) -> float:
    """Of training as the committed run counted it, of drawing couplings, and of every measured cell."""
    config, flops = of_pictures(resolution)
    forward = backward = 0
    for model in config.models:
        compute = json.loads((ROOT / f"metrics/training/{model}.json").read_text())["compute"]
        forward, backward = forward + compute["samples_forward"], backward + compute["samples_backward"]
    couplings = config.couplings["round1"]
    forward += couplings.num_pairs * (couplings.solver.num_steps or 0)
    cells = [cell for model in config.evaluate.models for cell in config.cells_of(model)]
    forward += sum(num_samples * (solver.num_steps or 0) for solver, num_samples in cells)
    return forward * flops.forward + backward * flops.backward


def test_times_are_the_measured_one_times_the_ratio_of_flops() -> None:
    rows = ROW.findall((ROOT / "docs/first-hour.md").read_text("utf-8"))
    assert [int(row[0]) for row in rows] == [8, 16, 32, 64]
    for resolution, mantissa, exponent, cpu, cpu_unit, gpu, gpu_unit in rows:
        flops = total_flops(int(resolution))
        assert float(mantissa) * 10 ** int(exponent.translate(DIGITS)) == pytest.approx(flops, rel=0.05)
        seconds = 60 * MINUTES_AT_8 * flops / total_flops(8)
        assert float(cpu) * UNITS[cpu_unit] == pytest.approx(seconds, rel=0.05)
        assert float(gpu) * UNITS[gpu_unit] == pytest.approx(flops / GPU_FLOPS_PER_SECOND, rel=0.05)


def test_what_the_gate_is_said_to_say_is_in_its_messages() -> None:
    table = (ROOT / "docs/first-hour.md").read_text("utf-8").split("| it says |")[1].split("\n\n")[0]
    said = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(said) == 5
    sources = "".join(
        (ROOT / "pipeline" / name).read_text("utf-8") for name in ("couplings/gate.py", "evaluation/drift.py")
    )
    # "constant" is put before "images" there.
    assert [text for text in said if text.removeprefix("constant ") not in sources] == []
    assert '"constant"' in sources
