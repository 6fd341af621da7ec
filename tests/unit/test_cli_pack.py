"""`drgdip pack`: what it prints, as text and as JSON, and its exit codes."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.pack import app
from reference_tables.packs import read_pack
from tests.unit.official_workbook import save, sheets
from tests.unit.small_pack import FILES, edited, write_small


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_packs_and_weights() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "chs-drg-1.1" in result.stdout
    assert "苏州 2023" in result.stdout
    listed = orjson.loads(run("list", "--json").stdout)
    assert [(item["id"], item["data_level"]) for item in listed["packs"]] == [("chs-drg-1.1", "reference")]
    assert {item["region"] for item in listed["weights"]} == {"临沂", "吉林", "无锡", "泰州", "苏州", "铜川"}


def test_verify_exit_codes(tmp_path: Path) -> None:
    assert run("verify").exit_code == 0
    warned = run("verify", write_small(tmp_path / "w"))
    assert warned.exit_code == 1
    assert "TB50" in warned.stderr
    assert "警告 1 个" in warned.stdout
    refused = run("verify", write_small(tmp_path / "r", edited("adrg.csv", "ZYSS in OP_BB1", "ZYSS in (")))
    assert refused.exit_code == 3
    assert "TB10 adrg.csv:3" in refused.stderr.replace("] ", " ")
    assert run("verify", tmp_path / "none").exit_code == 3
    assert run("verify", "--nonsense").exit_code == 2


def test_verify_as_json_has_every_problem_with_its_place(tmp_path: Path) -> None:
    changes = edited("cc.csv", "A41.900,MCC", "A41.900,VCC") | edited("mdc.csv", "DI_B00", "DI_B01")
    result = run("verify", write_small(tmp_path / "p", changes), "--json")
    answer = orjson.loads(result.stdout)
    assert (result.exit_code, answer["usable"]) == (3, False)
    errors = [(item["code"], item["file"], item["row"]) for item in answer["problems"] if item["level"] == "error"]
    assert sorted(errors) == [("TB11", "mdc.csv", 3), ("TB13", "cc.csv", 2)]
    assert all(item["message"] and item["fix"] for item in answer["problems"])


def test_show_a_group_and_a_code() -> None:
    group = run("show", "BB11").stdout
    assert "MDCB" in group
    assert "QTZD in MCC" in group
    assert "4,678" in group
    code = run("show", "A41.900").stdout
    assert "脓毒症" in code
    assert "MCC，排除表 EX_4（221 个主要诊断）" in code
    assert "灰码" in run("show", "I10.x00").stdout
    answer = orjson.loads(run("show", "BQY", "--json").stdout)
    assert [item["kind"] for item in answer] == ["ADRG", "DRG"]


def test_show_prints_published_numbers_exactly() -> None:
    text = run("show", "AF19").stdout
    assert "吉林 2022 三级 未注明  RW 0.928  标准 8,426.75968 元" in text


def test_show_shortens_long_lists_unless_asked() -> None:
    short, whole = run("show", "DI_B00").stdout, run("show", "DI_B00", "--all").stdout
    assert "另有" in short
    assert "另有" not in whole
    assert len(whole) > len(short)


def test_show_what_nobody_knows() -> None:
    result = run("show", "QQQ")
    assert result.exit_code == 1
    assert "QQQ" in result.stderr


def test_diff_tells_what_changes_answers(tmp_path: Path) -> None:
    old = write_small(tmp_path / "old")
    changes = edited("sets.csv", "DI_B00,I61.100", "DI_B00,I61.200") | edited("mdc.csv", "MDCA,先期", "MDCA,先期分组")
    new = write_small(tmp_path / "new", changes)
    result = run("diff", old, new)
    assert result.exit_code == 1
    assert "DI_B00：增 1 个（I61.200）；减 1 个（I61.100）" in result.stdout
    assert "MDCA：先期 → 先期分组" in result.stdout
    answer = orjson.loads(run("diff", old, new, "--json").stdout)
    assert answer["changes_grouping"] is True
    assert answer["members_changed"] == [{"name": "DI_B00", "added": ["I61.200"], "removed": ["I61.100"]}]
    same = run("diff", old, old)
    assert (same.exit_code, "没有差异" in same.stdout) == (0, True)
    assert run("diff", old, tmp_path / "none").exit_code == 3


def test_import_writes_a_pack_that_verifies(tmp_path: Path) -> None:
    book = save(tmp_path / "w.xlsx", sheets(read_pack(write_small(tmp_path / "small"))).values())
    result = run("import", book, tmp_path / "out")
    assert result.exit_code == 0
    assert "TB86" in result.stderr
    assert run("verify", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "cc.csv").read_text(encoding="utf-8") == FILES["cc.csv"]
    assert run("import", book, tmp_path / "out").exit_code == 2
    answer = orjson.loads(run("import", book, tmp_path / "again", "--json").stdout)
    assert answer["manifest"]["workbook"]["file"] == "w.xlsx"


@pytest.mark.parametrize(("name", "data", "code"), [("x.xlsx", b"no workbook", 3), ("none.xlsx", None, 2)])
def test_import_of_what_is_no_workbook(tmp_path: Path, name: str, data: bytes | None, code: int) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    result = run("import", tmp_path / name, tmp_path / "out")
    assert result.exit_code == code
    assert not (tmp_path / "out").exists()
