"""Results that are kept: what holds numbers that cannot be is measured anew, even where its hashes are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.sweep_setting import EXTRACTOR, reference
from safetensors.numpy import load_file, save_file

from pipeline.config.solver import SolverConfig
from pipeline.evaluation.cells import IMAGES, RESULT, Cell, CellCache, CellResult
from pipeline.evaluation.quality import Quality
from pipeline.evaluation.reference import STATISTICS
from pipeline.system.compute import NOTHING, Compute
from pipeline.system.errors import StraightflowError
from pipeline.system.file_hashes import HASHES, file_hashes, write_hashes

CELL = Cell(SolverConfig(name="euler", num_steps=2), num_samples=66)
QUALITY = Quality(
    num_samples=66, num_chunks=1, fid=3.0, fid_low=2.8, fid_high=3.2, fid_infinity=-0.5, fid_infinity_low=-0.7,
    fid_infinity_high=-0.3, fid_heldout=None, fid_heldout_floor=None, kid=-0.01, kid_std=0.01, kid_samples=50,
    precision=0.5, recall=1.0, density=1.2, coverage=0.9, neighbour_samples=20, nearest_train_ratio=1.1,
    fid_deviations=(0.01,) * 20,
)  # fmt: skip
SPENT = Compute(samples_forward=132, samples_backward=0, flops=1000, seconds=0.1)
MEASURED = CellResult(
    ((QUALITY,),),
    nfe=2.0,
    nfe_std=0.0,
    seconds_per_1000=0.3,
    peak_memory_mib=None,
    compute=SPENT,
    decoding=NOTHING,
)
PICTURES = np.zeros((3, 1, 8, 8), np.uint8)


def result(**changes: object) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        content = json.loads((place / RESULT).read_text())
        for name, value in changes.items():
            quality = content["qualities"][0][0]
            (quality if name in quality else content)[name] = value
        (place / RESULT).write_text(json.dumps(content))

    return write


def images(**content: np.ndarray) -> Callable[[Path], None]:
    return lambda place: save_file(content, place / IMAGES)


@pytest.mark.parametrize(
    "damage",
    [result(fid=-5.0), result(fid=float("nan")), result(precision=2), result(nfe=-1.0), result(seconds_per_1000=-1.0),
     result(nfe="2"), result(other=1), images(), images(images=PICTURES[0]), images(images=PICTURES.astype(np.int8)),
     lambda place: (place / RESULT).write_text("[]"), lambda place: (place / IMAGES).write_bytes(b"")],
)  # fmt: skip
def test_a_cell_with_numbers_that_cannot_be_counts_as_not_measured(
    damage: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = CellCache(tmp_path, [])
    cache.save(CELL, MEASURED, PICTURES)
    assert cache.has(CELL)
    kept = cache.load(CELL)
    assert kept is not None
    assert kept[0] == MEASURED
    (place,) = tmp_path.glob("euler-*")
    damage(place)
    write_hashes(place)
    assert not cache.has(CELL)
    assert "measuring it anew" in capsys.readouterr().err
    cache.save(CELL, MEASURED, PICTURES)
    assert cache.has(CELL)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda place: (place / "notes.txt").write_text("mine"), "notes.txt changed"),
        (lambda place: (place / IMAGES).unlink(), f"{IMAGES} changed"),
        (lambda place: (place / HASHES).unlink(), f"{HASHES} that cannot be read"),
        (lambda place: (place / HASHES).write_text("[]"), f"{HASHES} without hashes"),
        # Hashes that stand alone, under no key.
        (lambda place: (place / HASHES).write_text(json.dumps(file_hashes(place, record=HASHES))), "without hashes"),
    ],
)
def test_a_folder_that_is_not_as_its_hashes_say_counts_as_not_measured(
    change: Callable[[Path], object], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = CellCache(tmp_path, [])
    cache.save(CELL, MEASURED, PICTURES)
    (place,) = tmp_path.glob("euler-*")
    change(place)
    assert not cache.has(CELL)
    assert problem in capsys.readouterr().err


def test_a_cell_with_numbers_that_cannot_be_is_not_kept(tmp_path: Path) -> None:
    cache = CellCache(tmp_path, [])
    for value in (float("nan"), -1.0):
        with pytest.raises(StraightflowError, match=r"euler at 2 steps(.|\n)*qualities\.0\.0\.fid"):
            cache.save(CELL, replace(MEASURED, qualities=((replace(QUALITY, fid=value),),)), PICTURES)
    assert not cache.has(CELL)


def statistics(**changes: np.ndarray) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda content: content | changes


@pytest.mark.parametrize(
    "damage",
    [
        statistics(count=np.array([0])),
        statistics(count=np.array([5])),
        statistics(count=np.array([90, 1])),
        statistics(mean=np.zeros(3)),
        statistics(scatter=-np.eye(6)),
        statistics(features=np.zeros((50, 5), np.float32)),
        statistics(other=np.zeros(1)),
        lambda content: {"mean": content["mean"]},
    ],
)
def test_statistics_that_cannot_be_are_measured_anew(
    damage: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], tmp_path: Path, runtime
) -> None:
    first = reference(tmp_path, runtime)
    (place,) = (tmp_path / "references").glob("train-*")
    path = place / STATISTICS
    before = path.read_bytes()
    save_file(damage(load_file(path)), path)
    write_hashes(place)
    again = reference(tmp_path, runtime, EXTRACTOR)
    assert np.array_equal(again.frechet.moments.scatter, first.frechet.moments.scatter)
    assert path.read_bytes() == before
