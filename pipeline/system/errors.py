"""Exceptions that end a stage early: an error that the user can fix, or a request to stop."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from pydantic import ValidationError


class StraightflowError(Exception):
    """A problem with the user's configuration, files or environment.

    Stages print it as one message without a traceback and exit with status 2.

    Args:
        expected: What the code needed.
        found: What it got instead.
        mend: What the user can do about it.
    """

    def __init__(self, *, expected: str, found: str, mend: str) -> None:
        self.expected = expected
        self.found = found
        self.mend = mend
        super().__init__(f"expected: {expected}\n   found: {found}\n    mend: {mend}")


MOST_PROBLEMS = 12
"""Fields that one message names at most."""


def validation_problems(error: ValidationError) -> str:
    """The first invalid fields with the reasons, and how many more there are, in one line."""
    problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    more = [f"and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
    return "; ".join(problems[:MOST_PROBLEMS] + more)


def one_line(error: BaseException) -> str:
    """The first 500 characters of a library's error message, in one line; the error's type if it has no message."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and those that it was raised from, newest first; libraries wrap errors of the system in their own."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


EXIT_RESUME = 75
"""Exit status that says "start me again": EX_TEMPFAIL of sysexits.h."""


class InterruptedRunError(Exception):
    """A run saved a checkpoint and stopped on request; it resumes when it is started again."""


def nearest(name: str, known: Iterable[str]) -> str:
    """End of an error message: ``name`` does not exist, the closest known name, and all known names."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f", which does not exist{hint} (known: {', '.join(known) or 'none'})"
