"""YAML from people: plain values, or an error within seconds; no key that hides another, no text that explodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.whole_files import read_bytes

MOST_VALUES = 100_000
"""Values in a file with its aliases written out; a composed configuration has a few hundred."""
MOST_DIGITS = 1_000
"""Characters of an integer; Python refuses to print ones of more than 4,300 digits."""

_INTEGER, _BYTES = "tag:yaml.org,2002:int", "tag:yaml.org,2002:binary"
# What the constructors of scalars raise where a tag does not fit, as in `!!bool x`, `!!int ""` and `!!timestamp x`.
_OF_CONSTRUCTORS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file in UTF-8, as :func:`parse_yaml` gives it.

    Raises:
        OSError: If it cannot be read.
        StraightflowError: If it is not UTF-8, or no YAML of ours.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise StraightflowError(
            expected=f"text in UTF-8 in {path}",
            found=f"the byte 0x{content[error.start]:02x} in line {line}",
            mend="save the file as UTF-8",
        ) from error
    return parse_yaml(text, origin=str(path))


def parse_yaml(text: str, *, origin: str) -> Any:
    """Plain values from YAML; nothing but scalars, lists and mappings is made.

    Args:
        text: The YAML.
        origin: Names it in errors.

    Raises:
        StraightflowError: If it is not YAML, a key stands twice in one mapping, aliases lead back to themselves, or
            there are more than ``MOST_VALUES`` values once aliases are written out, or an integer of more than
            ``MOST_DIGITS``.
    """
    try:
        loader = _Loader(text)
        loader.name = origin
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        return loader.construct_document(node)
    except (yaml.YAMLError, *_OF_CONSTRUCTORS, RecursionError) as error:  # deep nesting ends Python's stack
        raise StraightflowError(
            expected=f"YAML in {origin}", found=one_line(error), mend="correct that line, or compose the file anew"
        ) from error


class _Loader(yaml.SafeLoader):
    """Gives up at the value that is one too many, not after all of them were read, which takes minutes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._num_values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node, see :class:`yaml.composer.Composer`."""
        self._num_values += 1
        if self._num_values > MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_VALUES:,} values")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _count_values(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """Values below a node, those of an alias counted wherever it stands; ``counted`` holds what is known already."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise yaml.MarkedYAMLError(problem="an alias that contains itself", problem_mark=node.start_mark)
        return known
    counted[node] = None
    total = 1
    if node.tag == _BYTES:
        raise yaml.MarkedYAMLError(problem="bytes, where text is meant", problem_mark=node.start_mark)
    if node.tag == _INTEGER and isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_DIGITS:
        problem = f"an integer of more than {MOST_DIGITS:,} digits"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    if isinstance(node, yaml.MappingNode):
        _require_single_keys(node)
        total += sum(_count_values(key, counted) + _count_values(value, counted) for key, value in node.value)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_count_values(item, counted) for item in node.value)
    if total > MOST_VALUES:
        problem = f"more than {MOST_VALUES:,} values with all aliases written out"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    counted[node] = total
    return total


def _require_single_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name = key.tag, key.value
        if name in seen:
            problem = f"the key {key.value!r} twice in one mapping"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        seen.add(name)
