from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.publishing.lineage import StageRecord, lineage, require_one_run
from pipeline.system.errors import StraightflowError


def stage(name: str, deps: dict[str, str], outs: dict[str, str], **params: Any) -> StageRecord:
    return StageRecord(name, "command", deps, outs, params)


RECORDS = {
    item.stage: item
    for item in (
        stage("student", {"store": "2", "teacher": "1"}, {"student": "3"}, **{"students.x": {"seed": 1}}),
        stage("teacher", {"code": "0"}, {"teacher": "1"}),
        stage("couplings", {"teacher": "1"}, {"store": "2"}),
        stage("other", {"teacher": "1"}, {"another": "9"}),
    )
}
PARAMS = {"students": {"x": {"seed": 1}}}


def test_it_goes_back_to_the_first_stage_each_once_and_leaves_others_out() -> None:
    assert [item.stage for item in lineage(RECORDS, "student")] == ["teacher", "couplings", "student"]
    with pytest.raises(StraightflowError, match="no such record"):
        lineage(RECORDS, "evaluate")


def test_one_run_passes() -> None:
    require_one_run(lineage(RECORDS, "student"), PARAMS)


@pytest.mark.parametrize(
    ("record", "params", "named"),
    [
        (stage("couplings", {"teacher": "0"}, {"store": "2"}), PARAMS, "teacher has been made again since couplings"),
        (RECORDS["couplings"], {"students": {"x": {"seed": 2}}}, "students.x in params.yaml is not what student"),
        (RECORDS["couplings"], {}, "students.x in params.yaml is not what student"),
    ],
)
def test_another_run_is_refused(record: StageRecord, params: dict[str, Any], named: str) -> None:
    with pytest.raises(StraightflowError, match=named):
        require_one_run(lineage(RECORDS | {"couplings": record}, "student"), params)


def test_settings_that_only_the_check_reads_may_change() -> None:
    check = stage("check", {}, {"code": "0"}, launch={"num_processes": 1})
    require_one_run(lineage(RECORDS | {"check": check}, "student"), PARAMS | {"launch": {"num_processes": 8}})
