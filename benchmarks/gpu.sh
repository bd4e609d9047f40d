#!/usr/bin/env bash
# What this project loses on a GPU against what the card does: ratios, images/s and memory, into docs/gpu.md.
#
#   benchmarks/gpu.sh                      on a machine with a CUDA card, about 12 minutes; again to go on
#   benchmarks/gpu.sh --seconds 540        ends after so many seconds at most, in parts that likely end in them
#   benchmarks/gpu.sh --rehearse PAGE      tiny sizes on the CPU, into PAGE, which says so
#
# PYTHON names the interpreter. Parts that have ended are kept in runs/gpu-benchmark by the card's name and the commit,
# and are not run again. A part that fails is named on the page, and the others go on. The page is written after each.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${PYTHON:-python}" -m benchmarks.gpu "$@"
