"""Commands in the project's Markdown files: where they are, and whether they are to be run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.project_folders import ROOT

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = (
    ".ci/run", "accelerate", "docker", "dvc", "git", "make", "pip", "python", "source", "straightflow", "tensorboard",
    "torchrun",
)  # fmt: skip
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_FENCE = re.compile(r"^```(\w*)$")
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Name of its file.
        line: Number of its first line.
        text: Its lines, without indentation or fences.
        not_run: The reason in the comment before it; None if there is no comment.
    """

    page: str
    line: int
    text: str
    not_run: str | None

    @property
    def is_shell(self) -> bool:
        """Whether it holds commands, and no YAML, Python or output."""
        return any(_is_command(line) for line in self.text.splitlines())


def blocks(page: Path) -> Iterator[Block]:
    """Code blocks of a page, fenced or indented by four spaces after an empty line."""
    lines = page.read_text("utf-8").splitlines()
    reason, at = None, 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        begun = at + 1
        if fence:
            at = next(number for number in range(begun, len(lines)) if lines[number] == "```")
            found = lines[begun:at]
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1].strip()) and not _in_list(lines, at):
            begun = at
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                at += 1
            found = [line[4:] for line in lines[begun:at]]
            at -= 1
        else:
            comment = _NOT_RUN.fullmatch(lines[at].strip())
            if comment:
                reason = comment[1]
            elif lines[at].strip():
                reason = None
            at += 1
            continue
        yield Block(page.name, begun + 1, "\n".join(found).rstrip(), reason)
        reason = None
        at += 1


def inline_commands(page: Path) -> Iterator[str]:
    """Commands between backticks in the text of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for found in _INLINE.findall(text):
        command = " ".join(found.split())
        if _is_command(command):
            yield command


def calls(text: str) -> Iterator[list[str]]:
    """The single calls in lines of shell, as words; comments and what is no call of a known program are left out."""
    for line in text.splitlines():
        if not _is_command(line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split, lexer.commenters = True, "#"
        call: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set(";&|"):
                if call:
                    yield call
                call = []
            else:
                call.append(word)


def _is_command(line: str) -> bool:
    words = line.split()
    return len(words) > 1 and words[0] in PROGRAMS


def _in_list(lines: list[str], at: int) -> bool:
    """Whether an indented line continues an item of a list, so that four spaces make no code."""
    before = next((line for line in reversed(lines[:at]) if line.strip() and not line.startswith("    ")), "")
    return before.startswith(("- ", "* ", "  "))
