"""How stages and commands end: one clear message and exit code 2 on a user's error, 75 for "resume"."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.graph import Config
from pipeline.config.loading import load_config
from pipeline.system.errors import EXIT_RESUME, InterruptedRunError, StraightflowError
from pipeline.system.file_errors import file_error
from pipeline.system.leftovers import clear_leftovers
from stages import paths

PARAMS = Path("params.yaml")


def run(main: Callable[[Config, list[str]], None]) -> None:
    """Calls a stage's ``main`` with the validated configuration and the command-line arguments."""
    gc.freeze()
    with one_message():
        for folder in paths.written():
            clear_leftovers(folder)
        main(load_config(PARAMS), sys.argv[1:])


@contextmanager
def one_message() -> Iterator[None]:
    """Ends the program with a message and an exit code alone: on a user's error, an interrupted run, or what the system
    refuses about a file, a folder or a disk.
    """
    try:
        yield
    except StraightflowError as error:
        print(f"error\n{error}", file=sys.stderr)
        raise SystemExit(2) from None
    except InterruptedRunError as interrupted:
        print(f"{interrupted}; run the same command again to go on", file=sys.stderr)
        raise SystemExit(EXIT_RESUME) from None
    except Exception as error:
        told = file_error(error)
        if told is None:
            raise
        print(f"error\n{told}", file=sys.stderr)
        raise SystemExit(2) from None


def single_argument(arguments: list[str], what: str) -> str:
    """The one positional argument a stage takes; ``what`` names it in the error."""
    if len(arguments) != 1:
        raise StraightflowError(
            expected=f"one argument, {what}", found=" ".join(arguments) or "none", mend="call it as dvc.yaml does"
        )
    return arguments[0]
