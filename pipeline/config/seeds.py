"""Students that are one recipe, trained from several seeds."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pipeline.config.graph import Config
from pipeline.system.fingerprint import fingerprint_json

_NUMBER = re.compile(r"_\d+$")


def recipes(config: Config) -> dict[str, tuple[str, ...]]:
    """Students by recipe: those of one have the same settings, couplings and start, but for seeds of training.

    Starts are the same if they are the same model or students of one recipe. Order is the configuration's.

    Returns:
        Names of its students by the name of each recipe: that of a student without a number at its end, such as
        ``reflow`` for ``reflow_1``, and preferably of one that has a number. Where two recipes would have one name,
        that is the first student's whole.
    """

    @cache
    def key(model: str) -> str:
        student = config.students.get(model)
        if student is None:
            return model
        settings: dict[str, Any] = student.model_dump(mode="json", exclude={"seed", "init"})
        return fingerprint_json([settings, key(student.init)])

    found: dict[str, list[str]] = {}
    for name in config.students:
        found.setdefault(key(name), []).append(name)
    named: dict[str, tuple[str, ...]] = {}
    for students in found.values():
        numbered = next((name for name in students if _NUMBER.search(name)), students[0])
        name = _NUMBER.sub("", numbered)
        named[students[0] if name in named else name] = tuple(students)
    return named
