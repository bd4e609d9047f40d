from __future__ import annotations

from pathlib import Path

import pytest
from helpers.coupling_models import couplings, student_sampler

from pipeline.couplings.generation import generate_couplings
from pipeline.models.sampler import Sampler


@pytest.fixture
def sampler(tiny_unet, runtime, tmp_path: Path) -> Sampler:
    return student_sampler(tiny_unet, runtime, tmp_path / "student")


@pytest.fixture
def store(sampler: Sampler, tmp_path: Path) -> Path:
    generate_couplings(sampler, couplings(), tmp_path / "runs", tmp_path / "store")
    return tmp_path / "store"
