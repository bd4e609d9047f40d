"""What to say when a loss or gradient stops being finite: which step, which times, which samples."""

from __future__ import annotations

from pipeline.errors import StraightflowError
from pipeline.meter import TIME_BUCKETS, Meter, time_bucket
from pipeline.objectives import Objective
from pipeline.training_set import StepBatches, TrainingSet

_NAMED_SAMPLES = 5


def require_finite(meter: Meter, batches: StepBatches, objective: Objective, items: TrainingSet, label: str) -> None:
    """Raises StraightflowError if a step since the start had a loss or gradient that is not finite.

    That step's batch is drawn again, being a function of the step, to name the times and samples.
    """
    step = meter.first_bad_step()
    if step is None:
        return
    rows = meter.bad_rows()
    if rows:
        buckets = sorted(set(time_bucket(objective.times(batches[step - 1]))[rows].tolist()))
        times = ", ".join(f"[{bucket / TIME_BUCKETS:.1f}, {(bucket + 1) / TIME_BUCKETS:.1f})" for bucket in buckets)
        samples = "; ".join(items.locate(batches.index(step - 1, row)) for row in rows[:_NAMED_SAMPLES])
        more = f" and {len(rows) - _NAMED_SAMPLES} more" if len(rows) > _NAMED_SAMPLES else ""
        found = f"step {step}: {len(rows)} losses are not finite, at t in {times}, of {samples}{more}"
    else:
        found = f"step {step}: the gradient norm is not finite, though the losses of this process are"
    raise StraightflowError(
        expected=f"finite losses and gradients while training {label}",
        found=found,
        mend="look at those samples, lower learning_rate, or set compute.precision: fp32; the last good checkpoint is "
        "kept",
    )
