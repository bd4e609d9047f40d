"""The prompts that the configuration brings along for a teacher that reads text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.pretrained import Promised
from pipeline.models.kinds import read_kind
from pipeline.models.kinds.prompted_kind import NUM_CONDITIONS, PromptedKind, require_text_reader
from pipeline.models.prompt_table import read_prompts
from pipeline.system.errors import StraightflowError


def with_prompts(config: Mapping[str, Any], promised: Promised, origin: str) -> Mapping[str, Any]:
    """The settings of a teacher's network as they will be once the configured prompts are encoded.

    Args:
        config: Content of its ``config.json``.
        promised: What the configuration says of it.
        origin: Names it in errors.

    Raises:
        StraightflowError: If there are prompts for a network that reads none, or they or what encodes them is missing.
    """
    if promised.prompts is None:
        return config
    kind = read_kind(config, origin)
    if not isinstance(kind, PromptedKind):
        raise StraightflowError(
            expected=f"a teacher that reads text, as teacher.prompts says, in {origin}",
            found=f"a {kind.class_name}",
            mend="set teacher.prompts: null, or name another teacher",
        )
    require_text_reader()
    return {**config, NUM_CONDITIONS: len(read_prompts(Path(promised.prompts))) + 1}
