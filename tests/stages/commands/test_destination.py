from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.system.errors import StraightflowError
from stages.commands.destination import Destination, destination_of


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here/model").mkdir(parents=True)


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (None, Destination(folder=Path("published/model"))),
        ("me/model", Destination(repository="me/model")),
        ("folder", Destination(folder=Path("folder"))),
        ("./me/model", Destination(folder=Path("me/model"))),
        ("me/model/", Destination(folder=Path("me/model"))),
        ("a/b/c", Destination(folder=Path("a/b/c"))),
        ("/me/model", Destination(folder=Path("/me/model"))),
        ("here/model", Destination(folder=Path("here/model"))),
    ],
)
def test_a_folder_and_a_repository_are_told_apart(to: str | None, expected: Destination) -> None:
    assert destination_of(to, "model") == expected


@pytest.mark.parametrize(
    ("to", "named"),
    [
        ("here/new", "could be either"),
        ("me/mo del", "owner/name"),
        ("./runs/x", "lies in runs"),
        ("models", "lies in models"),
    ],
)
def test_what_is_neither_is_refused(to: str, named: str) -> None:
    with pytest.raises(StraightflowError, match=named):
        destination_of(to, "model")
