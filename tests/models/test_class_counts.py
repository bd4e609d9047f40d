"""How often each class is drawn: recorded with the model, kept by its students, and verified in couplings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.composition import changed
from helpers.coupling_models import couplings
from helpers.small_unet import small_unet

from pipeline.config.couplings import GateConfig
from pipeline.config.loading import parse_config
from pipeline.config.pretrained import Promised
from pipeline.couplings.gate import check_couplings
from pipeline.couplings.generation import generate_couplings
from pipeline.couplings.manifest import MANIFEST
from pipeline.couplings.shard import map_shard, write_shard
from pipeline.couplings.store import CouplingStore
from pipeline.data.check import DataFacts
from pipeline.flow.noise import sample_labels, stream_key
from pipeline.models.accepted_teacher import AcceptedFlow
from pipeline.models.class_counts import CLASS_COUNTS
from pipeline.models.pretrained import adopt_pretrained
from pipeline.models.runtime import Runtime
from pipeline.models.sampler import Sampler, load_sampler
from pipeline.models.student import save_student
from pipeline.system.errors import StraightflowError
from stages.fitting import require_fitting
from stages.student import starting_student

LABELS = np.array([0] * 6 + [2] * 2 + [1] * 2, dtype=np.int64)
LIMITS = GateConfig(max_clipped_fraction=1.0, max_reintegration_error=0.05, reintegrated_pairs=12)
FROM_TEACHER = {"source": "teacher"}


def adopted(folder: Path, runtime: Runtime, labels: np.ndarray | None = LABELS) -> Sampler:
    """A flow of three classes and one for none."""
    save_student(small_unet(num_class_embeds=4), folder / "theirs")
    promised = Promised("flow", null_class=3)
    adopt_pretrained(str(folder / "theirs"), (1, 8, 8), folder / "teacher", promised=promised, labels=labels)
    return load_sampler(folder / "teacher", runtime)


def test_labels_have_the_frequencies_of_their_counts_and_depend_on_their_index_alone() -> None:
    key, counts = stream_key("couplings", 3), (6, 0, 3, 1)
    labels = sample_labels(key, range(10_000), 4, counts)
    for label, count in enumerate(counts):
        share = count / 10
        assert (labels == label).float().mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 10_000) ** 0.5)
    assert torch.equal(sample_labels(key, [17, 4], 4, counts), labels[[17, 4]])
    alone = sample_labels(key, range(50), 4, (0, 0, 1, 0))
    assert alone.tolist() == [2] * 50


def test_couplings_draw_classes_as_the_data_have_them_and_the_gate_verifies_it(runtime, tmp_path: Path) -> None:
    source = adopted(tmp_path, runtime)
    assert source.class_counts == (6, 2, 2)
    as_data, uniform = couplings(**FROM_TEACHER, classes="data"), couplings(**FROM_TEACHER)
    for name, config in (("data", as_data), ("uniform", uniform)):
        generate_couplings(source, config, tmp_path / "runs", tmp_path / name)
        check_couplings(CouplingStore(tmp_path / name), config, LIMITS, source)
    drawn, alike = CouplingStore(tmp_path / "data"), CouplingStore(tmp_path / "uniform")
    key = stream_key("couplings", as_data.seed)
    assert drawn.labels(np.arange(50)).tolist() == sample_labels(key, range(50), 3, (6, 2, 2)).tolist()
    assert alike.labels(np.arange(50)).tolist() == sample_labels(key, range(50), 3).tolist()
    assert drawn.manifest.class_counts == (6, 2, 2)
    assert "class_counts" not in json.loads((tmp_path / "uniform" / MANIFEST).read_text())
    for store, config in ((drawn, uniform), (alike, as_data)):
        with pytest.raises(StraightflowError, match="class_counts: "):
            check_couplings(store, config, LIMITS, source)

    # Students are drawn from as the teacher is.
    student = starting_student("student", tmp_path / "teacher", drawn, dropout=0.0)
    save_student(student, tmp_path / "student")
    assert load_sampler(tmp_path / "student", runtime).class_counts == (6, 2, 2)


def test_a_class_that_was_not_drawn_is_refused(runtime, tmp_path: Path) -> None:
    source, config = adopted(tmp_path, runtime), couplings(**FROM_TEACHER, classes="data")
    generate_couplings(source, config, tmp_path / "runs", tmp_path / "store")
    store = CouplingStore(tmp_path / "store")
    tensors = {
        name: torch.from_numpy(values.copy())
        for name, values in map_shard(store.folder, store.manifest, store.manifest.shards[1]).items()
    }
    tensors["labels"][5] = (tensors["labels"][5] + 1) % 3
    manifest = json.loads((store.folder / MANIFEST).read_text())
    manifest["shards"][1]["sha256"] = write_shard(store.folder / manifest["shards"][1]["file"], tensors)
    (store.folder / MANIFEST).write_text(json.dumps(manifest))
    lax = LIMITS.model_copy(update={"max_reintegration_error": 10.0})
    with pytest.raises(StraightflowError, match=r"a class that was not drawn for its noise, in shard-000001.*row 5"):
        check_couplings(CouplingStore(store.folder), config, lax, source)


def test_data_of_other_classes_say_nothing_of_how_often_they_are_drawn(runtime, tmp_path: Path) -> None:
    for name, labels in (("none", None), ("fewer", LABELS % 2), ("more", LABELS + 1)):
        source = adopted(tmp_path / name, runtime, labels)
        assert source.class_counts is None
        with pytest.raises(StraightflowError, match="classes: data"):
            source.drawing("data")


@pytest.mark.parametrize("value", [[1, 2], [1, 2, 3, 4], [0, 0, 0], [1, 1, -1], [1, 1, 0.5], "111"])
def test_counts_in_the_file_that_are_none_are_refused(value: object, runtime, tmp_path: Path) -> None:
    save_student(small_unet(num_class_embeds=4), tmp_path / "model")
    path = tmp_path / "model/unet/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_null_class": 3, CLASS_COUNTS: value}))
    (tmp_path / "model/sha256.json").unlink()
    with pytest.raises(StraightflowError, match="counts of images of each of the 3 classes"):
        load_sampler(tmp_path / "model", runtime)


def test_one_class_may_be_asked_for_but_no_other(runtime, tmp_path: Path) -> None:
    source = adopted(tmp_path, runtime)
    noise, labels = source.draw(1, range(20))
    of_one, ones = source.of_class(1).draw(1, range(20))
    assert torch.equal(noise, of_one)
    assert labels.tolist() != ones.tolist() == [1] * 20
    for index, message in ((3, r"3 \(which stands for none\)"), (-1, "-1"), (4, "4")):
        with pytest.raises(StraightflowError, match=rf"a class from 0 to 2(.|\n)*found: {message}"):
            source.of_class(index)
    with pytest.raises(StraightflowError, match="the model is unconditional"):
        dataclasses.replace(source, num_classes=None, null_class=None).of_class(0)


def test_the_check_refuses_classes_as_in_data_that_has_others() -> None:
    content = changed("smoke", {"teacher.label_dropout": 0.1, "couplings.round1.classes": "data"})
    config = parse_config(content, origin="test")
    require_fitting(config, [], [DataFacts((80, 80), 3)])
    pretrained = {"teacher.pretrained": "theirs", "teacher.pretrained_process": "diffusion"}
    theirs = parse_config(changed("smoke", pretrained | {"couplings.round1.classes": "data"}), origin="test")
    for classes in (4, None):
        with pytest.raises(StraightflowError, match=r"couplings\.round1\.classes is data: .*labels of 3"):
            require_fitting(theirs, [accepted(classes)], [DataFacts((80, 80), 3)])
    with pytest.raises(StraightflowError, match="no model has classes"):
        parse_config(changed("smoke", {"couplings.round1.classes": "data"}), origin="test")


def accepted(classes: int | None) -> AcceptedFlow:
    return AcceptedFlow((1, 8, 8), classes)
