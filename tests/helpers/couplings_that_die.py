"""stages.couplings, but the process kills itself once, in the shard whose number is in the file ``die_in_shard``.

Finished shards are listed in ``shards_made``.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pipeline.couplings.unfinished import UnfinishedStore
from stages.couplings import main
from stages.entry import run

DIE_IN_SHARD, SHARDS_MADE = Path("die_in_shard"), Path("shards_made")
write = UnfinishedStore.write


def write_or_die(self: UnfinishedStore, shard: int, *arguments: object, **named: object) -> None:
    if DIE_IN_SHARD.exists() and shard == int(DIE_IN_SHARD.read_text()):
        DIE_IN_SHARD.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, shard, *arguments, **named)
    with SHARDS_MADE.open("a") as stream:
        stream.write(f"{shard}\n")


if __name__ == "__main__":
    UnfinishedStore.write = write_or_die
    run(main)
