"""Which files of the project a stage runs, and the same written into dvc.yaml.

``python tests/code_dependencies.py`` rewrites the code dependencies of every stage in dvc.yaml.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
GRAPH = ROOT / "dvc.yaml"

# Code that cannot change a stage's results: it validates, reports, watches, names places or makes writing atomic.
# Neither can what only such code imports. What the configuration says reaches the graph as params.
WITHOUT_EFFECT = (
    "pipeline/config/",
    "pipeline/system/errors.py",
    "pipeline/system/progress.py",
    "pipeline/system/atomic.py",
    "pipeline/training/preflight.py",
    "pipeline/training/preflight.py",
    "pipeline/training/nonfinite.py",
    "pipeline/training/interruption.py",
    "pipeline/training/watching.py",
    "stages/watching.py",
    "pipeline/couplings/unfinished.py",
    "stages/paths.py",
    "stages/entry.py",
    "__init__.py",
)


def code_dependencies(stage_module: str) -> list[str]:
    """Files under pipeline/ and stages/ that ``stages/<stage_module>.py`` runs and that can change its results."""
    reached: set[Path] = set()
    waiting = [ROOT / "stages" / f"{stage_module}.py"]
    while waiting:
        path = waiting.pop()
        if path not in reached and not has_no_effect(path):
            reached.add(path)
            waiting += imported_files(path)
    reached |= {item for path in reached for item in named_files(path)}
    return sorted(path.relative_to(ROOT).as_posix() for path in reached)


def has_no_effect(path: Path) -> bool:
    """Whether a file is of ``WITHOUT_EFFECT``."""
    return any(part in path.relative_to(ROOT).as_posix() for part in WITHOUT_EFFECT)


@cache
def imported_files(path: Path) -> tuple[Path, ...]:
    """The project's own modules that ``path`` imports anywhere, also inside functions."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for module in imported_modules(node):
            base = ROOT.joinpath(*module.split("."))
            found |= {item for item in (base.with_suffix(".py"), base / "__init__.py") if item.is_file()}
    return tuple(found)


@cache
def named_files(path: Path) -> tuple[Path, ...]:
    """Files beside a module that are not code, such as templates, and that it names: it reads them."""
    named = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    return tuple(
        item for item in path.parent.iterdir() if item.is_file() and item.name in named and item.suffix != ".py"
    )


def imported_modules(node: ast.AST) -> Iterator[str]:
    """Dotted names that an import statement may load; ``from a import b`` may load a and a.b."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    else:
        return
    yield from (name for name in names if name.split(".")[0] in ("pipeline", "stages"))


def stage_module(command: str) -> str:
    """The module under stages/ that a stage's command runs."""
    return command.split(" -m stages.")[1].split()[0]


def is_code(dependency: str) -> bool:
    """Whether a dependency is a file of the project's code, as opposed to data."""
    return dependency.startswith(("pipeline/", "stages/"))


def with_code_dependencies(graph: str) -> str:
    """The text of dvc.yaml with the code dependencies of every stage made complete."""
    result: list[str] = []
    module = indent = ""
    in_dependencies = False
    for line in graph.splitlines():
        stripped = line.strip()
        if in_dependencies and not stripped.startswith("- "):
            result += [f"{indent}- {name}" for name in code_dependencies(module)]
            in_dependencies = False
        if stripped.startswith("cmd:"):
            module = stage_module(stripped)
        if in_dependencies and is_code(stripped.removeprefix("- ")):
            continue
        result.append(line)
        if stripped == "deps:":
            in_dependencies, indent = True, line[: line.index("deps:")] + "  "
    return "\n".join(result) + "\n"


if __name__ == "__main__":
    GRAPH.write_text(with_code_dependencies(GRAPH.read_text()))
