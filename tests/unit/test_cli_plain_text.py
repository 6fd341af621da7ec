"""What a person wrote is shown as written; empty files and interruptions end without a traceback."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import console
from grouper.result import reason_text
from reference_tables.problems import Level, catalogue
from tests.unit.official_dip_workbook import write
from tests.unit.test_cli_group import GOOD, HEADER, ROOT, rows, run

CODES = ("q:x:b", "[red]a[/]", "K22.301:b:")


@pytest.mark.parametrize("code", [CODES[0], *(pytest.param(code, marks=pytest.mark.long) for code in CODES[1:])])
def test_codes_that_look_like_emoji_or_markup_stay_what_they_are(tmp_path: Path, code: str) -> None:
    (tmp_path / "cases.csv").write_text(HEADER + GOOD.replace("K22.301|K11.901", f"K22.301|{code}"), encoding="utf-8")
    grouped = run(tmp_path, "group", "cases.csv")
    assert f"如：诊断编码不在目录：{code}，" in grouped.stderr
    explained = run(tmp_path, "explain", "cases.csv", "--case", "1")
    assert f"其他诊断 1：{code}" in explained.stdout


def test_both_consoles_leave_colons_alone(capsys: pytest.CaptureFixture[str]) -> None:
    console.out().print("a:b: :x:")
    console.err().print("a:b: :x:")
    assert tuple(capsys.readouterr()) == ("a:b: :x:\n", "a:b: :x:\n")


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_file_of_a_header_alone_gives_a_message_and_no_proof(tmp_path: Path, name: str) -> None:
    (tmp_path / "h.csv").write_text(HEADER, encoding="utf-8")
    done = run(tmp_path, "group", "h.csv", "-o", name)
    assert "病例" in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != name] == ["h.csv"]


def test_an_interruption_while_modules_load_is_quiet(tmp_path: Path) -> None:
    # The first module that takes time to load is the moment at which a person presses Ctrl-C.
    (tmp_path / "polars.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from api.cli.start import main; main()", "pack", "list"], capture_output=True,
        text=True, check=False, env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


def test_help_is_in_chinese(tmp_path: Path) -> None:
    assert {"选项", "参数"} <= set(run(tmp_path, "group", "--help").stdout.replace("─", " ").split())


def test_a_broken_record_is_explained_in_chinese_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(HEADER + "7,1,45\n" + GOOD, encoding="utf-8")
    explained = run(tmp_path, "explain", "cases.csv", "--row", "2").stdout
    assert "原因 IN20：记录残缺，字段数少于表头" in explained
    run(tmp_path, "group", "cases.csv", "-o", "out.csv")
    assert [row["reason_zh"] for row in rows(tmp_path / "out.csv")] == ["记录残缺，字段数少于表头", ""]


def test_a_reason_that_a_record_can_have_needs_no_arguments() -> None:
    kinds = [kind for code, kind in catalogue().items() if code.startswith("IN") and kind.level is Level.REJECT]
    assert len(kinds) > 5
    assert not [kind.code for kind in kinds if "…" in reason_text(kind.code)]


@pytest.mark.parametrize("name", ["cases.xlsx", "cases.csv"])
def test_damaged_files_are_told_in_chinese_first(tmp_path: Path, name: str) -> None:
    data = b"PK\x03\x04 no archive" if name.endswith("xlsx") else gzip.compress(HEADER.encode() * 99)[:-20]
    (tmp_path / name).write_bytes(data)
    assert "文件无法读取：内容不完整、已损坏或不是该格式（" in run(tmp_path, "group", name).stderr
    if name.endswith("xlsx"):
        assert "无法打开工作簿：内容不完整" in run(tmp_path, "pack", "verify", name).stderr


def test_import_says_where_it_wrote(tmp_path: Path) -> None:
    write(tmp_path / "dip.xlsx")
    assert "方案写到 folder" in run(tmp_path, "pack", "import", "dip.xlsx", "folder").stdout
    assert "耐药" in (tmp_path / "folder" / "flag.csv").read_text(encoding="utf-8")
