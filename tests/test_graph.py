from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_runs_a_module_and_depends_on_files_that_exist() -> None:
    for name, stage in STAGES.items():
        body = stage.get("do", stage)
        module = body["cmd"].split(" -m stages.")[1].split()[0]
        code = [dep for dep in body["deps"] if dep.endswith(".py")]
        assert f"stages/{module}.py" in code, name
        missing = [dep for dep in code if not (ROOT / dep).is_file()]
        assert missing == [], name


def test_the_library_never_imports_the_stages() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert "stages" not in [line.split()[1].split(".")[0] for line in path.read_text().splitlines()
                                if line.startswith(("import ", "from "))], path  # fmt: skip
