"""The typed configuration: frozen, validated as a whole, unknown keys refused.

A stage reads ``params.yaml`` once through :func:`load_config` and hands sections of the result to
the library. Nothing else in the project reads configuration.
"""

from pipeline.config.compute import ONE_PROCESS, ComputeConfig, LaunchConfig
from pipeline.config.couplings import CouplingsConfig, ImageToNoiseConfig
from pipeline.config.data import DataConfig
from pipeline.config.evaluation import (
    ClassifierConfig,
    EvaluateConfig,
    ExtraSeedsConfig,
    FeaturesConfig,
    InceptionConfig,
    KernelDistanceConfig,
    NeighboursConfig,
    StraightnessConfig,
    SweepSolverConfig,
)
from pipeline.config.gate import GateConfig
from pipeline.config.graph import DISTILLED, TEACHER, Config, RoundConfig, learns_mean_velocity
from pipeline.config.loading import load_config, parse_config
from pipeline.config.noise import STANDARD_NOISE, NoiseConfig
from pipeline.config.section import Section
from pipeline.config.solver import STUDENT_SOLVERS, TEACHER_SOLVERS, SolverConfig
from pipeline.config.teacher import MLPConfig, TeacherConfig, UNetConfig
from pipeline.config.training import (
    DistillConfig,
    FlowConfig,
    FlowMatchingConfig,
    FlowTrainingConfig,
    LossConfig,
    PathConfig,
    TimestepsConfig,
    TrainingConfig,
    VelocityConfig,
)
from pipeline.config.watch import WatchConfig

__all__ = [
    "DISTILLED",
    "ONE_PROCESS",
    "STANDARD_NOISE",
    "STUDENT_SOLVERS",
    "TEACHER",
    "TEACHER_SOLVERS",
    "ClassifierConfig",
    "ComputeConfig",
    "Config",
    "CouplingsConfig",
    "DataConfig",
    "DistillConfig",
    "EvaluateConfig",
    "ExtraSeedsConfig",
    "FeaturesConfig",
    "FlowConfig",
    "FlowMatchingConfig",
    "FlowTrainingConfig",
    "GateConfig",
    "ImageToNoiseConfig",
    "InceptionConfig",
    "KernelDistanceConfig",
    "LaunchConfig",
    "LossConfig",
    "MLPConfig",
    "NeighboursConfig",
    "NoiseConfig",
    "PathConfig",
    "RoundConfig",
    "Section",
    "SolverConfig",
    "StraightnessConfig",
    "SweepSolverConfig",
    "TeacherConfig",
    "TimestepsConfig",
    "TrainingConfig",
    "UNetConfig",
    "VelocityConfig",
    "WatchConfig",
    "learns_mean_velocity",
    "load_config",
    "parse_config",
]
