"""`drgdip catalog build` as a person types it: exit codes, messages, files left behind."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import tomllib
from pathlib import Path

import fastexcel
import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from tests.unit.catalog_history import CONSERVATIVE, OPERATED, SCORES, line, write, write_years

BUILD = ("catalog", "build", "--min-cases", "3", "--trim", "none", "--auxiliary", "none")


def run(folder: Path, *words: str) -> Result:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rows(path: Path) -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))][1:]


def sheet(path: Path, name: str) -> list[tuple[object, ...]]:
    return fastexcel.read_excel(path).load_sheet(name, header_row=None).to_polars().rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_years(tmp_path)
    return tmp_path


YEARS = ("h2023.csv", "h2024.csv", "h2025.csv")


def test_a_history_gives_a_pack_and_a_report(folder: Path) -> None:
    done = run(folder, *BUILD, *YEARS, "-o", "pack", "--region", "测试市", "--data-level", "synthetic")
    assert done.exit_code == 0, done.stderr
    assert rows(folder / "pack" / "score.csv") == SCORES
    assert "核心病种  2 个" in done.stderr
    assert "综合病种  2 个" in done.stderr
    assert "RIV" in done.stderr
    summary = sheet(folder / "pack-report.xlsx", "摘要")
    assert ("核心病种", "2", "病例", "8") in {tuple(row[:4]) for row in summary}
    riv = next(row for row in summary if row[0] == "DIP 目录 pack")
    assert [float(str(cell)) for cell in riv[1:4]] == [4, 11, 0.6525]
    groups = sheet(folder / "pack-report.xlsx", "病种")
    assert groups[1][:3] == ("核心病种", "本地核心病种", "I10.x:0")
    assert [float(str(cell)) for cell in groups[2][4:]] == [5, 5, 5, 0.454545, 27500, 0.4489, 2179.6565, 2, 1, 2]
    noted = {row[3]: row[0] for row in sheet(folder / "pack-report.xlsx", "需关注病种")[1:]}
    assert noted == {"CH10-1": "统计病例少于 3 例", "CH11-4": "统计病例少于 3 例"}


def test_the_pack_groups_every_case_of_the_history(folder: Path) -> None:
    assert run(folder, *BUILD, *YEARS, "-o", "pack").exit_code == 0
    done = run(folder, "group", *YEARS, "--scheme", "pack", "-o", "groups.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert orjson.loads(done.stdout)["status"] == {"GROUPED": 11}
    named = csv.DictReader(io.StringIO((folder / "groups.csv").read_text(encoding="utf-8-sig")))
    counts: dict[str, int] = {}
    for row in named:
        counts[row["dip"]] = counts.get(row["dip"], 0) + 1
    assert counts == {"I10.x:0": 3, "K80.2:51.2300": 5, "CH10-1": 1, "CH11-4": 2}


def test_json_and_what_was_put_aside(folder: Path) -> None:
    write(folder / "odd.csv", line("a", OPERATED, "-5.5", "2025-06-01"), line("b", OPERATED, "7", "2020-06-01"))
    done = run(folder, *BUILD, *YEARS, "odd.csv", "-o", "pack", "--problems", "problems.csv", "--json")
    assert done.exit_code == 1, done.stderr
    told = orjson.loads(done.stdout)
    assert told["cases"] == 13
    assert told["counted"] == 11
    assert told["years"] == [2023, 2024, 2025]
    assert told["groups"] == {"core": {"groups": 2, "cases": 10}, "mixed": {"groups": 2, "cases": 3}}
    assert told["riv"][0]["riv"] == "0.6525"
    assert told["problems"] == [
        {"code": "DC21", "level": "reject", "count": 1}, {"code": "DC22", "level": "reject", "count": 1},
        {"code": "GR01", "level": "warn", "count": 1},
    ]  # fmt: skip
    listed = [row[:7] for row in rows(folder / "problems.csv")]
    assert listed == [
        ("h2024.csv", "3", "2024-2", "GR01", "warn", "diagnoses", "J18.900x001"),
        ("odd.csv", "2", "a", "DC22", "reject", "total_cost_fen", "-5.50"),
        ("odd.csv", "3", "b", "DC21", "reject", "discharge_time", "2020"),
    ]
    assert rows(folder / "pack" / "score.csv") == SCORES


def test_a_year_missing_stops_the_work(folder: Path) -> None:
    done = run(folder, *BUILD, "h2023.csv", "h2025.csv", "-o", "pack", "--problems", "problems.csv")
    assert done.exit_code == 1
    assert "各年病例数：2023 年 3 例、2025 年 6 例" in done.stderr
    assert [row[3] for row in rows(folder / "problems.csv")] == ["DC10"]
    assert not (folder / "pack").exists()
    assert not (folder / "pack-report.xlsx").exists()


def test_a_refused_history_lists_the_dates_that_cannot_be_read(folder: Path) -> None:
    write(
        folder / "odd.csv", line("a", OPERATED, "10", "2025-02-30"), line("b", OPERATED, "20", ""),
        line("c", OPERATED, "20", "2025-03-01"),
    )  # fmt: skip
    done = run(folder, *BUILD, "h2023.csv", "h2025.csv", "odd.csv", "-o", "pack", "--problems", "problems.csv")
    assert done.exit_code == 1
    assert "无出院时间 2 例" in done.stderr
    listed = [row[:4] for row in rows(folder / "problems.csv")]
    assert ("odd.csv", "3", "b", "DC20") in listed
    assert {row[3] for row in listed if row[2] == "a"} > {"DC20"}, "and the cell that could not be read"
    assert not [row for row in listed if row[2] == "c"]
    assert listed[-1][3] == "DC10"


def test_a_mistyped_year_is_put_aside(folder: Path) -> None:
    many = [line(f"m{at}", OPERATED, "100", "2025-06-01") for at in range(40)]
    write(folder / "more.csv", *many, line("late", OPERATED, "100", "2026-01-03"))
    more = [line(f"{year}{at}", OPERATED, "100", f"{year}-06-01") for year in (2023, 2024) for at in range(9)]
    write(folder / "most.csv", *more)
    done = run(folder, *BUILD, *YEARS, "more.csv", "most.csv", "-o", "pack", "--problems", "p.csv")
    assert done.exit_code == 1, done.stderr
    assert "年度 2023、2024、2025" in done.stderr
    assert "不在统计年度的病例：2026 年 1 例" in done.stderr
    ((file, row, case, code, _, _, value, *_),) = [row for row in rows(folder / "p.csv") if row[0] == "more.csv"]
    assert (file, row, case, code, value) == ("more.csv", "42", "late", "DC21", "2026")
    # Asked for by name it is a year, with a warning.
    asked = ("--years", "2024-2026", "-o", "named", "--json")
    done = run(folder, *BUILD, *YEARS, "more.csv", "most.csv", *asked)
    assert {"code": "DC40", "level": "warn", "count": 1} in orjson.loads(done.stdout)["problems"]


def test_cases_that_form_no_core_group_are_told(folder: Path) -> None:
    write(
        folder / "odd.csv", line("a", ",", "10", "2025-06-01"), line("b", "K80.2ZZ,51.2300", "10", "2025-06-01"),
        line("c", "K80.000,51.2300", "10", "2025-06-01"), line("d", "K80.200x003,99.9999x999", "10", "2025-06-01"),
        line("e", "K80.2ZZ,", "-1", "2025-06-01"), line("f", "K80.2ZZ,99.9999x999", "10", "2025-06-01"),
        line("g", "张三,", "10", "2025-06-01"),
    )  # fmt: skip
    done = run(folder, *BUILD, *YEARS, "odd.csv", "-o", "pack", "--problems", "p.csv", "--json")
    assert done.exit_code == 1, "e is put aside for its cost"
    assert orjson.loads(done.stdout)["unfit"] == {
        "cases": 7,
        "reasons": {"主要诊断缺失": 1, "主要诊断编码不在目录": 4, "主要诊断为灰码": 1, "手术操作编码不在目录": 1},
        "codes": {"K80.2ZZ": 2, "99.9999x999": 1, "J18.900x001": 1, "K80.000": 1, "（不是编码的文字）": 1},
    }
    listed = [(row[1], row[2], row[3], row[6]) for row in rows(folder / "p.csv") if row[0] == "odd.csv"]
    assert listed == [
        ("2", "a", "PRINCIPAL_MISSING", ""), ("3", "b", "GR01", "K80.2ZZ"), ("4", "c", "GR03", "K80.000"),
        ("5", "d", "GR02", "99.9999x999"), ("6", "e", "DC22", "-1.00"), ("7", "f", "GR01", "K80.2ZZ"),
        ("8", "g", "GR01", "【文字已隐去】"),
    ]  # fmt: skip
    summary = {row[0]: row[1] for row in sheet(folder / "pack-report.xlsx", "摘要")}
    assert float(str(summary["不能参与形成核心病种（归入综合病种或未入组）"])) == 7
    assert float(str(summary["    K80.2ZZ"])) == 2
    (folder / "odd.csv").write_text(
        "\n".join((folder / "odd.csv").read_text(encoding="utf-8").splitlines()[:3]), encoding="utf-8"
    )
    done = run(folder, *BUILD, *YEARS, "odd.csv", "-o", "again")
    assert done.exit_code == 0, "codes alone put no case aside"
    assert "不能参与形成核心病种的病例 3（23.08%）：主要诊断缺失 1，主要诊断编码不在目录 2" in done.stderr
    assert "超过 5%" in done.stderr


def test_kept_groups_keep_the_caution_of_their_source(folder: Path) -> None:
    assert run(folder, *BUILD, *YEARS, "-o", "first").exit_code == 0
    manifest = folder / "first" / "manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    said = re.search(r"^statement = .*$", text, re.MULTILINE)
    assert said is not None
    text = text.replace(said[0], 'statement = "不能当作官方分组方案"\nopen_questions = ["并项的次序未定"]')
    manifest.write_text(text, encoding="utf-8")
    kept = ("--trim", "none", "--scheme", "first", "-o", "scored")
    # The gallstones and the pneumonia have a case in these files, hypertension and the appendix none.
    write(folder / "k.csv", *(line(f"k{year}", OPERATED, "100", f"{year}-05-01") for year in (2023, 2024, 2025)))
    write(folder / "neg.csv", line("n", CONSERVATIVE, "-1", "2025-05-01"))
    done = run(folder, "catalog", "build", "k.csv", "neg.csv", *kept)
    assert "病种 4 个，其中 1 个有分值；1 个病例所在的病种没有分值" in done.stderr
    assert "不能当作官方分组方案" in done.stderr
    written = tomllib.loads((folder / "scored" / "manifest.toml").read_text(encoding="utf-8"))
    assert "不能当作官方分组方案" in written["statement"]
    assert "分组方案 first" in written["statement"]
    assert written["open_questions"] == ["并项的次序未定"]
    assert written["data_level"] == "local"
    # Equal costs leave nothing to explain.
    assert "全部病例 无法计算" in done.stderr


def test_the_means_are_called_what_they_are(folder: Path) -> None:
    done = run(folder, *BUILD, *YEARS, "-o", "pack")
    # 37850 / 3 weighted; 128000 / 11 plain.
    assert "裁剪后、按年度加权的全部病例次均费用 12616.67 元" in done.stderr
    assert "全部病例次均费用（不裁剪、不加权） 11636.36 元" in done.stderr
    summary = {row[0]: row[1] for row in sheet(folder / "pack-report.xlsx", "摘要")}
    assert float(str(summary["全部病例次均费用（不裁剪、不加权）（元）"])) == 11636.3636
    assert "n-1 线性插值" in str(summary["裁剪规则"])


def test_a_quota_that_leaves_a_group_nothing(folder: Path) -> None:
    write(folder / "low.csv", line("low", "A09.900,", "1", "2025-05-01"))
    quota = ("--method", "standard-quota", "--quota", "1000000")
    done = run(folder, *BUILD, *YEARS, "low.csv", "-o", "pack", *quota)
    assert done.exit_code == 2, done.stderr
    assert "--quota 1000000 元过大" in done.stderr
    assert not (folder / "pack").exists()


def test_given_factors_that_do_not_fit_say_nothing_of_scores(folder: Path) -> None:
    (folder / "aux").mkdir()
    levels = "dimension,level,name,order,rule\n费用,高,高费用,1,FYBL >= 200\n"
    (folder / "aux" / "aux_level.csv").write_text(levels, encoding="utf-8")
    (folder / "aux" / "aux_factor.csv").write_text("code,dimension,level,factor\nZ99,费用,高,1.2\n", encoding="utf-8")
    done = run(folder, "catalog", "build", "--min-cases", "3", "--auxiliary", "aux", *YEARS, "-o", "pack")
    assert done.exit_code == 3, done.stderr
    assert "AU15" in done.stderr
    assert "score.csv" not in done.stderr


def test_an_output_that_is_taken(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "mine.txt").write_text("mine", encoding="utf-8")
    done = run(folder, *BUILD, *YEARS, "-o", "pack")
    assert done.exit_code == 2
    assert "不是空文件夹" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-",), "标准输入"),
        (("h2023.csv", "--years", "2023"), "应相等"),
        (("h2023.csv", "--years", "now"), "--years 应如"),
        (("h2023.csv", "--year-weights", "1:0:7"), "--year-weights"),
        (("h2023.csv", "--trim", "percentile:5"), "--trim"),
        (("h2023.csv", "--method", "benchmark"), "--benchmark"),
        (("h2023.csv", "--method", "standard-quota"), "--quota"),
        (("h2023.csv", "--method", "standard-quota", "--quota", "1.005"), "两位小数"),
        (("h2023.csv", "--method", "standard-quota", "--quota", "0.5"), "--quota 应在 1 至 1000000 元之间"),
        (("h2023.csv", "--method", "standard-quota", "--quota", "1000000.01"), "--quota 应在"),
        (("h2023.csv", "--id", "../x"), "--id"),
        (("h2023.csv", "--id", ""), "--id"),
        (("h2023.csv", "--auxiliary", "nowhere"), "--auxiliary"),
        (("h2023.csv", "--report", "r.csv"), ".xlsx"),
        (("absent.csv",), "找不到文件"),
    ],
)
def test_usage(folder: Path, words: tuple[str, ...], told: str) -> None:
    done = run(folder, "catalog", "build", *words, "-o", "pack")
    assert done.exit_code == 2, done.stderr
    assert told in done.stderr
    assert not (folder / "pack").exists()


@pytest.mark.parametrize(("option", "told"), [("--scheme", "应为 DIP 方案"), ("--drg-scheme", "找不到分组方案")])
def test_a_scheme_of_the_wrong_kind(folder: Path, option: str, told: str) -> None:
    name = "chs-drg-1.1" if option == "--scheme" else "nowhere"
    done = run(folder, *BUILD, *YEARS, "-o", "pack", option, name)
    assert done.exit_code == 3, done.stderr
    assert told in done.stderr
