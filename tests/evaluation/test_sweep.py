from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.project_folders import launch
from helpers.sweep_setting import (
    EXTRACTOR,
    NUM_FEATURES,
    cells,
    comparable,
    config,
    extract,
    few_step_fid,
    reference,
    run_sweep,
)

from pipeline.config.solver import SolverConfig
from pipeline.data.pixels import to_uint8
from pipeline.evaluation import blocks
from pipeline.evaluation.blocks import sample_blocks
from pipeline.evaluation.sweep import sweep
from pipeline.flow.noise import sample_noise, stream_key
from pipeline.flow.solvers import Solution
from pipeline.metrics.frechet import frechet_distance
from pipeline.metrics.moments import moments_of
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from pipeline.system.gathering import gather_to_main
from stages import paths


@pytest.fixture
def folder(tmp_path: Path, tiny_unet) -> Path:
    torch.set_num_threads(1)
    save_student(tiny_unet, tmp_path / "student")
    return tmp_path


def forbid_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a finished cell was measured again")

    monkeypatch.setattr(Sampler, "sample", refuse)


def test_rows_say_what_they_measured_and_fid_is_that_of_all_images_at_once(folder: Path, runtime) -> None:
    found = run_sweep(folder, runtime)
    assert [(row.solver, row.num_steps, row.nfe, row.nfe_std) for row in found.rows] == [
        ("euler", 1, 1, 0),
        ("euler", 2, 2, 0),
    ]
    assert [(row.seed, row.num_samples, row.num_chunks, row.features, row.reference) for row in found.rows] == 2 * [
        (0, 66, 1, "projection", "train")
    ]
    images, real = generated(folder, runtime, range(66)), reference(folder, runtime).frechet.moments
    assert np.array_equal(found.images["euler/1"], images[:5].numpy())
    assert found.rows[0].fid == pytest.approx(frechet_distance(moments_of(extract(images)), real), rel=1e-6)


def generated(folder: Path, runtime, indices: range) -> torch.Tensor:
    """One-step images of the evaluation's noises, in one batch."""
    sampler = load_sampler(folder / "student", runtime)
    noise = sample_noise(stream_key("evaluation", 0), indices, sampler.shape)
    return to_uint8(sampler.sample(noise, config().solvers(teacher=False)[0]).x)


def test_more_samples_are_measured_as_the_mean_over_chunks_and_all_at_once(folder: Path, runtime) -> None:
    sampler, many = load_sampler(folder / "student", runtime), [(SolverConfig(name="euler", num_steps=1), 3 * 66)]
    found = sweep(sampler, "student", many, config(), [reference(folder, runtime)], folder / "cells")
    chunked, whole = found.rows
    assert (chunked.num_samples, chunked.num_chunks) == (66, 3)
    assert (whole.num_samples, whole.num_chunks) == (198, 1)
    real = reference(folder, runtime).frechet.moments
    features = extract(generated(folder, runtime, range(198)))
    fids = [frechet_distance(moments_of(features[at : at + 66]), real) for at in (0, 66, 132)]
    assert chunked.fid == pytest.approx(np.mean(fids), rel=1e-6)
    assert whole.fid == pytest.approx(frechet_distance(moments_of(features), real), rel=1e-6)
    assert chunked.fid_low is not None
    assert chunked.fid_low < chunked.fid
    assert whole.kid == chunked.kid


def test_every_kind_of_features_measures_the_same_images_once(folder: Path, runtime, monkeypatch) -> None:
    drawn = []
    sample = Sampler.sample

    def counted(self: Sampler, x_0: torch.Tensor, *others: Any) -> Solution:
        drawn.append(len(x_0))
        return sample(self, x_0, *others)

    monkeypatch.setattr(Sampler, "sample", counted)
    judge = replace(EXTRACTOR, name="squares", fingerprint="1", extract=lambda x: extract(x) ** 2, is_judge=True)
    references = [reference(folder, runtime), reference(folder, runtime, judge)]
    sampler = load_sampler(folder / "student", runtime)
    rows = sweep(sampler, "student", cells(), config(), references, folder / "cells").rows
    assert sum(drawn) == 8 + 2 + 2 * 66  # a batch of each size warms up
    assert [(row.num_steps, row.features, row.is_judge) for row in rows] == [
        (1, "projection", False), (1, "squares", True), (2, "projection", False), (2, "squares", True),
    ]  # fmt: skip
    assert len({row.measured_by for row in rows}) == 2
    features = extract(generated(folder, runtime, range(66))) ** 2
    assert rows[1].fid == pytest.approx(frechet_distance(moments_of(features), references[1].frechet.moments), rel=1e-6)
    alone = run_sweep(folder, runtime).rows
    assert [row.fid for row in alone] == [row.fid for row in rows if not row.is_judge]


