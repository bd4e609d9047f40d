"""The metadata of a model card, in the hub's schema: licenses, sources, tags, every measured FID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huggingface_hub import CardData, EvalResult, ModelCard, ModelCardData

from pipeline.metrics.image_row import FILE, ImageRow
from pipeline.report.images.summary import describe_solver
from pipeline.report.publishing.licenses import Licenses
from pipeline.report.publishing.sources import Sources
from pipeline.system.errors import StraightflowError, one_line

TASK = "unconditional-image-generation"
TAGS = ("straightflow", "rectified-flow", "few-step", "distillation")
TEACHER_TAGS = ("straightflow", "diffusion", "teacher")


def card_data(
    name: str, rows: Sequence[ImageRow], licenses: Licenses, sources: Sources, *, is_flow: bool, is_taught: bool
) -> ModelCardData:
    """Metadata of a model.

    Args:
        name: Of the model.
        rows: Its measured cells.
        licenses: Of model, data and teacher.
        sources: Where data and teacher are on the hub.
        is_flow: Whether the model is a flow, not a diffusion model.
        is_taught: Whether it was trained on the first features, or comes from a model that was.
    """
    return ModelCardData(
        license=licenses.model,
        base_model=sources.base_model,
        datasets=list(sources.datasets) or None,
        library_name="diffusers",
        pipeline_tag=TASK,
        tags=list(TAGS if is_flow else TEACHER_TAGS),
        model_name=name,
        eval_results=[eval_result(row, sources, is_taught=is_taught and not row.is_judge) for row in rows],
        data_license=licenses.data,
        teacher_license=licenses.teacher,
        autoencoder_license=licenses.autoencoder,
    )


def eval_result(row: ImageRow, sources: Sources, *, is_taught: bool) -> EvalResult:
    """A FID with all that it depends on. Only Inception's is called ``fid``, as others do not compare with papers'."""
    is_inception = row.features.startswith("inception")
    interval = None if row.fid_low is None else [row.fid_low, row.fid_high]
    chunks = "" if row.num_chunks == 1 else f", mean of {row.num_chunks} such sets"
    judge = " of the judge" if row.is_judge else " that it was trained on" if is_taught else ""
    return EvalResult(
        task_type=TASK,
        dataset_type=sources.dataset_type,
        dataset_name=sources.data_in_words,
        dataset_split=None if row.reference == FILE else row.reference,
        metric_type="fid" if is_inception else "frechet_distance",
        metric_name=f"FID, {describe_solver(row)}, {row.features} features{judge}, {row.num_samples:,} samples{chunks}",
        metric_value=row.fid,
        metric_args={
            "solver": row.solver,
            "num_steps": row.num_steps,
            "network_calls": row.nfe,
            "features": row.features,
            "features_hash": row.measured_by,
            "is_judge": row.is_judge,
            "trained_on_features": is_taught,
            "reference": row.reference,
            "seed": row.seed,
            "num_samples": row.num_samples,
            "num_chunks": row.num_chunks,
            "interval_95": interval,
        },
    )


def require_same_when_read(card: ModelCard, data: ModelCardData) -> None:
    """Checks that the hub's library reads from the card what was written to it.

    Raises:
        StraightflowError: If a name or a number does not survive, which a name with odd characters could cause.
    """
    try:
        read = _content(ModelCard(str(card)).data)
    except ValueError as error:
        raise _unreadable(one_line(error)) from error
    written = _content(data)
    if read != written:
        changed = [key for key in written.keys() | read.keys() if written.get(key) != read.get(key)]
        raise _unreadable(f"another {', '.join(sorted(changed))}")


def _content(data: CardData) -> dict[str, Any]:
    content: dict[str, Any] = data.to_dict()  # type: ignore[no-untyped-call]
    return content


def _unreadable(found: str) -> StraightflowError:
    return StraightflowError(
        expected="a card whose metadata are read as they were written",
        found=found,
        mend="correct the licenses, --base-model or --dataset",
    )
