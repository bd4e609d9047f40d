"""Runs the benchmarks that need a GPU one after the other, and writes docs/gpu.md; called by ``benchmarks/gpu.sh``."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.device import require_device
from pipeline.system.atomic import atomic_file
from stages.entry import one_message

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/gpu.md"
KEPT = ROOT / "runs/gpu-benchmark"
LIBRARIES = ("torch", "diffusers", "accelerate")


@dataclass(frozen=True)
class Part:
    """One benchmark.

    Attributes:
        name: On the page.
        module: Under ``benchmarks``.
        arguments: On a GPU.
        rehearsal: In a rehearsal.
        seconds: About as long it takes on a GPU.
    """

    name: str
    module: str
    arguments: str
    rehearsal: str
    seconds: int


PARTS = (
    Part("card", "card", "--device cuda", "--device cpu --preset smoke --side 64", 30),
    Part(
        "couplings",
        "couplings",
        "--device cuda --unet cifar --batch 1000 --pairs 40000 --float32-pairs 2000 --steps 8 --rounds 1 --skip-memory",
        "--device cpu --batch 4 --pairs 8 --steps 2 --rounds 1 --skip-memory",
        120,
    ),
    Part(
        "training",
        "training",
        "--device cuda --unet cifar --batch-size 512 --rounds 1 --blocks 3 --block-steps 10",
        "--device cpu --batch-size 4 --rounds 1 --blocks 1 --block-steps 1 --no-processes",
        90,
    ),
    Part(
        "training compiled",
        "training",
        "--device cuda --unet cifar --batch-size 512 --rounds 1 --blocks 3 --compile",
        "--device cpu --batch-size 4 --rounds 1 --blocks 1 --block-steps 1 --no-processes --compile",
        300,
    ),
    Part(
        "evaluation",
        "evaluation",
        "--device cuda --preset cifar10_short --samples 10000 --images 50000 --features 0",
        "--device cpu --preset smoke --samples 200 --features 16",
        180,
    ),
    Part("host", "host", "--threads 4 --limit 60000", "--threads 1 --images 200 --batch 100 --repeats 1", 60),
)

_NUMBER = r"([\d.,]+)"
GOALS = (
    ("couplings, bf16 ÷ bare forward", "couplings", rf"couplings ÷ bare forward, bf16\s+{_NUMBER}", "≥ 0.95"),
    ("couplings, bf16 ÷ stock diffusers", "couplings", rf"couplings bf16 ÷ stock fp32\s+{_NUMBER}", "≥ 3"),
    ("training ÷ bare step", "training", rf"straightflow/bare step = {_NUMBER}", "≥ 0.97"),
    ("training ÷ bare step, both compiled", "training compiled", rf"straightflow/bare step = {_NUMBER}", "≥ 0.97"),
    ("training ÷ TorchCFM's loop", "training", rf"straightflow/torchcfm example = {_NUMBER}", "> 1"),
    ("training ÷ diffusers' loop", "training", rf"straightflow/diffusers example = {_NUMBER}", "> 1"),
    (
        "training with AdamW ÷ with Muon, compiled",
        "training compiled",
        rf"straightflow/straightflow, muon = {_NUMBER}",
        "",
    ),
    ("sweep ÷ (calls + features)", "evaluation", rf"feature pass\): {_NUMBER}", "≤ 1.15"),
    ("limit of the card forward, images/s", "card", rf"limit forward, images/s\s+{_NUMBER}", ""),
    ("limit of the card in training, images/s", "card", rf"limit in training, images/s\s+{_NUMBER}", ""),
    ("training, images/s", "training", rf"straightflow: +{_NUMBER} images/s", ""),
    ("training compiled, images/s", "training compiled", rf"straightflow: +{_NUMBER} images/s", ""),
    ("couplings in float32, pairs/s", "couplings", rf"forward, fp32 .*last: {_NUMBER} pairs/s", ""),
    ("couplings in bf16, pairs/s", "couplings", rf"forward, bf16 .*last: {_NUMBER} pairs/s", ""),
    ("memory of a training step, MiB", "card", rf"step, measured\s+{_NUMBER} MiB", ""),
    ("memory of training compiled, MiB", "training compiled", rf"straightflow: .*at most {_NUMBER} MiB", ""),
)
"""Row of the table, part that prints it, where, and what it must be."""


def main() -> None:
    """Reads the command line, runs what has not ended before, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so many at most")
    parser.add_argument("--rehearse", type=Path, metavar="PAGE", help="tiny sizes on the CPU, into this file")
    options = parser.parse_args()
    with one_message():
        require_device("cpu" if options.rehearse else "cuda")
        if options.rehearse:
            page, kept = options.rehearse, None
        else:
            page, kept = PAGE, KEPT / _key()

        def write(outputs: dict[str, str]) -> None:
            with atomic_file(page) as temporary:
                temporary.write_text(write_page(outputs, _card(), rehearsal=kept is None), "utf-8")

        outputs = run_parts(PARTS, kept, options.seconds, write)
        left = [part.name for part in PARTS if part.name not in outputs]
        print(f"wrote {page}" + (f"; call this again for {', '.join(left)}" if left else ""))


