"""What one step costs and gains: the student's one step beside the teacher at its best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pipeline.config.graph import Headline
from pipeline.metrics.image_row import ImageRow
from pipeline.report.images.comparisons import Comparison, best_teacher, by_judge, by_untaught_features, largest_pair
from pipeline.report.images.summary import fid_in_words, format_fid, format_two_digits


@dataclass(frozen=True)
class Answer:
    """One step of the student against the teacher's cell of lowest FID.

    Attributes:
        quality: Their FIDs by the first features, of as many samples as both have; by the judge's where the student was
            trained on the first.
        judged: Their FIDs by the judge; None without one, and where ``quality`` is of these.
        decoding: Seconds in which 1,000 latents are decoded, of either; 0 where the networks make images.
    """

    quality: Comparison
    judged: Comparison | None
    decoding: float = 0.0

    @property
    def student(self) -> ImageRow:
        """The student's one step."""
        return self.quality.numerator

    @property
    def teacher(self) -> ImageRow:
        """The teacher's best cell."""
        return self.quality.denominator

    @property
    def speedup(self) -> float | None:
        """Seconds of the teacher over seconds of the student, both per image as it is seen, so with decoding.

        None if the time of one's network is unknown or 0.
        """
        ours, theirs = self.student.seconds_per_1000, self.teacher.seconds_per_1000
        return (theirs + self.decoding) / (ours + self.decoding) if ours and theirs else None


def find_answer(rows: Sequence[ImageRow], headline: Headline, decoding: float = 0.0) -> Answer | None:
    """The answer of a run; None if the student's one step or the teacher was not measured, or they do not compare.

    Args:
        rows: Every measured cell.
        headline: The student in question.
        decoding: Seconds in which 1,000 latents are decoded; 0 where the networks make images.
    """
    quality = _against_best(by_untaught_features(rows, headline), headline)
    if quality is None:
        return None
    if quality.numerator.is_judge:
        return Answer(quality, None, decoding)
    pair = largest_pair(by_judge(rows), quality.numerator.cell, quality.denominator.cell)
    judged = None if pair is None or pair[1].fid <= 0 else Comparison("", "teacher's best", *pair)
    return Answer(quality, judged, decoding)


def _against_best(rows: Sequence[ImageRow], headline: Headline) -> Comparison | None:
    best = best_teacher(rows)
    pair = None if best is None else largest_pair(rows, (headline.student, "euler", 1), best.cell)
    return None if pair is None or pair[1].fid <= 0 else Comparison("", "teacher's best", *pair)


def answer_section(rows: Sequence[ImageRow], headline: Headline, decoding: float = 0.0) -> str:
    """HTML of the first lines of the page: the answer in one sentence and its three numbers; empty without one.

    Arguments are those of :func:`find_answer`.
    """
    answer = find_answer(rows, headline, decoding)
    if answer is None:
        return ""
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd><b>{escape(number)}</b><span>{escape(note)}</span></dd></div>"
        for name, number, note in _tiles(answer)
    )
    return f'<p class="headline">{escape(headline_of_answer(answer))}</p><dl class="answers">{tiles}</dl>'


def headline_of_answer(answer: Answer) -> str:
    """For example ``One network call instead of 10: 8.9 times as fast, 2.37 times the FID.``"""
    text = f"One network call instead of {answer.teacher.nfe:.3g}: "
    if answer.speedup is not None:
        text += f"{format_two_digits(answer.speedup)} times as fast, "
    if answer.quality.interval is not None and not answer.quality.is_significant:
        if answer.judged is not None and answer.judged.is_significant:
            return f"{text}{answer.judged.ratio:.2f} times the FID by the judge. The first features see no difference."
        return f"{text}and no significant difference in FID."
    unknown = " (spread unknown)" if answer.quality.interval is None else ""
    return f"{text}{answer.quality.ratio:.2f} times the FID{unknown}."


def _tiles(answer: Answer) -> list[tuple[str, str, str]]:
    """Name, number and note of each answer."""
    student, teacher = answer.student, answer.teacher
    judged = "" if answer.judged is None else f"; by the judge {answer.judged.verdict}"
    if student.is_judge:
        judged = ", by the judge, as the student was trained on the first features"
    quality = (
        "Cost in quality",
        f"FID {format_fid(student.fid)} against {format_fid(teacher.fid)}",
        f"{answer.quality.verdict} times the teacher’s best{judged}. Lower is better; {student.num_samples:,} samples.",
    )
    calls = (
        "Network calls per image",
        f"{student.nfe:g} against {teacher.nfe:.3g}",
        f"The teacher is at its best with {teacher.solver}: FID {fid_in_words(teacher)}.",
    )
    if answer.speedup is None:
        return [quality, calls]
    ours, theirs = (format_two_digits((row.seconds_per_1000 or 0.0) + answer.decoding) for row in (student, teacher))
    decoding = f", of each {format_two_digits(answer.decoding)} s decoding" if answer.decoding else ""
    speed = (
        "Gain in speed",
        f"{format_two_digits(answer.speedup)} times",
        f"{ours} against {theirs} s per 1,000 images{decoding}.",
    )
    return [quality, speed, calls]
