"""How a student learns its couplings: one section a method, told apart by ``name``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pipeline.config.flow import RegressionConfig
from pipeline.config.section import Section
from pipeline.system.errors import nearest


class ReflowConfig(RegressionConfig):
    """Regression along the whole line, see :mod:`pipeline.methods.reflow`: a student that an ODE solver samples."""

    name: Literal["reflow"] = "reflow"


class OneStepConfig(Section):
    """Regression at t = 0 alone, see :mod:`pipeline.methods.one_step`: a student of exactly one step."""

    name: Literal["one_step"] = "one_step"


class AnyStepConfig(Section):
    """Regression from the student's own states, see :mod:`pipeline.methods.any_step`: one student for any step count.

    Attributes:
        share_at_noise: Share of a batch at t = 0, which one step needs; the rest learns what further steps need.
        latest_time: The rest's times are uniform in [0, latest_time). Below 1, where no time is left to move in.
    """

    name: Literal["any_step"] = "any_step"
    share_at_noise: Annotated[float, Field(gt=0, le=1)] = 0.5
    latest_time: Annotated[float, Field(gt=0, lt=1)] = 0.95


METHODS: dict[str, type[Section]] = {"reflow": ReflowConfig, "one_step": OneStepConfig, "any_step": AnyStepConfig}


def _chosen_by_name(value: Any) -> Any:
    """The section that a mapping names, so that problems are those of its own keys, not of every method's.

    pydantic's own discriminator takes no fields that a validator sees first, as a section's do.
    """
    if isinstance(value, Section):
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        raise ValueError(f"{value!r} is no mapping with a name; give name: and one of {', '.join(METHODS)}")
    name = str(value["name"])
    if name not in METHODS:
        raise ValueError(f"name {name!r}{nearest(name, METHODS)}")
    section = METHODS[name]
    for key in value:
        if key not in section.model_fields:
            raise ValueError(f"{name} has a key {key!r}{nearest(str(key), section.model_fields)}")
    return section.model_validate(value)


MethodConfig = Annotated[ReflowConfig | OneStepConfig | AnyStepConfig, BeforeValidator(_chosen_by_name)]
