"""``stages.couplings`` as jobs call it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.composition import composed

from pipeline.config.loading import load_config, parse_config
from pipeline.couplings.store import CouplingStore
from pipeline.models.pretrained import save_teacher, training_scheduler
from pipeline.system.errors import StraightflowError
from stages.couplings import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["round7"], "couplings: round1, round2"),
        (["round1", "--worker", "1"], "--worker i --workers n together"),
        (["round1", "--worker", "2", "--workers", "2"], "0 <= i < n"),
        (["round1", "--worker", "-1", "--workers", "2"], "0 <= i < n"),
    ],
)
def test_a_wrong_job_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed("preset=smoke")))
    with pytest.raises(StraightflowError, match=message):
        main(load_config(tmp_path / "params.yaml"), arguments)


def test_two_jobs_and_a_last_call_make_a_store(tiny_unet, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(composed("preset=smoke", "compute.precision=fp32")))
    save_teacher(tiny_unet, Path("models/teacher"), training_scheduler())
    config = load_config(Path("params.yaml"))
    for worker in ("0", "1"):
        main(config, ["round1", "--worker", worker, "--workers", "2"])
        assert not Path("couplings").exists()
    main(config, ["round1"])
    assert len(CouplingStore(Path("couplings/round1/store"))) == 500
    assert list(Path("runs").iterdir()) == []


def test_publishing_says_what_unfinished_stores_are_left_and_keeps_them(
    tiny_unet, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(composed("preset=smoke", "compute.precision=fp32")))
    save_teacher(tiny_unet, Path("models/teacher"), training_scheduler())
    config = load_config(Path("params.yaml"))
    main(config, ["round1"])
    assert "unfinished" not in capsys.readouterr().out
    other = parse_config(composed("preset=smoke", "compute.precision=fp32", "couplings.round1.seed=99"), origin="test")
    main(other, ["round1", "--worker", "0", "--workers", "2"])
    (begun,) = Path("runs").iterdir()
    shards = sorted(path.name for path in begun.glob("*.safetensors"))
    assert shards
    main(config, ["round1"])
    assert "runs keeps 1 unfinished stores" in capsys.readouterr().out
    assert sorted(path.name for path in begun.glob("*.safetensors")) == shards
