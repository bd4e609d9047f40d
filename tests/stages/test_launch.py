from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import _filter_args, prepare_multi_gpu_env
from helpers.composition import composed
from helpers.project_folders import ROOT
from torch.distributed import run as torchrun

LAUNCHES = sorted(path.stem for path in (ROOT / "configs/launch").glob("*.yaml"))
ACCELERATE = sorted((ROOT / "configs/accelerate").glob("*.yaml"))


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_launch_config_states_its_command_and_starts_as_many_processes_as_it_says(name: str) -> None:
    stated = f"# Command: make repro ARGS='-S launch={name}"
    assert stated in (ROOT / f"configs/launch/{name}.yaml").read_text()
    launch = composed(f"launch={name}", "launch.num_processes=3")["launch"]
    words = launch["command"].split()
    assert launch["python"] == "python"
    if words[0] == "accelerate":
        arguments = launch_command_parser().parse_args([*words[2:], "-m", "stages.student", "round1"])
        assert (arguments.module, arguments.training_script) == (True, "stages.student")
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


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_the_stated_command_starts_all_processes_of_each_machine_and_they_meet_at_one_place(
    path: Path, monkeypatch
) -> None:
    """As far as accelerate launch gets before it starts something: what it asks of torchrun."""
    monkeypatch.setattr("accelerate.utils.launch.is_port_in_use", lambda port: False)  # noqa: ARG005
    lines = [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]
    stated = " ".join(lines).replace("\\", "").split("accelerate launch ")[1].split(" round1")[0].split()
    arguments, _, _ = _validate_launch_command(launch_command_parser().parse_args([*stated, "round1"]))
    prepare_multi_gpu_env(arguments)
    script = ["--training_script", arguments.training_script, "--training_script_args", arguments.training_script_args]
    asked, _, words = torchrun.config_from_args(_filter_args(arguments, torchrun.get_args_parser(), script))
    num_machines, meeting_at = (2, "HEAD:29500") if path.stem == "multi_node" else (1, "127.0.0.1:29500")
    assert (arguments.multi_gpu, arguments.cpu) == (True, False)
    assert (asked.min_nodes, asked.max_nodes, asked.nproc_per_node) == (num_machines, num_machines, 8)
    assert (asked.rdzv_backend, asked.rdzv_endpoint, asked.rdzv_configs["rank"]) == ("static", meeting_at, 0)
    assert words[-3:] == ["-m", "stages.student", "round1"]
