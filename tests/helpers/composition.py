"""The configuration that overrides compose to, as plain mappings."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from helpers.project_folders import ROOT


def composed(*overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(ROOT / "configs"), version_base=None):
        content = OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
