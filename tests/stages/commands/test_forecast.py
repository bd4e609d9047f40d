"""What ``straightflow forecast`` measures and prints; that times are right is shown at given speeds elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.composition import composed
from helpers.project_folders import ROOT

import stages.forecasting as forecasting
from pipeline.config.forecast import Speeds, StageTime
from pipeline.config.graph import Config
from pipeline.config.loading import parse_config
from pipeline.system.errors import StraightflowError
from pipeline.training.planned_memory import SamplingNeeds
from pipeline.training.preflight import TrainingNeeds
from stages.commands.forecast import configuration, describe, in_words, print_forecast

STAGES = (StageTime("check", 10.0), StageTime("teacher", 10.0, 3600.0, is_least=False))
NEEDS = forecasting.Forecast(
    Speeds(1.0, {}, 0.0, 0.0),
    {key: TrainingNeeds(1000, 20_000, 80_000, checkpoint_bytes=3_000_000) for key in ("teacher.train", "students.x")},
    {"couplings.a": SamplingNeeds(4_000, 5_000_000, 200)},
    features_bytes=2_000_000_000,
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(4.4, "4 s"), (61, "1 min 01 s"), (3599, "59 min 59 s"), (7260, "2 h 01 min"), (48 * 3600, "2.0 days")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_the_forecast_has_stages_total_processes_memory_and_disk() -> None:
    config = Config.model_validate(composed("preset=smoke"))
    lines = describe(config, STAGES, NEEDS, only_total=False)
    assert lines[:2] == ["check    10 s", "teacher  1 h 00 min"]
    assert "forecast: 1 h 00 min in one process" in lines[3]
    # 20 s that stay, 3,600 that are divided.
    assert lines[4].endswith("30 min 20 s with 2, 15 min 20 s with 4, 7 min 50 s with 8")
    assert lines[5].startswith(
        "memory of teacher.train, students.x: 0.00 M parameters; each process needs about 100 kB"
    )
    assert lines[6].startswith("memory of couplings.a: each process needs about 5.0 MB (4 kB weights, 5.0 MB activ")
    assert lines[7] == "memory of features: each process needs about 2.0 GB beside it"
    # Two stores of 500 images of 64 bytes; four models of a thousand weights of 4 bytes; two checkpoints and one more.
    assert lines[8].startswith("disk: couplings 64 kB, models 16 kB, and as much again")
    assert lines[8].endswith("checkpoints of 9.0 MB")
    assert describe(config, STAGES, NEEDS, only_total=True)[0].startswith("forecast: 1 h 00 min")
    least = (StageTime("couplings@a", 0.0, 60.0, is_least=True),)
    lines = describe(config, least, NEEDS, only_total=False)
    assert lines[0] == "couplings@a  ≥ 1 min 00 s"
    assert "forecast: at least 1 min 00 s" in lines[2]


@pytest.mark.parametrize("preset", ["toy_smoke", "smoke"])
def test_every_network_of_a_configuration_is_measured(
    preset: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecasting, "_SECONDS", 0.0)
    monkeypatch.setattr(forecasting, "_start_seconds", lambda: 1.0)
    config = parse_config(composed(f"preset={preset}", "compute.precision=fp32"), origin=preset)
    found = forecasting.measure(config)
    speeds = found.speeds
    assert set(speeds.networks) == {"teacher"}
    assert set(found.trainings) >= {"teacher.train", *(f"students.{name}" for name in config.students)}
    assert set(found.sampling) == {"evaluate", *(f"couplings.{name}" for name in config.couplings)}
    assert (found.features_bytes > 0) == (preset == "smoke")
    assert set(speeds.networks["teacher"].training) == {32 if preset == "smoke" else 64}
    assert min(speeds.networks["teacher"].training.values()) > 0
    assert (speeds.features > 0) == (speeds.features_training > 0) == (preset == "smoke")
    print_forecast(config, only_total=False)
    shown = capsys.readouterr().out
    assert all(f"student@{name} " in shown for name in config.students)


def test_a_preset_is_forecast_with_its_settings_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    assert configuration("smoke", ["data.resolution=16"]).data.resolution == 16
    assert [path.name for path in tmp_path.iterdir()] == ["configs"]
    with pytest.raises(StraightflowError, match="preset 'smok', which does not exist"):
        configuration("smok", [])
