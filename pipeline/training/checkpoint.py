"""Training checkpoints: whole or absent, checked by hash; a run continues from the newest intact one.

A checkpoint is one folder: weights, each weight average and what a method keeps from step to step as safetensors, what
the optimizers keep as ``torch.save`` writes it, the step and the recorded losses as JSON, and ``checkpoint.json`` with
its run, its step and the SHA-256 of every file. Weights and moments are whole and by the names of the weights, however
many processes divide them in training. It is written beside its place, fsynced and renamed, so that a kill at any
moment leaves either all of it or a temporary folder, which is cleared away. Batches, times, noise and dropout are
functions of (seed, step), so no generator or position in the epoch needs saving beyond the step.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from pipeline.methods.objective import Objective
from pipeline.system.atomic import publish_folder, write_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_hashes import changed_file, file_hashes
from pipeline.system.file_lock import file_lock
from pipeline.system.leftovers import clear_leftovers
from pipeline.system.whole_files import read_json
from pipeline.training.ema import Ema
from pipeline.training.meter import LossRecord, Meter
from pipeline.training.spending import Spending

_NAME = re.compile(r"^step-(\d{9})$")
_TEMPORARY = re.compile(r"^\.step-\d{9}\.tmp$")
_RECORD = "checkpoint.json"
_PROGRESS = "progress.json"
_OBJECTIVE = "objective.safetensors"
_WEIGHTS = "network.safetensors"
_OPTIMIZERS = "optimizers.pt"
# Parts of torch.save's messages when its zip archive cannot be opened, written or closed.
_TORCH_WRITING = ("StreamWriter", "inline_container", "iostream")


@dataclass
class TrainingState:
    """What a checkpoint holds.

    Attributes:
        network: As wrapped for its processes.
        optimizers: Each of some of its parameters.
        emas: Weight averages, one per half-life.
        meter: Sums of the steps since the last record.
        spending: What all steps so far computed.
        step: Finished optimizer steps.
        history: Records of these steps.
        objective: What is minimised, if it may keep something from step to step.
    """

    network: torch.nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    emas: Sequence[Ema]
    meter: Meter
    spending: Spending
    step: int = 0
    history: list[LossRecord] = field(default_factory=list)
    objective: Objective | None = None


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        accelerator: The processes.
        folder: Where they live; must be used for the run's inputs alone.
        run: Names the run's inputs; checkpoints of another run are refused.
        kept: Newest checkpoints to keep.
        marked_every_steps: Steps whose multiples are kept for good; None marks none.
    """

    def __init__(
        self, accelerator: Accelerator, folder: Path, *, run: str, kept: int, marked_every_steps: int | None
    ) -> None:
        self._accelerator, self._folder, self._run = accelerator, folder, run
        self._kept, self._marked_every_steps = kept, marked_every_steps

    def held(self) -> AbstractContextManager[None]:
        """Locks the folder, as two trainings in it would delete each other's checkpoints.

        Such a second training is possible: the first runs on if only the command that started it was killed.

        Raises:
            StraightflowError: On entry, if another training holds it.
        """
        if not self._accelerator.is_main_process:
            return nullcontext()
        self._folder.mkdir(parents=True, exist_ok=True)
        busy = StraightflowError(
            expected=f"no other training at work in {self._folder}",
            found="one that was started before and still runs",
            mend="let it end, or end it, and start again; the run continues from its newest checkpoint",
        )
        return file_lock(self._folder / ".lock", busy=busy)

    def save(self, state: TrainingState) -> None:
        """Saves the run at ``state.step`` and drops the checkpoints that need not be kept.

        Raises:
            StraightflowError: If it cannot be written; earlier checkpoints are as they were.
        """
        final = self._folder / f"step-{state.step:09d}"
        temporary = self._folder / f".{final.name}.tmp"
        try:
            self._write(temporary, final, state)
        except (OSError, RuntimeError, SafetensorError) as error:
            if not _is_of_writing(error):
                raise
            raise StraightflowError(
                expected=f"room for a checkpoint in {self._folder}",
                found=one_line(error),
                mend="free disk space and start again; the run continues from the checkpoint before",
            ) from error

    def _write(self, temporary: Path, final: Path, state: TrainingState) -> None:
        if self._accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        self._accelerator.wait_for_everyone()
        # What processes divide is gathered in the main one's memory alone; of networks on the CPU these are no copies.
        whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights, moments = get_state_dict(state.network, state.optimizers, options=whole)
        if self._accelerator.is_main_process:
            save_file(_contiguous(weights), temporary / _WEIGHTS)
            torch.save(moments, temporary / _OPTIMIZERS)
        del weights, moments
        sums, compute = state.meter.state_dict(), state.spending.state_dict()
        for ema in state.emas:
            averages = ema.state_dict(kept=self._accelerator.is_main_process)
            if self._accelerator.is_main_process:
                save_file(averages, _average(temporary, ema))
        if self._accelerator.is_main_process:
            kept = {} if state.objective is None else state.objective.state_dict()
            if kept:
                save_file(kept, temporary / _OBJECTIVE)
            progress = {"step": state.step, "history": state.history, "sums": sums, "compute": compute}
            write_json(temporary / _PROGRESS, progress)
            record = {"run": self._run, "step": state.step, "files": file_hashes(temporary, record=_RECORD)}
            write_json(temporary / _RECORD, record)
            # One of this step may exist: it was skipped as damaged, and a holder of the lock wrote it.
            publish_folder(temporary, final, ours=lambda _: True)
            self._drop_old(state.step)
        self._accelerator.wait_for_everyone()

    def _drop_old(self, step: int) -> None:
        unmarked = [item for item in self._newest_first() if not self._is_marked(item)]
        # A run that skipped damaged checkpoints reaches their steps again; if kept, they would count as newest.
        damaged = [item for item in unmarked if _step(item) > step]
        for old in damaged + unmarked[len(damaged) + self._kept :]:
            shutil.rmtree(old)

    def _is_marked(self, checkpoint: Path) -> bool:
        return self._marked_every_steps is not None and _step(checkpoint) % self._marked_every_steps == 0

    def load_newest(self, state: TrainingState) -> bool:
        """Restores the newest checkpoint whose hashes match; reports each damaged one that it skips.

        Returns:
            Whether one was restored.

        Raises:
            StraightflowError: If there is one of another run, or of another step than its name says.
        """
        self._clear_temporaries()
        chosen = self._newest_whole()
        if chosen is None:
            return False
        if not chosen.is_dir():
            raise StraightflowError(
                expected=f"every process to see {chosen}, from which the main process goes on",
                found="no such folder on this machine",
                mend="keep the project on a file system that all machines share",
            )
        set_state_dict(
            state.network,
            state.optimizers,
            model_state_dict=dict(load_file(chosen / _WEIGHTS)),
            optim_state_dict=torch.load(chosen / _OPTIMIZERS, map_location="cpu", weights_only=True),
            options=StateDictOptions(full_state_dict=True),
        )
        for ema in state.emas:
            ema.load_state_dict(load_file(_average(chosen, ema)))
        if state.objective is not None and (chosen / _OBJECTIVE).is_file():
            state.objective.load_state_dict(load_file(chosen / _OBJECTIVE))
        progress = json.loads((chosen / _PROGRESS).read_text("utf-8"))
        state.step = int(progress["step"])
        state.meter.load_state_dict(progress["sums"])
        state.spending.load_state_dict(progress["compute"])
        state.history = [
            LossRecord(step, loss, rate, norm, tuple(by_time), heldout)
            for step, loss, rate, norm, by_time, heldout in progress["history"]
        ]
        return True

    def _newest_whole(self) -> Path | None:
        """The main process's choice, for all processes: on their own they might choose different steps."""
        found: list[str | None] = [None]
        if self._accelerator.is_main_process:
            for candidate in self._newest_first():
                damage = self._foreign(candidate) or _damage(candidate)
                if damage is None:
                    found = [candidate.name]
                    break
                print(f"checkpoint {candidate} is damaged ({damage}); trying the one before it")
        name = broadcast_object_list(found)[0]
        return None if name is None else self._folder / name

    def _foreign(self, checkpoint: Path) -> str | None:
        """Damage of a checkpoint that does not name its run; raises StraightflowError for one of another run."""
        record = _read_record(checkpoint)
        if record is None or (record.run, record.step) == (self._run, _step(checkpoint)):
            return None
        if record.run is None:
            return f"{_RECORD} does not say of which run it is"
        raise StraightflowError(
            expected=f"a checkpoint of {self._run} at step {_step(checkpoint)} in {checkpoint}",
            found=f"one of {record.run} at step {record.step}",
            mend=f"move it out of {self._folder} and start again; the run continues from its own newest checkpoint",
        )

    def _clear_temporaries(self) -> None:
        if self._accelerator.is_main_process and self._folder.is_dir():
            for item in self._folder.iterdir():
                if _TEMPORARY.match(item.name):
                    shutil.rmtree(item)
            clear_leftovers(self._folder)
        self._accelerator.wait_for_everyone()

    def _newest_first(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted((item for item in self._folder.iterdir() if _NAME.match(item.name)), reverse=True)


@dataclass(frozen=True)
class _Record:
    """What ``checkpoint.json`` says.

    Attributes:
        run: The run it is of; None in the first version, which held nothing but ``files``.
        step: Finished steps; None there.
        files: SHA-256 of each file by name.
    """

    run: str | None
    step: int | None
    files: dict[str, str]


def _read_record(checkpoint: Path) -> _Record | None:
    """What ``checkpoint.json`` says; None where it cannot be read."""
    try:
        content = read_json(checkpoint / _RECORD)
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    if content.keys() != {"run", "step", "files"}:
        return _Record(None, None, content)
    run, step, files = content["run"], content["step"], content["files"]
    if not (isinstance(run, str) and isinstance(step, int) and isinstance(files, dict)):
        return None
    return _Record(run, step, files)


def saved_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in ``folder``, rising."""
    return sorted(_step(item) for item in folder.iterdir() if _NAME.match(item.name))


def saved_averages(folder: Path) -> list[Path]:
    """Files of the weight averages in all whole checkpoints of ``folder``, oldest checkpoint first."""
    checkpoints = sorted(item for item in folder.iterdir() if _NAME.match(item.name) and _damage(item) is None)
    return [file for checkpoint in checkpoints for file in sorted(checkpoint.glob("ema-*.safetensors"))]


@torch.no_grad()
def load_average(file: Path, network: torch.nn.Module) -> None:
    """Overwrites the parameters of ``network`` with a saved average of them.

    Raises:
        StraightflowError: If the average is of another network.
    """
    averages = load_file(file)
    parameters = list(network.parameters())
    shapes = [averages[str(position)].shape for position in range(len(averages))]
    if shapes != [parameter.shape for parameter in parameters]:
        raise StraightflowError(
            expected=f"averages of {len(parameters)} parameters of this network in {file}",
            found=f"{len(shapes)}, of other shapes",
            mend="name the model whose training wrote them",
        )
    for position, parameter in enumerate(parameters):
        parameter.copy_(averages[str(position)])


def _contiguous(weights: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The same, as safetensors takes nothing else: channels_last weights are not contiguous."""
    return {name: values.contiguous() for name, values in weights.items()}


def _is_of_writing(error: Exception) -> bool:
    """Whether a file could not be written; ``torch.save`` raises RuntimeError for this and for other problems."""
    return not isinstance(error, RuntimeError) or any(part in str(error) for part in _TORCH_WRITING)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def _average(checkpoint: Path, ema: Ema) -> Path:
    return checkpoint / f"ema-{ema.halflife_images}.safetensors"


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is whole."""
    record = _read_record(checkpoint)
    if record is None:
        return f"{_RECORD} is not what was saved"
    try:
        changed = changed_file(record.files, file_hashes(checkpoint, record=_RECORD))
    except OSError as error:
        return f"unreadable: {error}"
    return None if changed is None else f"{changed} is not what was saved"
