from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from test_config import composed

ROOT = Path(__file__).parent.parent
LAUNCHES = sorted(path.stem for path in (ROOT / "configs/launch").glob("*.yaml"))
ACCELERATE = sorted((ROOT / "configs/accelerate").glob("*.yaml"))


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_launch_config_states_its_command_and_starts_as_many_processes_as_it_says(name: str) -> None:
    assert f"# Command: dvc exp run -S launch={name}" in (ROOT / f"configs/launch/{name}.yaml").read_text()
    launch = composed(f"launch={name}", "launch.num_processes=3")["launch"]
    words = launch["command"].split()
    if words[0] == "accelerate":
        arguments = launch_command_parser().parse_args([*words[2:], "-m", "stages.train", "round1"])
        assert (arguments.module, arguments.training_script) == (True, "stages.train")
        assert Path(arguments.config_file).is_absolute() is False
        assert (ROOT / arguments.config_file) in ACCELERATE
        assert arguments.num_processes == 3
    elif words[0] == "srun":
        # One torchrun on each machine, a process for each of its GPUs.
        assert words[1] == "--ntasks-per-node=1"
        assert words[words.index("--nproc-per-node") :][:2] == ["--nproc-per-node", "gpu"]
    elif words[0] == "torchrun":
        assert words[-2:] == ["--nproc-per-node", "3"]
    else:
        assert words == ["python"]


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_an_accelerate_config_is_one_and_leaves_precision_to_ours(path: Path) -> None:
    config = load_config_from_file(str(path))
    assert config.mixed_precision == "no"
    assert set(yaml.safe_load(path.read_text())) <= set(vars(config))
    assert f"accelerate launch --config_file configs/accelerate/{path.name}" in path.read_text()
