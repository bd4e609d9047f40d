"""Refuses arguments that would be taken for something else: empty ones, and counts that are not written as such."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)


class StrictCommand(TyperCommand):
    """A command whose arguments are taken as they are written, or not at all.

    An empty one would be the current folder, a default, or no setting; ``1.0``, ``1_0`` and digits of other scripts
    would be converted. What has a least value is a count.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the words of a call; raises BadParameter, which ends it with one message."""
        counts = {name for parameter in self.params if _is_count(parameter) for name in parameter.opts}
        for name, value in _words(args):
            where = f"'{name}': " if name else ""
            if not value.strip():
                raise BadParameter(f"{where}an empty argument; write a value, or leave the option out", ctx)
            if name in counts and not _WHOLE.fullmatch(value):
                raise BadParameter(f"{where}{value!r} is not a valid integer.", ctx)
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


def _is_count(parameter: Any) -> bool:
    return getattr(parameter, "min", None) is not None


def _words(args: list[str]) -> Iterator[tuple[str, str]]:
    """Every word of a call with the option that it follows, if any; ``--option=value`` gives both at once."""
    option = ""
    for word in args:
        name, separator, value = word.partition("=")
        if word.startswith("--") and separator:
            yield name, value
            option = ""
        else:
            yield option, word
            option = word if word.startswith("-") and not _WHOLE.fullmatch(word) else ""
