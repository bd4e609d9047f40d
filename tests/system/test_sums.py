from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pipeline.system.sums import is_as_summed, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "part").mkdir()
    (tmp_path / "part/a.bin").write_bytes(b"a")
    write_sums(tmp_path)
    return tmp_path


def test_the_sums_are_in_the_form_of_sha256sum(folder: Path) -> None:
    assert (folder / "SHA256SUMS").read_text() == f"{hashlib.sha256(b'a').hexdigest()}  part/a.bin\n"
    assert is_as_summed(folder)


def test_a_file_that_was_changed_added_or_removed_is_seen(folder: Path) -> None:
    (folder / "new").touch()
    assert not is_as_summed(folder)
    (folder / "new").unlink()
    (folder / "part/a.bin").write_bytes(b"b")
    assert not is_as_summed(folder)
    (folder / "part/a.bin").unlink()
    assert not is_as_summed(folder)
    (folder / "SHA256SUMS").unlink()
    assert not is_as_summed(folder)
