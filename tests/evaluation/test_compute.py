"""What measuring a model computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.sweep_setting import cells, config, reference, run_sweep

from pipeline.config.drawn_trajectories import DrawnTrajectories
from pipeline.evaluation.images import ImageMeasure
from pipeline.models.counted import NetworkCalls
from pipeline.models.flops import flops_per_sample
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.code import NO_CODE

SWEEP = 66 * (1 + 2)  # samples times steps


@pytest.fixture
def folder(tmp_path: Path, tiny_unet) -> Path:
    torch.set_num_threads(1)
    save_student(tiny_unet, tmp_path / "student")
    return tmp_path


class KilledError(Exception):
    pass


def test_a_sweep_that_was_interrupted_reports_all_of_its_cells(
    folder: Path, tiny_unet, runtime: Runtime, monkeypatch
) -> None:
    flops = flops_per_sample(tiny_unet, (1, 8, 8), None).forward
    sample = Sampler.sample

    def dies_in_its_second_cell(self, x_0, solver, labels=None):
        if self.calls.forward >= 66 + 2 * 8:
            raise KilledError
        return sample(self, x_0, solver, labels)

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "sample", dies_in_its_second_cell)
        with pytest.raises(KilledError):
            run_sweep(folder, runtime)
    resumed = run_sweep(folder, runtime).compute
    assert (resumed.samples_forward, resumed.samples_backward, resumed.flops) == (SWEEP, 0, SWEEP * flops)
    assert run_sweep(folder, runtime).compute == resumed  # all of it from the cache


def test_an_evaluation_is_its_cells_its_trajectories_and_those_drawn(folder: Path, runtime: Runtime) -> None:
    references = (reference(folder, runtime),)
    measure = ImageMeasure(
        config(),
        lambda _: tuple(cells()),
        lambda _: DrawnTrajectories(True, (1, 4)),
        references,
        folder / "cells",
        NO_CODE,
    )
    sampler = load_sampler(folder / "student", runtime)
    content, _ = measure.evaluate(sampler, "student")
    # Four trajectories of four Euler steps: at five times there, four back, and three times of half as many steps.
    measured = SWEEP + 4 * (5 + 4 + 3)
    # From eight noises, at nine times an estimate, and between two of them four of Heun's steps; and five Euler steps.
    drawn = 8 * (9 + 8 * 4 * 2) + 8 * (1 + 4)
    assert content["compute"]["samples_forward"] == sampler.calls.forward == measured + drawn
    again = dataclasses.replace(sampler, calls=NetworkCalls())
    assert measure.evaluate(again, "student")[0]["compute"] == content["compute"]
    assert again.calls.forward == 0
