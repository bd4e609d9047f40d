from __future__ import annotations

from pathlib import Path

import pytest
from helpers.small_image_results import run_config

from pipeline.config.graph import Config
from pipeline.report.publishing.licenses import Licenses, require_licenses
from pipeline.report.publishing.sources import sources_of
from pipeline.system.errors import StraightflowError


def config(*, data: dict[str, object] | None = None, pretrained: str | None = None) -> Config:
    base = run_config()
    return base.model_copy(
        update={
            "data": base.data.model_copy(update=data or {}),
            "teacher": base.teacher.model_copy(update={"pretrained": pretrained}),
        }
    )


def test_what_is_on_the_hub_is_named_by_its_id() -> None:
    found = sources_of(config(data={"source": "hub", "location": "you/cats"}, pretrained="you/ddpm"), None, ())
    assert (found.base_model, found.datasets, found.dataset_type) == ("you/ddpm", ("you/cats",), "you/cats")


def test_what_is_here_is_named_by_options_alone(tmp_path: Path) -> None:
    here = config(data={"source": "folder", "location": "/home/me/cats"}, pretrained=str(tmp_path))
    found = sources_of(here, None, ())
    assert (found.base_model, found.datasets) == (None, ())
    assert "/home/me" not in found.data_in_words
    found = sources_of(here, "you/ddpm", ["you/cats"])
    assert (found.base_model, found.datasets) == ("you/ddpm", ("you/cats",))


def test_another_base_model_than_the_run_had_is_refused() -> None:
    with pytest.raises(StraightflowError, match="you/ddpm"):
        sources_of(config(pretrained="you/ddpm"), "you/other", ())


def test_a_pretrained_teacher_has_a_license_too() -> None:
    with pytest.raises(StraightflowError, match="--teacher-license"):
        require_licenses("mit", "cc-by-4.0", None, "you/ddpm")
    assert require_licenses("mit", "cc-by-4.0", "apache-2.0", "you/ddpm") == Licenses("mit", "cc-by-4.0", "apache-2.0")


def test_so_has_an_autoencoder_that_was_brought_along_and_no_other() -> None:
    with pytest.raises(StraightflowError, match="no --autoencoder-license"):
        require_licenses("mit", "mit", None, None, brings_autoencoder=True)
    found = require_licenses("mit", "mit", None, None, autoencoder="openrail", brings_autoencoder=True)
    assert found == Licenses("mit", "mit", None, "openrail")
    with pytest.raises(StraightflowError, match="--autoencoder-license openrail"):
        require_licenses("mit", "mit", None, None, autoencoder="openrail")


@pytest.mark.parametrize("license_", ["MIT", "my license", "", "mit\nother"])
def test_what_is_no_identifier_is_refused(license_: str) -> None:
    with pytest.raises(StraightflowError, match="--data-license"):
        require_licenses("mit", license_, None, None)
