"""`drgdip group` with a DIP scheme as a person types it: result files, summary, problems, proof."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import fastexcel
import orjson
import polars as pl
import pytest

from tests.unit.small_dip_pack import FILES, write_small_dip
from tests.unit.test_cli_group import rows, run

HEADER = "case_id,sex,age,age_days,weight,los_days,discharge_way,diagnoses,procedures\n"
CASES = (
    "1,1,30,,,3,1,K35.900|I10.x00x002,47.0100\n"
    "2,2,30,,,3,1,O34.200,74.1x01|54.5904\n"
    "3,1,0,10,1200,20,1,P07.100,\n"
    "4,1,0,10,,20,1,P07.100,\n"
    "5,1,60,,,3,1,K35.9zz,\n"
    "6,1,60,,,3,1,I10.x00,\n"
    "7,1,60,,,3,1,,\n"
    "8,1,60,,,3,1,A09.900x001,99.nope\n"
)
TWO_PROCEDURES = "O34.200|74.1x01|54.5904"
COLUMNS = (
    "case_id,status,reason,kind,layer,dip,name,base_score,auxiliary,factor,score,primary_care,rows_fit,used_codes,"
    "reason_zh,file,row"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_small_dip(tmp_path / "pack")
    (tmp_path / "cases.csv").write_text(HEADER + CASES, encoding="utf-8")
    return tmp_path


def test_every_case_has_its_group_score_and_mark(folder: Path) -> None:
    done = run(folder, "group", "cases.csv", "--scheme", "pack", "-o", "out.csv", "--problems", "problems.csv")
    assert done.returncode == 1
    assert (folder / "out.csv").read_text(encoding="utf-8-sig").splitlines()[0] == COLUMNS
    names = ("case_id", "status", "reason", "kind", "layer", "dip", "base_score", "factor", "score", "primary_care",
             "rows_fit", "used_codes")  # fmt: skip
    assert [tuple(row[name] for name in names) for row in rows(folder / "out.csv")] == [
        ("1", "GROUPED", "", "core", "BX", "BX-3", "512.3456", "1.0000", "512.3456", "false", "1", "K35.900|47.0100"),
        ("2", "GROUPED", "", "core", "BX", "BX-4", "700.0000", "1.0000", "700.0000", "false", "2", TWO_PROCEDURES),
        ("3", "GROUPED", "", "core", "XQ", "XQ-2", "4000.5000", "1.0000", "4000.5000", "false", "1", "P07.100"),
        ("4", "INVALID", "WEIGHT_UNKNOWN", "", "", "", "", "", "", "false", "0", ""),
        ("5", "GROUPED", "", "mixed", "category", "K35-1", "200.0000", "1.0000", "200.0000", "false", "0", "K35.9ZZ"),
        ("6", "UNGROUPED", "PRINCIPAL_BLOCKED", "", "", "", "", "", "", "false", "0", ""),
        ("7", "UNGROUPED", "PRINCIPAL_MISSING", "", "", "", "", "", "", "false", "0", ""),
        ("8", "GROUPED", "", "mixed", "chapter", "Z1-1", "100.0000", "1.0000", "100.0000", "false", "0", "A09.900x001"),
    ]  # fmt: skip
    listed = {(row["row"], row["code"], row["field"], row["value"]) for row in rows(folder / "problems.csv")}
    assert listed == {
        ("2", "GR01", "diagnoses", "K35.900"),
        ("3", "GR03", "diagnoses", "O34.200"),
        ("5", "WEIGHT_UNKNOWN", "newborn_birth_weight_g", ""),
        ("6", "GR01", "diagnoses", "K35.9zz"),
        ("7", "GR03", "diagnoses", "I10.x00"),
        ("7", "PRINCIPAL_BLOCKED", "diagnoses", ""),
        ("8", "PRINCIPAL_MISSING", "diagnoses", ""),
        ("9", "GR01", "diagnoses", "A09.900x001"),
        ("9", "GR02", "procedures", "99.nope"),
    }
    texts = [row["message"] + row["fix"] for row in rows(folder / "problems.csv")]
    assert all(texts)
    assert not any("MDC" in text for text in texts)
    assert "MDC" not in done.stderr


def test_the_summary_counts_core_and_mixed_groups(folder: Path) -> None:
    done = run(folder, "group", "cases.csv", "--scheme", "pack", "--json")
    summary = orjson.loads(done.stdout)
    assert summary["status"] == {"GROUPED": 5, "INVALID": 1, "UNGROUPED": 2}
    assert (summary["kinds"], summary["primary_care"]) == ({"core": 3, "mixed": 2}, 0)
    assert summary["scheme"]["id"] == "pack"
    (folder / "one.csv").write_text(HEADER + "1,1,40,,,3,1,A09.900x003,\n", encoding="utf-8")
    said = run(folder, "group", "cases.csv", "one.csv", "--scheme", "pack").stderr
    lines = {words[0]: words[1:] for line in said.splitlines() if (words := line.split())}
    assert lines["核心病种"] == ["3", "33.33%", "core"]
    assert lines["综合病种"] == ["3", "33.33%", "mixed"]
    assert lines["基层病种"] == ["1", "11.11%", "primary_care"]
    assert "歧义组" not in lines


def test_the_summary_tells_of_groups_without_a_score(folder: Path) -> None:
    whole = orjson.loads(run(folder, "group", "cases.csv", "--scheme", "pack", "--json").stdout)
    assert whole["without_score"] == {"cases": 0, "groups": {}}
    scores = [line for line in FILES["score.csv"].splitlines() if not line.startswith(("Z1-1", "K35-1", "BX-4"))]
    (folder / "pack" / "score.csv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    (folder / "more.csv").write_text(HEADER + "9,1,60,,,3,1,K35.9zz,\n", encoding="utf-8")
    asked = ("group", "cases.csv", "more.csv", "--scheme", "pack")
    assert orjson.loads(run(folder, *asked, "--json").stdout)["without_score"] == {
        "cases": 4, "groups": {"BX-4": 1, "K35-1": 2, "Z1-1": 1}
    }  # fmt: skip
    lines = [line.split() for line in run(folder, *asked).stderr.splitlines()]
    assert ["没有分值", "4", "44.44%", "without_score"] in lines
    at = lines.index(["没有分值的病种"])
    assert lines[at + 1 : at + 4] == [["2", "K35-1"], ["1", "BX-4"], ["1", "Z1-1"]]
    (folder / "pack" / "score.csv").unlink()
    assert "without_score" not in orjson.loads(run(folder, *asked, "--json").stdout)
    assert "没有分值" not in run(folder, *asked).stderr


def test_equal_counts_stand_in_the_order_of_codes(folder: Path) -> None:
    said = run(folder, "group", "cases.csv", "--scheme", "pack", "--threads", "2").stderr.splitlines()
    title = said.index("未正常入组的原因")
    assert [line.split()[1] for line in said[title + 1 : title + 4]] == [
        "按分组方案该编码不作为主要诊断",  # PRINCIPAL_BLOCKED
        "主要诊断为空，不能进入任何病种",  # PRINCIPAL_MISSING
        "缺少分组所需的新生儿体重",  # WEIGHT_UNKNOWN
    ]
    problems = [line for line in said[said.index("主要问题") + 1 :] if line.startswith(" ")]
    counted = [(-int(words[0]), words[2]) for words in map(str.split, problems)]
    assert counted == sorted(counted)
    assert len(counted) == 6


def test_all_kinds_of_files_hold_the_same_and_the_bytes_do_not_depend_on_threads(folder: Path) -> None:
    many = HEADER + "".join(CASES.splitlines(keepends=True) * 40)
    (folder / "many.csv").write_text(many, encoding="utf-8")
    for ending in ("csv", "parquet", "xlsx"):
        run(folder, "group", "many.csv", "--scheme", "pack", "-o", f"1.{ending}", "--threads", "1")
    run(folder, "group", "many.csv", "--scheme", "pack", "-o", "3.parquet", "--threads", "3")
    assert (folder / "1.parquet").read_bytes() == (folder / "3.parquet").read_bytes()
    table = pl.read_parquet(folder / "1.parquet")
    assert table.schema["score"] == pl.Decimal(14, 4)
    text = [{name: row[name] for name in table.columns} for row in rows(folder / "1.csv")]
    shown = table.with_columns(pl.col(pl.Boolean).cast(pl.String), pl.exclude(pl.Boolean).cast(pl.String).fill_null(""))
    assert shown.rows(named=True) == text
    sheet = fastexcel.read_excel(folder / "1.xlsx").load_sheet(0).to_polars()
    assert sheet["score"].dtype.is_numeric()
    assert sheet["score"].to_list() == [None if score is None else float(score) for score in table["score"]]
    assert sheet["primary_care"].to_list() == table["primary_care"].to_list()
    assert sheet["rows_fit"].to_list() == table["rows_fit"].to_list()
    assert sheet["dip"].fill_null("").to_list() == table["dip"].to_list()


def test_the_proof_names_the_scheme_and_gives_the_same_bytes_again(folder: Path) -> None:
    run(folder, "group", "cases.csv", "--scheme", "pack", "-o", "out.csv")
    proof = orjson.loads((folder / "out.csv.proof.json").read_bytes())
    first = (folder / "out.csv").read_bytes()
    assert (proof["pack"]["id"], len(proof["pack"]["sha256"])) == ("pack", 64)
    run(folder, *proof["recompute"].split()[1:])
    assert (folder / "out.csv").read_bytes() == first


def test_strict_leaves_out_what_the_quality_rules_reject(folder: Path) -> None:
    (folder / "one.csv").write_text(HEADER + "1,2,50,,,3,1,C61.x00,\n2,9,30,,,3,1,K35.900,47.0100\n", encoding="utf-8")
    done = run(folder, "group", "one.csv", "--scheme", "pack", "--strict", "-o", "out.csv", "--problems", "list.csv")
    assert done.returncode == 1
    assert [row["reason"] for row in rows(folder / "out.csv")] == ["QUALITY_REJECT", "QUALITY_REJECT"]
    run(folder, "group", "one.csv", "--scheme", "pack", "-o", "out.csv")
    # DIP itself does not ask the sex.
    assert [row["dip"] for row in rows(folder / "out.csv")] == ["Z2-1", "BX-3"]


def test_standard_output_is_csv(folder: Path) -> None:
    done = run(folder, "group", "-", "--scheme", "pack", "-o", "-", stdin=HEADER + CASES)
    found = list(csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff"))))
    assert [row["dip"] for row in found] == ["BX-3", "BX-4", "XQ-2", "", "K35-1", "", "", "Z1-1"]


def test_costs_are_read_when_the_auxiliary_catalog_asks_for_them(folder: Path) -> None:
    write_small_dip(
        folder / "costly",
        {
            "aux_level.csv": "dimension,level,name,order,rule\nFY,H,高费用,1,FYBL >= 300\n",
            "aux_factor.csv": "code,dimension,level,factor\nBX-3,FY,H,1.5\n",
        },
    )
    header = HEADER.replace("\n", ",total_cost\n")
    case = "1,1,30,,,3,1,K35.900,47.0100"
    (folder / "cost.csv").write_text(header + f"{case},20000\n2{case[1:]},5000\n", encoding="utf-8")
    run(folder, "group", "cost.csv", "cases.csv", "--scheme", "costly", "-o", "out.csv", "--problems", "list.csv")
    found = [(row["auxiliary"], row["factor"], row["score"]) for row in rows(folder / "out.csv")]
    # mean cost 5,123.46 yuan
    assert found[:3] == [("FY:H", "1.5000", "768.5184"), ("", "1.0000", "512.3456"), ("", "1.0000", "512.3456")]
    told = [(row["file"], row["row"]) for row in rows(folder / "list.csv") if row["code"] == "AU80"]
    assert told == [("cases.csv", "0")]


def test_help_names_both_kinds_of_schemes(folder: Path) -> None:
    assert "DIP" in run(folder, "group", "--help").stdout


def test_a_catalog_that_cannot_be_used_is_refused_with_every_problem(folder: Path) -> None:
    core = FILES["core.csv"].replace("47.0100|47.0901", "47.01").replace("74.1x01,54.5904", "74.1x01,?")
    write_small_dip(folder / "pack", {"core.csv": core})
    done = run(folder, "group", "cases.csv", "--scheme", "pack")
    assert done.returncode == 3
    assert "core.csv:5" in done.stderr
