"""The error for a loss or gradient that is not finite: which step, which times, which samples."""

from __future__ import annotations

from accelerate.utils import gather_object

from pipeline.methods.objective import Objective
from pipeline.system.errors import StraightflowError
from pipeline.training.meter import TIME_BUCKETS, Meter, time_bucket
from pipeline.training.samples import StepBatches, TrainingSet

_NAMED_SAMPLES = 5


def require_finite(meter: Meter, batches: StepBatches, objective: Objective, items: TrainingSet, label: str) -> None:
    """Raises StraightflowError if any step had a loss or gradient that is not finite; every process must call it.

    That step's batch, a function of the step, is drawn again to name the times and samples. Every process raises with
    the findings of all, since the first one to end gets the others killed.
    """
    step = meter.first_bad_step()
    if step is None:
        return
    found = f"step {step}: the gradient norm is not finite, though the losses are"
    bad = gather_object(_bad_samples(step, meter.bad_rows(step), batches, objective, items))
    if bad:
        buckets = sorted({bucket for bucket, _ in bad})
        times = ", ".join(f"[{bucket / TIME_BUCKETS:.1f}, {(bucket + 1) / TIME_BUCKETS:.1f})" for bucket in buckets)
        samples = "; ".join(name for _, name in bad[:_NAMED_SAMPLES])
        more = f" and {len(bad) - _NAMED_SAMPLES} more" if len(bad) > _NAMED_SAMPLES else ""
        found = f"step {step}: {len(bad)} losses are not finite, at t in {times}, of {samples}{more}"
    raise StraightflowError(
        expected=f"finite losses and gradients while training {label}",
        found=found,
        mend="look at those samples, lower learning_rate, or set compute.precision: fp32; the last good checkpoint is "
        "kept",
    )


def _bad_samples(
    step: int, rows: list[int], batches: StepBatches, objective: Objective, items: TrainingSet
) -> list[tuple[int, str]]:
    """Bucket of t and name of this process's samples in these rows of a step."""
    if not rows:
        return []
    buckets = time_bucket(objective.times(batches[step - 1]))[rows].tolist()
    return [(bucket, items.locate(batches.index(step - 1, row))) for bucket, row in zip(buckets, rows, strict=True)]
