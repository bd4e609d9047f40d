"""Saved models named in arguments."""

from __future__ import annotations

from pathlib import Path

from pipeline.system.errors import StraightflowError, nearest
from stages import paths


def model_folder(model: str) -> Path:
    """The folder of that name, or else the model under models/.

    Raises:
        StraightflowError: If there is neither.
    """
    found = next((folder for folder in (Path(model), paths.model(model)) if folder.is_dir()), None)
    if found is None:
        known = sorted(path.parent.name for path in paths.PROJECT.glob(str(paths.model("*") / "model_index.json")))
        raise StraightflowError(
            expected="a model under models/, or the folder of a saved one",
            found=f"{model!r}{nearest(model, known)}",
            mend="correct the name, or train the model with `dvc repro`",
        )
    return found
