"""Hashes of the code that a module reaches through its imports, unaffected by comments, docstrings and formatting."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grimp
from packaging.version import Version

NO_CODE: Mapping[str, str] = MappingProxyType({})
"""For callers whose code does not change between a run and its continuation."""


def reached_code(module: str, *, packages: Sequence[str], without_effect: Collection[str]) -> dict[str, str]:
    """Hashes of the project's modules and files, and versions of the libraries, that ``module`` reaches by imports.

    Imports inside functions count. Docstrings, comments and formatting do not: two files that parse to the same
    statements have the same hash, under any version of Python.

    Args:
        module: Dotted name, in one of ``packages``.
        packages: The project's own top-level packages, importable.
        without_effect: Modules and libraries that cannot change a result. They are left out, and so is what is reached
            only through them.

    Returns:
        Sorted by name: the SHA-256 of each of the project's modules under its dotted name, the SHA-256 of each data
        file that such a module names in its own folder under ``<package>/<file>``, the public version of each library.
    """
    graph = grimp.build_graph(*packages, include_external_packages=True, cache_dir=None)
    for name in graph.modules.intersection(without_effect):
        graph.remove_module(name)
    reached = {module, *graph.find_upstream_modules(module)}
    own = {name for name in reached if name.split(".")[0] in packages}
    record: dict[str, str] = {}
    for name in own:
        path = _source(name)
        tree = ast.parse(path.read_text("utf-8"))
        record[name] = _hash(_statements(tree))
        for beside in _named_files(tree, path.parent):
            record[f"{name.rpartition('.')[0]}/{beside.name}"] = hashlib.sha256(beside.read_bytes()).hexdigest()
    for library in {name.split(".")[0] for name in reached - own} - sys.stdlib_module_names:
        for distribution in _distributions().get(library, ()):
            record[distribution] = Version(importlib.metadata.version(distribution)).public
    return dict(sorted(record.items()))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """What is installed, by the name it is imported by; reading all of it takes a while."""
    return importlib.metadata.packages_distributions()


def _source(module: str) -> Path:
    package, *names = module.split(".")
    found = importlib.util.find_spec(package)
    assert found is not None  # the graph was built from there
    assert found.origin is not None
    path = Path(found.origin).parent.joinpath(*names)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _named_files(tree: ast.Module, folder: Path) -> Iterator[Path]:
    """Files other than Python in a module's folder, such as templates, whose names occur as strings in the module."""
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for item in folder.iterdir():
        if item.name in named and item.suffix != ".py" and item.is_file():
            yield item


def _statements(node: Any) -> Any:
    """A syntax tree as plain values, without positions, docstrings and empty fields.

    ``ast.dump`` depends on the version of Python: newer ones add fields, which are empty where unused.
    """
    if isinstance(node, ast.AST):
        fields = {name: _statements(value) for name, value in ast.iter_fields(node) if value not in (None, [])}
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_statements(item) for item in node if not _stands_alone(item)]
    return [type(node).__name__, repr(node)]


def _stands_alone(node: Any) -> bool:
    """Whether a statement is only a string: a docstring, or the description below an attribute."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
