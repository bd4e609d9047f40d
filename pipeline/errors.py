"""Errors a user can mend: what was expected, what was found, what to do."""

from __future__ import annotations


class StraightflowError(Exception):
    """A problem with the user's configuration, files or surroundings.

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
