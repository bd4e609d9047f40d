"""What a student's stage starts from."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.small_unet import small_unet

from pipeline.config.couplings import CouplingsConfig
from pipeline.config.solver import SolverConfig
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.store import CouplingStore
from pipeline.models.networks import starting_network
from pipeline.models.sampler import load_sampler
from pipeline.models.student import save_student, takes_two_times
from pipeline.system.errors import StraightflowError
from stages.student import starting_student


def test_a_student_starts_with_as_many_times_as_its_method_takes(runtime, tmp_path: Path) -> None:
    save_student(small_unet(), tmp_path / "one")
    save_student(starting_network(small_unet(), two_times=True), tmp_path / "two")
    couplings = CouplingsConfig(
        source="one", num_pairs=4, solver=SolverConfig(name="euler", num_steps=1), batch_size=4, shard_pairs=4,
        dtype="uint8", seed=0,
    )  # fmt: skip
    generate_couplings(load_sampler(tmp_path / "one", runtime), couplings, tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    for start, two_times in (("one", False), ("one", True), ("two", True)):
        network = starting_student("student", tmp_path / start, store, 0.0, two_times=two_times)
        assert takes_two_times(network.config) == two_times
    with pytest.raises(StraightflowError, match="a student of one time can start from"):
        starting_student("student", tmp_path / "two", store, 0.0)
