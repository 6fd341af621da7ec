"""`drgdip token create`: whose tokens there can be."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app


@pytest.mark.parametrize("hospital", ["../x", "a/b", "H 1", ".", "H1\n", "x" * 65, "=cmd"])
def test_a_hospital_has_an_id(tmp_path: Path, hospital: str) -> None:
    asked = ["token", "create", "--role", "hospital", "--hospital", hospital, "--data", str(tmp_path)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 2
    assert "医疗机构编号" in done.output
    assert "drgdip_" not in done.output
    assert list(tmp_path.iterdir()) == [], "no service is made for it"


@pytest.mark.parametrize("hospital", ["H1", "H32050100123", "市一院", "a-b_c.d"])
def test_ids_as_hospitals_have_them(tmp_path: Path, hospital: str) -> None:
    asked = ["token", "create", "--role", "hospital", "--hospital", hospital, "--data", str(tmp_path)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("drgdip_")
