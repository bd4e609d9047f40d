from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.couplings.inventory import unfinished_stores


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        '{"solver": null, "source": [], "seed": {}}',
        '{"solver": {"name": 5}, "source": "a", "seed": 1}',
        "[" * 100_000,
    ],
)
def test_settings_that_say_nothing_of_use_are_told_as_unknown(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "couplings-x"
    folder.mkdir()
    (folder / "settings.json").write_text(content, "utf-8")
    (found,) = unfinished_stores(tmp_path)
    assert found.settings is None
    assert "settings unknown" in found.describe()