def run_parts(
    parts: Sequence[Part], kept: Path | None, seconds: float, write: Callable[[dict[str, str]], None]
) -> dict[str, str]:
    """What each part printed, or why it failed; parts for which no time is left are missing.

    Args:
        parts: In order.
        kept: Folder of what parts that ended well printed before, by name; None for a rehearsal, which keeps nothing.
        seconds: None is started that takes longer than what is left of them, and none runs on after them.
        write: Called after each part, with all outputs so far, so that a call that is ended leaves them.
    """
    began, outputs = time.monotonic(), dict[str, str]()
    for part in parts:
        file = None if kept is None else kept / f"{part.name}.txt"
        left = seconds - (time.monotonic() - began)
        if file is not None and file.is_file():
            outputs[part.name] = file.read_text("utf-8")
        elif part.seconds <= left:
            printed, well = _run(part, rehearsal=kept is None, limit=min(3 * part.seconds, left))
            outputs[part.name] = printed
            if file is not None and well:
                file.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(file) as temporary:
                    temporary.write_text(printed, "utf-8")
        write(outputs)
    return outputs


def _run(part: Part, *, rehearsal: bool, limit: float) -> tuple[str, bool]:
    """What a part printed, and whether it ended well; of one that failed the last lines of its errors too.

    Args:
        part: The benchmark.
        rehearsal: Whether it has tiny sizes.
        limit: Seconds after which it is ended.
    """
    arguments = part.rehearsal if rehearsal else part.arguments
    command = [sys.executable, "-m", f"benchmarks.{part.module}", *arguments.split()]
    print(f"benchmarks.{part.module} {arguments}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", timeout=limit)
    except subprocess.TimeoutExpired:
        return f"FAILED: not done after {limit:.0f} s\n", False
    print(done.stdout, flush=True)
    if done.returncode == 0:
        return done.stdout, True
    last = "\n".join(done.stderr.strip().splitlines()[-8:])
    print(last, file=sys.stderr, flush=True)
    return f"{done.stdout}FAILED with exit code {done.returncode}:\n{last}\n", False


def write_page(outputs: dict[str, str], card: str, *, rehearsal: bool) -> str:
    """The page in Markdown: a table of ratios and goals, and all that was printed.

    Args:
        outputs: By part.
        card: Name of the device.
        rehearsal: Whether nothing was measured on a GPU.
    """
    lines = [f"# On {card}", ""]
    if rehearsal:
        lines += ["**A rehearsal with tiny sizes on a CPU. None of these numbers says anything of a GPU.**", ""]
    lines += ["Written by `benchmarks/gpu.sh`. Ratios of rates within one run: above 1 is faster than the other.", ""]
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    lines += [f"Measured with {libraries}, and {os.cpu_count()} CPU threads.", ""]
    lines += ["| what | found | must |", "|---|---|---|"]
    for what, part, pattern, must in GOALS:
        found = re.search(pattern, outputs.get(part, ""))
        lines.append(f"| {what} | {'not measured' if found is None else found[1]} | {must} |")
    for name, printed in outputs.items():
        failed = " (failed)" if "FAILED" in printed else ""
        lines += ["", f"## {name[0].upper()}{name[1:]}{failed}", "", "```", printed.strip(), "```"]
    return "\n".join(lines) + "\n"


def _card() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "a CPU"


def _key() -> str:
    """The card and the commit, as a folder's name; changes that are not committed are not told apart."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, encoding="utf-8").stdout
    return re.sub(r"[^\w.-]+", "-", f"{_card()} {commit[:12] or 'no commit'}").strip("-")


if __name__ == "__main__":
    main()
