"""One, two and three processes on CPUs: the same couplings and the same student."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from process_worker import work
from safetensors.torch import load_file

from pipeline.compute import open_runtime
from pipeline.config import ComputeConfig, LaunchConfig
from pipeline.errors import StraightflowError
from pipeline.fingerprint import fingerprint_folder
from pipeline.student import save_student

ROOT = Path(__file__).parent.parent


def launch(folder: Path, num_processes: int) -> None:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"),
        *(str(ROOT / "tests/process_worker.py"), str(folder), str(num_processes)),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_several_processes_make_the_same_couplings_and_the_same_student(tiny_unet, runtime, tmp_path: Path) -> None:
    save_student(tiny_unet, tmp_path / "student")
    work(tmp_path, runtime)
    for count in (2, 3):
        launch(tmp_path, count)
        # Each process wrote its own mark, and was refused if there were not as many as it was told.
        assert len(list(tmp_path.glob(f"finished-{count}-*"))) == count
        assert fingerprint_folder(tmp_path / f"store-{count}") == fingerprint_folder(tmp_path / "store-1")
        one, several = (load_file(tmp_path / f"weights-{number}.safetensors") for number in (1, count))
        start = tiny_unet.state_dict()
        # A key's bias shifts all scores of a query alike and softmax undoes that, so its gradient is rounding
        # alone, which Adam scales up.
        for name in [name for name in one if not name.endswith("to_k.bias")]:
            assert torch.allclose(one[name], several[name], rtol=0, atol=1e-5), name
        assert max((value - start[name]).abs().max() for name, value in one.items()) > 1e-3  # it did train


def test_a_launch_that_got_fewer_processes_than_configured_is_refused() -> None:
    compute = ComputeConfig(precision="fp32", compile="off", channels_last="off")
    with pytest.raises(StraightflowError, match=r"expected: 2 process(.|\n)*found: 1(.|\n)*torchrun"):
        open_runtime(compute, LaunchConfig(command="accelerate launch --cpu --num_processes 2", num_processes=2))
