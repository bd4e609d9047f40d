"""An unfinished store: which shards exist, who makes which, and one writer for each.

It lives outside the declared output, which ``dvc repro`` deletes before it runs a stage. Its folder is named by a
fingerprint of everything its shards depend on. A shard's record is written after the shard, so a shard with a record is
whole, whatever interrupted the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from pipeline.couplings.manifest import Direction, shard_name
from pipeline.couplings.shard import write_shard
from pipeline.system.atomic import write_json
from pipeline.system.errors import StraightflowError, one_line
from pipeline.system.file_errors import advice
from pipeline.system.file_lock import file_lock
from pipeline.system.fingerprint import fingerprint_file
from pipeline.system.whole_files import read_json

PREFIX = "couplings-"
SETTINGS = "settings.json"


@dataclass(frozen=True)
class Worker:
    """One of ``count`` workers that divide the shards: takes every count-th, beginning with ``index``."""

    index: int
    count: int

    def shards(self, num_shards: int) -> range:
        """Shards of this worker."""
        return range(self.index, num_shards, self.count)


@dataclass(frozen=True)
class FinishedShard:
    """The record of a written shard.

    Attributes:
        sha256: Hash of its file.
        evaluations: Network calls, summed over its pairs.
        clipped_fraction: As in the manifest.
        transport_costs: ‖x_1 - x_0‖²/d of each of its pairs.
        direction: As in the manifest.
        noise: As in the manifest.
        samples_forward: Samples that went through the network, as in :class:`pipeline.system.compute.Compute`.
        seconds: Time of solving.
        states: As in the manifest.
        storage_error: As in the manifest.
        samples_by_guide: Of ``samples_forward``, those through the weaker network that guides the source.
    """

    sha256: str
    evaluations: int
    clipped_fraction: float
    transport_costs: list[float]
    direction: Direction
    noise: dict[str, float] | None
    samples_forward: int
    seconds: float
    states: dict[str, float] | None = None
    storage_error: float | None = None
    samples_by_guide: int = 0


class UnfinishedStore:
    """The folder of an unfinished store.

    Args:
        folder: Named by everything the shards depend on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, settings: dict[str, Any]) -> None:
        """Makes the folder, and records for people the settings it was begun with.

        Raises:
            StraightflowError: If it cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # If several workers begin at once, the first one writes it.
            with suppress(FileExistsError), (self.folder / SETTINGS).open("x", encoding="utf-8") as stream:
                json.dump(settings, stream, indent=2)
        except OSError as error:
            raise _not_writable(self.folder, "the unfinished couplings", error) from error

    def path(self, shard: int) -> Path:
        """File of a shard."""
        return self.folder / shard_name(shard)

    def finished(self, shard: int, num_pairs: int) -> FinishedShard | None:
        """The shard's record, if the shard is whole and of ``num_pairs`` pairs; None if it is still to be made.

        A record without its shard, or a shard that changed since, counts as not made.
        """
        record, path = self._record(shard), self.path(shard)
        if not record.is_file() or not path.is_file():
            return None
        try:
            finished = TypeAdapter(FinishedShard).validate_python(read_json(record))
        except (ValueError, TypeError):
            return None
        whole = len(finished.transport_costs) == num_pairs and fingerprint_file(path) == finished.sha256
        return finished if whole else None

    def write(
        self,
        shard: int,
        tensors: dict[str, torch.Tensor],
        *,
        evaluations: int,
        clipped_fraction: float,
        transport_costs: np.ndarray,
        direction: Direction,
        noise: dict[str, float] | None,
        samples_forward: int,
        seconds: float,
        states: dict[str, float] | None = None,
        storage_error: float | None = None,
        samples_by_guide: int = 0,
    ) -> None:
        """Writes a shard and then its record, each atomically.

        Raises:
            StraightflowError: If there is no room, or the folder cannot be written to.
        """
        try:
            digest = write_shard(self.path(shard), tensors)
            costs = [float(cost) for cost in transport_costs]
            finished = FinishedShard(
                digest, evaluations, clipped_fraction, costs, direction, noise, samples_forward, seconds, states,
                storage_error, samples_by_guide,
            )  # fmt: skip
            write_json(self._record(shard), asdict(finished))
        except OSError as error:
            raise _not_writable(self.folder, f"shard {shard_name(shard)}", error) from error

    @contextmanager
    def only_writer(self, shard: int) -> Iterator[None]:
        """Locks a shard for this process; the system releases it however the process ends.

        Raises:
            StraightflowError: If another process holds it.
        """
        busy = StraightflowError(
            expected=f"to be the only writer of shard {shard_name(shard)} in {self.folder}",
            found="another process is making it",
            mend="wait for that process or end it; workers that share a store need the same --workers and "
            "different --worker. Finished shards are kept",
        )
        with ExitStack() as stack:
            try:
                stack.enter_context(file_lock(self.folder / f".{shard_name(shard)}.lock", busy=busy))
            except OSError as error:
                raise _not_writable(self.folder, f"shard {shard_name(shard)}", error) from error
            yield

    def _record(self, shard: int) -> Path:
        return self.folder / f"{shard_name(shard)}.json"


def _not_writable(folder: Path, what: str, error: OSError) -> StraightflowError:
    return StraightflowError(
        expected=f"to write {what} in {folder}",
        found=one_line(error),
        mend=f"{advice(error)}; then run again: finished shards are kept",
    )
