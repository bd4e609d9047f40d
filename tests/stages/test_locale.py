"""Text is UTF-8 whatever the locale, and what a terminal lacks does not end a program."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import pytest
from helpers.project_folders import ROOT

from stages.entry import one_message

TEXT_CALLS = ("open", "read_text", "write_text")


def text_calls_without_encoding(path: Path) -> list[int]:
    """Lines that open, read or write text in the encoding of the locale."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        is_method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        owner = getattr(getattr(node.func, "value", None), "id", None)
        constants = [item.value for item in node.args if isinstance(item, ast.Constant)]
        keywords = {item.arg: item.value for item in node.keywords}
        if name == "open" and owner not in ("os", "Image", "webbrowser"):
            modes = [item for item in constants if isinstance(item, str) and set(item) <= set("rwxab+t")]
            is_text = not any("b" in mode for mode in modes) and bool(modes or isinstance(node.func, ast.Name))
            if is_text and "encoding" not in keywords:
                found.append(node.lineno)
        # As a function it is pipeline.system.whole_files', whose text is UTF-8.
        if name == "read_text" and is_method and "encoding" not in keywords and not constants:
            found.append(node.lineno)
        if name == "write_text" and "encoding" not in keywords and len(node.args) < 2:
            found.append(node.lineno)
        if "text" in keywords and "encoding" not in keywords and name in ("run", "Popen", "check_output"):
            found.append(node.lineno)
    return found


def test_the_search_finds_them(tmp_path: Path) -> None:
    source = 'p.read_text()\np.write_text(x)\np.open("w")\nopen(p)\np.open("rb")\nImage.open(p)\np.read_text("utf-8")\n'
    source += "read_text(p)\n"
    (tmp_path / "example.py").write_text(source, "utf-8")
    assert text_calls_without_encoding(tmp_path / "example.py") == [1, 2, 3, 4]


@pytest.mark.parametrize("folder", ["pipeline", "stages", "benchmarks"])
def test_no_text_is_read_or_written_in_the_encoding_of_the_locale(folder: str) -> None:
    files = {path: text_calls_without_encoding(path) for path in sorted((ROOT / folder).rglob("*.py"))}
    assert {str(path.relative_to(ROOT)): lines for path, lines in files.items() if lines} == {}


def test_characters_that_the_output_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with one_message():
        print("FID · 3 ± 1 → ✓")
        sys.stdout.flush()
    assert raw.getvalue() == b"FID \xb7 3 \xb1 1 ? ?\n"
