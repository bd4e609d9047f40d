"""How a student learns its couplings: one section a method, told apart by ``name``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.flow import RegressionConfig
from pipeline.config.section import Section


class ReflowConfig(RegressionConfig):
    """Regression along the whole line, see :mod:`pipeline.methods.reflow`: a student that an ODE solver samples."""

    name: Literal["reflow"] = "reflow"


class OneStepConfig(Section):
    """Regression at t = 0 alone, see :mod:`pipeline.methods.one_step`: a student of exactly one step."""

    name: Literal["one_step"] = "one_step"


MethodConfig = Annotated[ReflowConfig | OneStepConfig, Field(discriminator="name")]
