"""Names that the sections refer to each other by: taken twice, of nothing, or going round in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from pipeline.config.model_names import RESERVED
from pipeline.system.errors import nearest

if TYPE_CHECKING:
    from pipeline.config.graph import Config


def name_problems(config: Config) -> Iterator[str]:
    """Yields names that share a folder with another name or are reserved; some disks ignore case.

    Couplings and models are in folders of their own, and may share names.
    """
    reserved = dict.fromkeys(RESERVED, f"a reserved name ({', '.join(RESERVED)})")
    yield from _doubles([*_keys("flows", config.flows), *_keys("students", config.students)], reserved)
    yield from _doubles(_keys("couplings", config.couplings), {})


def reference_problems(config: Config) -> Iterator[str]:
    """Yields names of nothing, and couplings and students that wait for each other."""
    for name, couplings in config.couplings.items():
        if couplings.source not in config.models:
            yield f"couplings.{name}.source is {couplings.source!r}{nearest(couplings.source, config.models)}"
    for name, student in config.students.items():
        if student.couplings not in config.couplings:
            yield f"students.{name}.couplings is {student.couplings!r}{nearest(student.couplings, config.couplings)}"
        if student.init not in config.models:
            yield f"students.{name}.init is {student.init!r}{nearest(student.init, config.models)}"
    for name in config.gate.drift_allowed:
        if name not in config.couplings:
            yield f"gate.drift_allowed names {name!r}{nearest(name, config.couplings)}"
    if config.headline not in config.students:
        yield f"headline, the student that the run is made for, is {config.headline!r}" + nearest(
            config.headline, config.students
        )
    cycle = _cycle(config)
    if cycle:
        yield f"{' <- '.join(cycle)} is a cycle: each is made from the one after it; let one start from the teacher"


def _keys(section: str, names: Iterable[str]) -> list[tuple[str, str]]:
    """The dotted key of each name of a section, and the name."""
    return [(f"{section}.{name}", name) for name in names]


def _doubles(keys: Iterable[tuple[str, str]], reserved: Mapping[str, str]) -> Iterator[str]:
    taken = dict(reserved)
    for key, name in keys:
        if name.lower() in taken:
            yield f"{key}: on some disks that is the name of {taken[name.lower()]}; rename one"
        taken.setdefault(name.lower(), key)


def _cycle(config: Config) -> list[str]:
    """Couplings and students that are each made from the next, the first one again at the end; empty without any."""
    made_from: dict[str, list[str]] = {
        f"couplings.{name}": [f"students.{couplings.source}"] for name, couplings in config.couplings.items()
    }
    for name, student in config.students.items():
        made_from[f"students.{name}"] = [f"couplings.{student.couplings}", f"students.{student.init}"]
    try:
        TopologicalSorter(made_from).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []
