"""Students that follow a saved model: on one and two processes, stopped and not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.following_worker import work
from helpers.project_folders import launch
from helpers.small_unet import ONE_LEVEL, small_unet
from safetensors.torch import load_file

from pipeline.models.networks import load_network
from pipeline.models.student import save_student


@pytest.mark.usefixtures("one_thread")
def test_any_number_of_processes_follows_the_same_model_and_goes_on_to_the_bit(runtime, tmp_path: Path) -> None:
    save_student(small_unet(**ONE_LEVEL), tmp_path / "init")
    start = load_network(tmp_path / "init").state_dict()
    work(tmp_path, runtime)
    launch("following_worker.py", tmp_path, 2)
    for count in (1, 2):
        for suffix in ("safetensors", "json"):
            whole, stopped = ((tmp_path / f"{name}-{count}.{suffix}").read_bytes() for name in ("whole", "stopped"))
            assert whole == stopped
    (*one, heldout), (*two, heldout_of_two) = (
        json.loads((tmp_path / f"whole-{count}.json").read_text()) for count in (1, 2)
    )
    assert one == two
    # 6 steps of 8, and 24 rows of the held-out loss at the last step and of the chosen average: each with two of init.
    assert one[:2] == [3 * (6 * 8 + 2 * 24), 6 * 8]
    assert heldout_of_two == pytest.approx(heldout, rel=1e-5)
    weights = [load_file(tmp_path / f"whole-{count}.safetensors") for count in (1, 2)]
    for name in [name for name in start if not name.endswith("to_k.bias")]:  # whose gradient is rounding alone
        moved = (weights[0][name] - start[name]).norm()
        assert moved > 0
        assert (weights[0][name] - weights[1][name]).norm() < 1e-3 * moved, name
