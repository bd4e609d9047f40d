"""Which models were taught the features that measure them first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def taught_features(config: Config, model: str) -> tuple[str, ...]:
    """Students that learned the first features, of those that ``model`` comes from, itself among them.

    FIDs of ``model`` by these features are lower than its images deserve.
    """
    student = config.students.get(model)
    if student is None:
        return ()
    before = (config.couplings[student.couplings].source, student.init)
    found = [name for other in before for name in taught_features(config, other)]
    return tuple(dict.fromkeys([*found, *([model] if student.method.learns_features else [])]))
