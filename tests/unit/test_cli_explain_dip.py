"""`drgdip explain` and `drgdip whatif` under a DIP scheme: text and JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from grouper.whatif import RECORD_NOTE
from tests.unit.explained_dip_pack import PACK

CASES = """病例号,性别,年龄,天龄,住院天数,总费用,诊断编码,手术操作编码
A1,2,30,,4,8000.00,O34.200|Z37.000,00.4000|74.1x01|38.8609
A2,1,50,,5,15000.00,K35.900,47.0100
A3,1,0,3,9,900.00,P07.000,
A4,1,50,,5,100.00,Z99.000,
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    file = tmp_path / "病例.csv"
    file.write_text(CASES, encoding="utf-8-sig")
    return file


@pytest.fixture
def scheme(tmp_path: Path) -> str:
    return str(PACK.write(tmp_path / "示例"))


def run(command: str, file: Path, scheme: str, *options: str) -> Result:
    return CliRunner().invoke(app, [command, str(file), "--scheme", scheme, *options])


def test_explain_prints_what_decided(cases: Path, scheme: str) -> None:
    result = run("explain", cases, scheme, "--case", "A1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "病例 A1（第 2 行）"
    assert lines[3] == "结果 BX-13  病种 BX-13  正常入组  （核心病种，层 BX）"
    assert "  00.4000 单根血管操作：不可作为主要手术操作，看下一个" in lines
    assert "XQ-1" not in result.stdout


def test_full_lists_every_row_tried(cases: Path, scheme: str) -> None:
    result = run("explain", cases, scheme, "--case", "A1", "--full")
    assert "    XQ-2 病种 XQ-2：不符合：手术操作中没有 96.7201" in result.stdout.splitlines()


def test_explain_as_json_is_the_trace(cases: Path, scheme: str) -> None:
    trace = json.loads(run("explain", cases, scheme, "--case", "A2", "--json").stdout)
    assert (trace["file"], trace["problems"], trace["converted"]) == (str(cases), [], [])
    assert (trace["answer"]["dip"], trace["answer"]["rows_fit"], trace["case"]["row"]) == ("JC-22", 1, 3)
    assert [layer["step"] for layer in trace["layers"]] == ["NOTHING_FITS", "NOTHING_FITS", "WON"]
    # 15,000 yuan are three times the mean cost of the group, 5,000: the cost of the case is read from the file.
    assert (trace["answer"]["auxiliary"], trace["answer"]["score"]) == ("费用:高", "200.0002")


def test_whatif_in_text_and_json(cases: Path, scheme: str) -> None:
    text = run("whatif", cases, scheme, "--case", "A2")
    assert text.exit_code == 0
    lines = text.stdout.splitlines()
    assert lines[3] == (
        "原样 JC-22  病种 JC-22  正常入组  （核心病种，层 JC）  分值 200.0002（基准分值 100.0001 × 校正系数 2）"
    )
    assert lines[-1] == RECORD_NOTE
    found = json.loads(run("whatif", cases, scheme, "--case", "A1", "--json").stdout)
    assert [(item["change"], item["code"], item["dip"]) for item in found["variants"]] == [
        ("PRINCIPAL_DX", "Z37.000", ""), ("PRINCIPAL_PX", "74.1x01", "BX-13"), ("PRINCIPAL_PX", "38.8609", ""),
        ("DROP_DX", "O34.200", ""), ("DROP_DX", "Z37.000", "BX-13"), ("DROP_PX", "00.4000", "BX-13"),
        ("DROP_PX", "74.1x01", ""), ("DROP_PX", "38.8609", "BX-13"),
    ]  # fmt: skip


def test_exit_codes(cases: Path, scheme: str, tmp_path: Path) -> None:
    refused = run("explain", cases, scheme, "--case", "A3")
    assert (refused.exit_code, "原因 WEIGHT_UNKNOWN" in refused.stdout) == (1, True)
    assert run("whatif", cases, scheme, "--case", "A3").exit_code == 1
    ungrouped = run("explain", cases, scheme, "--case", "A4")
    assert (ungrouped.exit_code, "NO_DIP_GROUP" in ungrouped.stdout) == (0, True)
    assert run("explain", cases, scheme, "--case", "A9").exit_code == 2
    assert run("explain", cases, str(tmp_path / "none"), "--case", "A1").exit_code == 3
