"""`drgdip explain` and `drgdip whatif`: finding the one case, text and JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from grouper.whatif import RECORD_NOTE

CASES = """病例号,性别,年龄,天龄,体重,住院天数,离院方式,诊断编码,手术操作编码
A1,1,68,,,9,1,J96.100|J96.000|J18.900,
A2,1,50,,,12,1,I61.003,47.0901
A2,1,51,,,12,1,I61.003,
B7,2,71,,,4,1,C61.x00,
A9,9,40,,,2,1,C61.x00,
00031,1,68,,,9,1,J18.900,
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    file = tmp_path / "病例.csv"
    file.write_text(CASES, encoding="utf-8-sig")
    return file


def run(command: str, file: Path | str, *options: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [command, str(file), *options], input=stdin)


def test_explain_prints_the_path(cases: Path) -> None:
    result = run("explain", cases, "--case", "A1")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "病例 A1（第 2 行）"
    assert lines[3] == "结果 ER33  肺水肿及呼吸衰竭，伴并发症或合并症  正常入组  （MDCE → ER3 → ER33）"
    assert "  J96.000 急性呼吸衰竭：MCC，主要诊断在排除表 EX_109 内，不计" in lines
    assert "EB1" not in result.stdout


def test_full_lists_every_row_tried(cases: Path) -> None:
    result = run("explain", cases, "--case", "A1", "--full")
    assert "    EB1 肺大手术：不成立：没有主要手术操作，不属于 OP_EB1" in result.stdout.splitlines()
    assert "      规则 ZYSS in OP_EB1" in result.stdout.splitlines()


def test_explain_as_json_is_the_trace(cases: Path) -> None:
    result = run("explain", cases, "--case", "A1", "--json")
    trace = json.loads(result.stdout)
    assert trace["file"] == str(cases)
    assert (trace["answer"]["drg"], trace["answer"]["severity"], trace["case"]["row"]) == ("ER33", "CC", 2)
    assert [item["excluded"] for item in trace["complications"]] == [True, False]
    assert (trace["problems"], trace["converted"]) == ([], [])


def test_whatif_in_text_and_json(cases: Path) -> None:
    text = run("whatif", cases, "--case", "A1")
    assert text.exit_code == 0
    assert text.stdout.splitlines()[-1] == RECORD_NOTE
    found = json.loads(run("whatif", cases, "--case", "A1", "--json").stdout)
    assert [(item["change"], item["code"], item["drg"]) for item in found["variants"]] == [
        ("PRINCIPAL_DX", "J96.000", "ER33"), ("PRINCIPAL_DX", "J18.900", "ES31"),
        ("DROP_DX", "J96.100", "0000"), ("DROP_DX", "J96.000", "ER33"), ("DROP_DX", "J18.900", "ER35"),
    ]  # fmt: skip
    assert found["note"] == RECORD_NOTE


@pytest.mark.parametrize("command", ["explain", "whatif"])
def test_a_case_that_is_there_twice_needs_its_row(cases: Path, command: str) -> None:
    twice = run(command, cases, "--case", "A2")
    assert twice.exit_code == 2
    assert "病例号为 A2 的病例有 2 例，在第 3、4 行，请加 --row 指明一例" in twice.stderr
    assert "BR15" in run(command, cases, "--case", "A2", "--row", "4").stdout
    assert "BQY" in run(command, cases, "--row", "3").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--case", "A8"), "文件共 6 例，没有病例号为 A8 的病例；相近的病例号：A1、A2、A9"),
        (("--case", "31"), "没有病例号为 31 的病例；相近的病例号：00031"),
        (("--case", "a1"), "没有病例号为 a1 的病例；相近的病例号：A1"),
        (("--case", "Z-55"), "没有病例号为 Z-55 的病例\n"),
        (("--row", "1"), "没有行号为 1 的病例\n"),
        (("--case", "A1", "--row", "3"), "没有病例号为 A1、行号为 3 的病例"),
        ((), "请用 --case 指明病例号，或用 --row 指明行号"),
    ],
)
def test_no_such_case(cases: Path, options: tuple[str, ...], message: str) -> None:
    result = run("explain", cases, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_refused_case_is_explained_and_leaves_with_one(cases: Path) -> None:
    result = run("explain", cases, "--case", "A9")
    assert result.exit_code == 1
    assert "  原因 SEX_INVALID：性别缺失或无效，应为1（男）或2（女）" in result.stdout.splitlines()
    assert run("whatif", cases, "--case", "A9").exit_code == 1


def test_an_ungrouped_case_is_no_failure_of_the_command(cases: Path) -> None:
    result = run("explain", cases, "--case", "B7")
    assert result.exit_code == 0
    assert "CONDITION_NOT_MET" in result.stdout


def test_clinical_codes_are_converted_and_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text("病例号,性别,年龄,诊断编码\n1,1,40,A01.000x002|ZZZ.999\n", encoding="utf-8")
    result = run("explain", file, "--case", "1", "--edition", "clinical")
    assert "  主要诊断：A01.003" in result.stdout
    assert "国临版转换 A01.000x002 → A01.003" in result.stdout.splitlines()
    assert "GR05" in result.stderr
    found = json.loads(run("explain", file, "--case", "1", "--edition", "clinical", "--json").stdout)
    assert found["converted"] == [{"from": "A01.000x002", "to": "A01.003"}]
    assert [problem["code"] for problem in found["problems"]] == ["GR05"]


def test_standard_input_and_other_files(tmp_path: Path) -> None:
    flat = CASES.replace("\n", "\r\n")
    assert "ER33" in run("explain", "-", "--case", "A1", stdin=flat).stdout
    assert run("explain", tmp_path / "none.csv", "--case", "1").exit_code == 2
    broken = tmp_path / "broken.csv"
    broken.write_text("这不是病例文件\n", encoding="utf-8")
    assert run("explain", broken, "--case", "1").exit_code == 1


def test_an_unusable_scheme(cases: Path) -> None:
    result = run("explain", cases, "--case", "A1", "--scheme", "no-such-scheme")
    assert result.exit_code == 3
    assert "TB01" in result.stderr
