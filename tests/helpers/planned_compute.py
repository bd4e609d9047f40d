"""What a run will have spent on a model, by its plan."""

from __future__ import annotations

from pipeline.config.graph import Config
from pipeline.config.lineage import stages_of
from pipeline.config.planned_calls import planned_calls


def planned_compute(config: Config, model: str) -> int:
    """Forward-equivalents, a backward pass counting two, of every stage that ``model`` comes from, each once.

    A pretrained teacher is left out, as its training is no stage of the run.
    """
    stages = stages_of(config, model)
    return sum(item.forward + 2 * item.backward for item in planned_calls(config) if item.stage in stages)