def test_a_finished_sweep_rests_and_a_new_step_count_is_measured_alone(folder: Path, runtime, monkeypatch) -> None:
    first = run_sweep(folder, runtime)
    solved = []
    sample = Sampler.sample

    def noted(self: Sampler, x_0: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None) -> Solution:
        solved.append((solver.num_steps, len(x_0)))
        return sample(self, x_0, solver, labels)

    monkeypatch.setattr(Sampler, "sample", noted)
    more = run_sweep(folder, runtime, num_steps=[1, 2, 3])
    # One step warms up each of two sizes of batch; then three steps of 66 images, which 8 and 2 images divide into.
    assert solved == [(1, 8), (1, 2)] + [(3, 8)] * 8 + [(3, 2)]
    assert comparable(more)[:2] == comparable(first)
    forbid_sampling(monkeypatch)
    assert comparable(run_sweep(folder, runtime)) == comparable(first)
    # Other seeds, models and settings make other cells.
    with pytest.raises(AssertionError, match="measured again"):
        run_sweep(folder, runtime, seed=5)


def test_seconds_are_those_of_sampling_alone(folder: Path, runtime, monkeypatch) -> None:
    now, known, events = [0.0], set(), []
    sample, draw = Sampler.sample, Sampler.draw

    def sampled(self: Sampler, x_0: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None) -> Solution:
        # A second an image and step; what is new about a size of batch takes long.
        now[0] += len(x_0) * solver.steps + (1000 if len(x_0) not in known else 0)
        known.add(len(x_0))
        events.append("sample")
        return sample(self, x_0, solver, labels)

    def drawn(self: Sampler, key: int, indices: range) -> tuple[torch.Tensor, torch.Tensor | None]:
        now[0] += 50
        return draw(self, key, indices)

    def extracted(images: torch.Tensor) -> np.ndarray:
        now[0] += 70
        events.append("features")
        return extract(images)

    monkeypatch.setattr(Sampler, "sample", sampled)
    monkeypatch.setattr(Sampler, "draw", drawn)
    monkeypatch.setattr(blocks.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(blocks, "wait_for", lambda _device: events.append("wait"))
    extractor = type(EXTRACTOR)(EXTRACTOR.name, EXTRACTOR.fingerprint, extracted)
    sampler, real = load_sampler(folder / "student", runtime), reference(folder, runtime, extractor)
    events.clear()
    found = sweep(sampler, "student", cells(), config(), [real], folder / "cells")
    assert [row.seconds_per_1000 for row in found.rows] == [1000, 2000]
    # The device is idle before and after, and done with features too.
    cell = ["wait", "sample", "wait", "features"] * 9
    assert events[: 2 + len(cell)] == ["sample", "sample", *cell]


def test_an_adaptive_solver_reports_the_mean_of_what_it_took(folder: Path, runtime) -> None:
    solvers = [{"name": "dopri5", "rtol": 1e-3, "atol": 1e-3}]
    found = run_sweep(folder, runtime, student_solvers=solvers)
    (row,) = found.rows
    assert (row.solver, row.num_steps) == ("dopri5-0.001", None)
    assert list(found.images) == ["dopri5-0.001/adaptive"]
    sampler = load_sampler(folder / "student", runtime)
    counts, calls = [], []
    for batch in (range(at, min(at + 8, 66)) for at in range(0, 66, 8)):
        noise = sample_noise(stream_key("evaluation", 0), batch, sampler.shape)
        counts.append(len(batch))
        calls.append(sampler.sample(noise, config(student_solvers=solvers).solvers(teacher=False)[0]).nfe)
    mean = np.average(calls, weights=counts)
    assert row.nfe == pytest.approx(mean)
    assert row.nfe_std == pytest.approx(np.sqrt(np.average((np.array(calls) - mean) ** 2, weights=counts)))


def test_two_processes_measure_what_one_does_to_the_bit(folder: Path, runtime) -> None:
    one = {"rows": comparable(run_sweep(folder, runtime)), "few_step_fid": few_step_fid(folder, runtime)}
    one["samples_forward"] = 66 * (1 + 2)
    shutil.rmtree(folder / "cells")
    shutil.rmtree(folder / "references")
    launch("sweep_setting.py", folder, 2)
    # Each wrote its own file, and was refused if there were not two.
    expected = json.loads(json.dumps(one))
    assert [json.loads((folder / f"found-{index}.json").read_text()) for index in (0, 1)] == 2 * [expected]
    # What each has goes to the main one alone, in the order of the processes.
    gathered = [json.loads((folder / f"gathered-{index}.json").read_text()) for index in (0, 1)]
    assert gathered == [[0, 10, 1, 11], []]
    assert gather_to_main([0, 10]) == [0, 10]


def test_images_that_are_not_finite_are_named_and_finished_cells_stay(folder: Path, runtime, monkeypatch) -> None:
    sample = Sampler.sample

    def broken(self: Sampler, x_0: torch.Tensor, solver: SolverConfig, labels: torch.Tensor | None = None) -> Solution:
        solution = sample(self, x_0, solver, labels)
        return type(solution)(solution.x * (torch.nan if solver.num_steps == 2 else 1), solution.nfe)

    monkeypatch.setattr(Sampler, "sample", broken)
    with pytest.raises(StraightflowError, match=r"euler at 2 steps(.|\n)*samples 0 to 7"):
        run_sweep(folder, runtime)
    forbid_sampling(monkeypatch)
    assert [row.num_steps for row in run_sweep(folder, runtime, num_steps=[1]).rows] == [1]


def test_what_does_not_fit_the_reference_is_refused_before_anything_runs(folder: Path, runtime, monkeypatch) -> None:
    forbid_sampling(monkeypatch)
    with pytest.raises(StraightflowError, match=rf"at least as many samples as features \({NUM_FEATURES}\)"):
        run_sweep(folder, runtime, num_samples=NUM_FEATURES - 1, grid_images=2)
    # The reference has ninety images.
    with pytest.raises(StraightflowError, match=r"more than 90 images(.|\n)*66 generated and 90 of the reference"):
        run_sweep(folder, runtime, neighbours={"num_samples": 91, "k": 90})
    sampler = load_sampler(folder / "student", runtime)
    wider = type(sampler)(**{**vars(sampler), "shape": (3, 8, 8)})
    with pytest.raises(StraightflowError, match=r"\(1, 8, 8\)(.|\n)*\(3, 8, 8\)"):
        sweep(wider, "student", cells(), config(), [reference(folder, runtime)], folder / "cells")


def test_reference_statistics_are_computed_once(folder: Path, runtime) -> None:
    first = reference(folder, runtime)
    features = type(EXTRACTOR)("projection", "0", lambda _: pytest.fail("computed again"))
    again = reference(folder, runtime, features)
    assert np.array_equal(again.frechet.moments.scatter, first.frechet.moments.scatter)
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        reference(folder, runtime, type(EXTRACTOR)("projection", "1", features.extract))


def test_references_are_measured_anew_by_other_code(folder: Path, runtime) -> None:
    first = reference(folder, runtime, code={"pipeline.metrics.features": "1"})
    unused = type(EXTRACTOR)("projection", "0", lambda _: pytest.fail("computed again"))
    again = reference(folder, runtime, unused, code={"pipeline.metrics.features": "1"})
    assert again.fingerprint == first.fingerprint
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        reference(folder, runtime, unused, code={"pipeline.metrics.features": "2"})


def test_the_run_names_the_code_that_measures_its_references() -> None:
    code = paths.measuring().reference_code()
    assert {"pipeline.metrics.features", "pipeline.metrics.inception", "pipeline.metrics.moments"} <= code.keys()


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "bit": flip_a_bit,
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-8]),
    "empty": lambda file: file.write_bytes(b""),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_kept_and_changed_since_is_measured_anew_and_said(folder: Path, runtime, capsys, damage: str) -> None:
    first, first_images = (lambda found: (comparable(found), found.images))(run_sweep(folder, runtime))
    files = sorted(file for name in ("cells", "references") for file in (folder / name).rglob("*") if file.is_file())
    assert len(files) == 2 * 3 + 2 * 2  # two cells and two references, each with its hashes
    for file in files:
        DAMAGES[damage](file)
        capsys.readouterr()
        again = run_sweep(folder, runtime)
        assert comparable(again) == first, file
        assert all(np.array_equal(again.images[name], first_images[name]) for name in first_images)
        said = capsys.readouterr().err
        assert said.count("measuring it anew") == 1, said  # what was damaged before is whole again
        assert file.parent.name in said
    run_sweep(folder, runtime)
    assert "anew" not in capsys.readouterr().err


def test_what_is_not_ours_beside_a_kept_result_is_not_deleted(folder: Path, runtime) -> None:
    run_sweep(folder, runtime)
    cell = next(iter((folder / "cells").iterdir()))
    (cell / "notes.txt").write_text("mine")
    with pytest.raises(StraightflowError, match=r"notes\.txt"):
        run_sweep(folder, runtime)
    assert (cell / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("num_samples", "batch_size"), [(5000, 250), (66, 8), (200, 250), (50_000, 1000), (7, 2)])
def test_blocks_cover_every_sample_once_in_whole_batches(num_samples: int, batch_size: int) -> None:
    blocks = sample_blocks(num_samples, batch_size)
    assert [index for block in blocks for index in block] == list(range(num_samples))
    assert all(len(block) % batch_size == 0 for block in blocks[:-1])
    assert len(blocks) < 40
