from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.small_image_results import COUPLINGS, FID, MODELS, STUDENTS, write_run

from pipeline.config.graph import Headline
from pipeline.metrics.image_row import ImageRow
from pipeline.report.images.answer import answer_section, find_answer, headline_of_answer
from pipeline.report.images.results import load_results

HEADLINE = Headline("few_step", "round1")
STUDENT, TEACHER = ("few_step", "euler", 1), ("teacher", "unipc", 16)  # the teacher's lowest FID is 2 there


@pytest.fixture
def rows(tmp_path: Path) -> tuple[ImageRow, ...]:
    write_run(tmp_path)
    return load_results(tmp_path, MODELS, COUPLINGS, STUDENTS).rows


def change(rows: Iterable[ImageRow], cell: tuple[str, str, int], **changes: object) -> list[ImageRow]:
    return [replace(row, **changes) if row.cell == cell else row for row in rows]


def words(rows: Iterable[ImageRow]) -> str:
    answer = find_answer(list(rows), HEADLINE)
    assert answer is not None
    return headline_of_answer(answer)


def test_one_step_is_compared_with_the_teachers_lowest_fid(rows: tuple[ImageRow, ...]) -> None:
    answer = find_answer(rows, HEADLINE)
    assert answer is not None
    assert (answer.student.cell, answer.teacher.cell) == (STUDENT, TEACHER)
    assert answer.quality.ratio == FID["few_step", "euler"][0] / FID["teacher", "unipc"][2]
    # Times are 0.125 s a step.
    assert answer.speedup == 16
    assert words(rows) == "One network call instead of 16: 16 times as fast, 2.50 times the FID."
    low, high = (2.5 * np.exp(sign * np.sqrt(2) * 0.1) for sign in (-1, 1))
    section = answer_section(rows, HEADLINE)
    assert f"2.50 [{low:.2f}, {high:.2f}] times" in section
    assert "0.12 against 2 s per 1,000 images" in section
    assert "judge" not in section


def test_the_speed_of_models_of_latents_is_with_decoding(rows: tuple[ImageRow, ...]) -> None:
    """Times are 0.125 s a step: with half a second to decode, 2.5 s against 0.625."""
    answer = find_answer(rows, HEADLINE, 0.5)
    assert answer is not None
    assert answer.speedup == 4
    assert "0.62 against 2.5 s per 1,000 images, of each 0.5 s decoding." in answer_section(rows, HEADLINE, 0.5)


def test_what_is_not_significant_or_of_unknown_spread_is_no_cost(rows: tuple[ImageRow, ...]) -> None:
    alike = change(rows, STUDENT, fid=2.1, fid_low=1.9, fid_high=2.3)
    assert words(alike) == "One network call instead of 16: 16 times as fast, and no significant difference in FID."
    unknown = change(rows, STUDENT, fid_low=None, fid_high=None)
    assert words(unknown).endswith("2.50 times the FID (spread unknown).")


def test_without_times_nothing_is_faster(rows: tuple[ImageRow, ...]) -> None:
    for seconds in (None, 0.0):
        untimed = change(rows, STUDENT, seconds_per_1000=seconds)
        assert words(untimed) == "One network call instead of 16: 2.50 times the FID."
        assert "speed" not in answer_section(untimed, HEADLINE)


def test_the_judge_has_its_own_ratio(rows: tuple[ImageRow, ...]) -> None:
    judged = [replace(row, features="other", is_judge=True, measured_by="ef") for row in rows]
    judged = change(judged, STUDENT, fid=8.0, fid_low=7.2, fid_high=8.8)
    assert "by the judge 4.00 [3.47, 4.61]" in answer_section([*rows, *judged], HEADLINE)


def test_a_difference_that_the_judge_alone_finds_is_said_first(rows: tuple[ImageRow, ...]) -> None:
    alike = change(rows, STUDENT, fid=2.1, fid_low=1.9, fid_high=2.3)
    judged = [replace(row, features="other", is_judge=True, measured_by="ef") for row in rows]
    apart = change(judged, STUDENT, fid=8.0, fid_low=7.2, fid_high=8.8)
    assert words([*alike, *apart]).endswith("4.00 times the FID by the judge. The first features see no difference.")
    level = change(judged, STUDENT, fid=2.1, fid_low=1.9, fid_high=2.3)
    assert words([*alike, *level]).endswith("and no significant difference in FID.")


def test_cells_that_do_not_compare_give_no_answer(rows: tuple[ImageRow, ...]) -> None:
    without = (
        [row for row in rows if row.model != "teacher"],
        [row for row in rows if row.cell != STUDENT],
        change(rows, STUDENT, measured_by="cd34"),
        change(rows, TEACHER, fid=0.0, fid_low=0.0, fid_high=0.0),
    )
    for part in without:
        assert find_answer(part, HEADLINE) is None
        assert answer_section(part, HEADLINE) == ""
