"""`drgdip weights` as a person types it, against weights worked out by hand."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
from fractions import Fraction
from pathlib import Path

import fastexcel
import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from api.core.weight_comparison import compare, table_id
from reference_tables.group_weights import find_group_weights
from reference_tables.problems import TablesRefused
from tests.unit.catalog_history import APPENDIX, CONSERVATIVE, OPERATED, line, write, write_years

YEARS = ("h2023.csv", "h2024.csv", "h2025.csv")
PLAIN = ("weights", *YEARS, "--trim", "none", "--min-cases", "3")
# The history of catalog_history under DRG: gallstones operated HC29 27500 yuan, hypertension FV25 2312.50, appendix
# GD15 6000; pneumonia alone is ungrouped. All grouped cases: 2023 23000 / 3, 2024 20000, 2025 81000 / 6 = 13500;
# (23000 / 3 + 2 x 20000 + 7 x 13500) / 10 = 14216.67.
WHOLE = Fraction(23_000, 3) + 40_000 + 94_500


def weight(mean: str) -> str:
    """mean / whole mean to four decimals, half up."""
    scaled = Fraction(mean) * 10 / WHOLE * 10_000 + Fraction(1, 2)
    return f"{scaled.numerator // scaled.denominator / 10_000:.4f}"


def run(folder: Path, *words: str) -> Result:
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, list(words))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


def sheet(path: Path, name: str) -> list[tuple[object, ...]]:
    return fastexcel.read_excel(path).load_sheet(name, header_row=None).to_polars().rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_years(tmp_path)
    return tmp_path


def test_weights_of_a_history(folder: Path) -> None:
    done = run(folder, *PLAIN, "-o", "w.csv")
    assert done.exit_code == 0, done.stderr
    found = {row["group"]: row for row in rows(folder / "w.csv")}
    assert list(found) == ["FV25", "GD15", "HC29"]
    assert {code: row["rw"] for code, row in found.items()} == {
        "FV25": weight("2312.5"), "GD15": weight("6000"), "HC29": weight("27500"),
    }  # fmt: skip
    assert found["HC29"]["rw"] == "1.9343"
    assert {code: row["stability"] for code, row in found.items()} == {
        "FV25": "stable", "GD15": "few_cases", "HC29": "stable",
    }  # fmt: skip
    head = ("cases", "kept", "share", "mean_cost", "cv", "cases_2023", "cases_2024", "cases_2025")
    assert [found["HC29"][name] for name in head] == ["5", "5", "0.500000", "27500.00", "0.4489", "2", "1", "2"]
    assert "稳定" in done.stderr
    assert "RIV" in done.stderr
    assert "未入组" in done.stderr


def test_the_table_is_a_weight_file(folder: Path) -> None:
    assert run(folder, *PLAIN, "-o", "w.csv").exit_code == 0
    table = find_group_weights(str(folder / "w.csv"))
    assert table.weight("HC29") == Fraction("1.9343")
    assert set(table.rw_e6) == {"FV25", "GD15", "HC29"}


def test_scores_of_a_dip_scheme(folder: Path) -> None:
    done = run(
        folder, "catalog", "build", *YEARS, "--trim", "none", "--min-cases", "3", "--auxiliary", "none", "-o", "pack"
    )
    assert done.exit_code == 0, done.stderr
    done = run(folder, *PLAIN, "--scheme", "pack", "-o", "s.csv", "--json")
    assert done.exit_code == 0, done.stderr
    assert orjson.loads(done.stdout)["method"] == "mean-cost"
    # As the catalog's own score table has them.
    assert {row["group"]: (row["weight"], row["cases"], row["cv"]) for row in rows(folder / "s.csv")} == {
        "I10.x:0": ("183.2893", "3", "0.4082"), "K80.2:51.2300": ("2179.6565", "5", "0.4489"),
        "CH10-1": ("317.0410", "1", "0.0000"), "CH11-4": ("475.5614", "2", "0.1667"),
    }  # fmt: skip
    assert find_group_weights(str(folder / "s.csv")).weight("I10.x:0") == Fraction("183.2893")


def test_other_methods(folder: Path) -> None:
    assert run(folder, *PLAIN, "-o", "b.csv", "--method", "benchmark", "--benchmark", "HC29").exit_code == 0
    # 6000 / 27500 x 1000 = 218.1818...
    assert {row["group"]: row["weight"] for row in rows(folder / "b.csv")}["GD15"] == "218.1818"
    assert run(folder, *PLAIN, "-o", "q.csv", "--method", "standard-quota", "--quota", "120").exit_code == 0
    assert {row["group"]: row["weight"] for row in rows(folder / "q.csv")}["GD15"] == "50.0000"
    done = run(folder, *PLAIN, "-o", "x.csv", "--method", "benchmark", "--benchmark", "HC19")
    assert done.exit_code == 1
    assert "HC29" in done.stderr
    assert not (folder / "x.csv").exists()


def test_unstable_groups_by_both_limits(folder: Path) -> None:
    done = run(folder, *PLAIN, "-o", "w.csv", "--cv", "0.4488", "--json")
    found = orjson.loads(done.stdout)["groups"]
    assert found == {
        "stable": {"groups": 1, "cases": 3}, "unstable": {"groups": 1, "cases": 5},
        "few_cases": {"groups": 1, "cases": 2},
    }  # fmt: skip
    noted = {row[0]: row[8] for row in sheet(folder / "w-report.xlsx", "不稳定病组")[1:]}
    assert noted == {"GD15": "病例数不足", "HC29": "不稳定（变异系数大）"}
    # A coefficient exactly on the limit is stable.
    done = run(folder, *PLAIN, "-o", "w.csv", "--cv", "0.4489", "--json")
    assert orjson.loads(done.stdout)["groups"]["unstable"] == {"groups": 0, "cases": 0}


def test_trimming_takes_its_part(folder: Path) -> None:
    # Gallstones 10, 12, 20, 30, 34 thousand: places 1 and 3 are 12 and 30, means 12, 20, 30: (12 + 40 + 210) / 10.
    assert run(folder, *PLAIN[:4], "-o", "w.csv", "--trim", "iqr:0").exit_code == 0
    found = {row["group"]: row for row in rows(folder / "w.csv")}["HC29"]
    assert (found["mean_cost"], found["cases"], found["kept"]) == ("26200.00", "5", "3")


def test_beside_another_table(folder: Path) -> None:
    (folder / "other.csv").write_text("group,rw\nFV25,0.2\nHC29,2\nGD15,0.5\nZZ19,9\n", encoding="utf-8")
    done = run(folder, *PLAIN, "-o", "w.csv", "--compare", "other.csv", "--json")
    assert done.exit_code == 0, done.stderr
    found = orjson.loads(done.stdout)["comparison"]
    # Cases 3, 2, 5: ours (3 x 0.1627 + 2 x 0.4220 + 5 x 1.9343) / theirs (0.6 + 1 + 10) = 11.0036 / 11.6.
    assert found == {
        "title": "other.csv", "common": 3, "only_ours": 0, "only_theirs": 1, "level": "0.9486",
        "rank_correlation": "1.0000",
    }  # fmt: skip
    compared = sheet(folder / "w-report.xlsx", "对照")
    assert compared[1][0] == "FV25"
    assert [float(str(cell)) for cell in compared[1][2:]] == [3, 0.1627, 0.2, -0.0373, 0.8135]
    assert sheet(folder / "w-report.xlsx", "仅一方有的病组")[1] == ("ZZ19", "", "仅对照表")
    proof = orjson.loads((folder / "w.csv.proof.json").read_bytes())
    assert proof["tables"] == {"compare": hashlib.sha256((folder / "other.csv").read_bytes()).hexdigest()}


def test_rank_correlation_and_what_has_none() -> None:
    published = find_group_weights("suzhou-2023")
    one_each = {weight: code for code, weight in published.rw_e6.items()}
    codes = list(one_each.values())[:5]
    theirs = [published.weight(code) or Fraction(0) for code in codes]
    assert len(set(theirs)) == 5
    upside = {code: Fraction(100) - value for code, value in zip(codes, theirs, strict=True)}
    cases = dict.fromkeys(codes, 1)
    assert compare(upside, cases, "苏州-2023").rank_correlation == "-1.0000"
    # Ranks 1 2 3 4 5 with the two highest changed over: 1 - 6 x 2 / (5 x 24) = 0.9.
    order = sorted(codes, key=lambda code: published.rw_e6[code])
    swapped = [*order[:3], order[4], order[3]]
    assert (
        compare({code: Fraction(at) for at, code in enumerate(swapped)}, cases, "苏州2023年").rank_correlation
        == "0.9000"
    )
    assert compare(dict.fromkeys(codes, Fraction(1)), cases, "suzhou-2023").rank_correlation == ""
    few = {code: upside[code] for code in codes[:2]}
    assert compare(few, cases, "suzhou-2023").rank_correlation == ""
    none = compare({}, {}, "suzhou-2023")
    assert (none.level, none.rank_correlation, len(none.only_theirs)) == (None, "", len(published.rw_e6))


def test_names_of_published_tables() -> None:
    assert table_id("苏州-2023") == table_id("苏州 2023") == "suzhou-2023"
    assert table_id("临沂2022年") == "linyi-2022"
    assert table_id("mine-2023.csv") == "mine-2023.csv"
    with pytest.raises(TablesRefused):
        compare({}, {}, "苏州-2020")


def test_order_of_files_and_threads_give_the_same_bytes(folder: Path) -> None:
    assert run(folder, *PLAIN, "-o", "a.csv", "--threads", "1").exit_code == 0
    turned = ("weights", *reversed(YEARS), *PLAIN[4:])
    assert run(folder, *turned, "-o", "b.csv", "--threads", "3").exit_code == 0
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()
    assert (folder / "a-report.xlsx").read_bytes() == (folder / "b-report.xlsx").read_bytes()
    first, second = (orjson.loads((folder / f"{name}.csv.proof.json").read_bytes()) for name in "ab")
    assert first["run_id"] == second["run_id"]
    assert first["recompute"].startswith(
        "drgdip weights h2023.csv h2024.csv h2025.csv --scheme chs-drg-1.1 --years 2023"
    )
    assert first["output"]["sha256"] == hashlib.sha256((folder / "a.csv").read_bytes()).hexdigest()


def test_the_proof_recomputes_the_table(folder: Path) -> None:
    assert run(folder, *PLAIN, "-o", "w.csv").exit_code == 0
    before = (folder / "w.csv").read_bytes()
    (folder / "w.csv").unlink()
    words = orjson.loads((folder / "w.csv.proof.json").read_bytes())["recompute"].split()
    assert run(folder, *words[1:]).exit_code == 0
    assert (folder / "w.csv").read_bytes() == before


def test_a_report_alone(folder: Path) -> None:
    done = run(folder, *PLAIN, "-o", "w.xlsx")
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {*YEARS, "w.xlsx", "w.xlsx.proof.json"}
    assert [row[0] for row in sheet(folder / "w.xlsx", "病组权重")] == ["编码", "FV25", "GD15", "HC29"]


def test_what_is_put_aside(folder: Path) -> None:
    write(folder / "odd.csv", line("a", OPERATED, "-5.5", "2025-06-01"), line("b", CONSERVATIVE, "", "2025-06-01"),
          line("c", APPENDIX, "7", "2020-06-01"))  # fmt: skip
    done = run(folder, "weights", *YEARS, "odd.csv", *PLAIN[4:], "-o", "w.csv", "--problems", "p.csv", "--json")
    assert done.exit_code == 1, done.stderr
    told = orjson.loads(done.stdout)
    assert (told["cases"], told["counted"]) == (14, 10)
    assert [problem["code"] for problem in told["problems"]] == ["DC21", "DC22", "DC23"]
    assert [(row["row"], row["code"]) for row in rows(folder / "p.csv")] == [
        ("2", "DC22"),
        ("3", "DC23"),
        ("4", "DC21"),
    ]
    assert {row["group"]: row["rw"] for row in rows(folder / "w.csv")}["HC29"] == "1.9343"


def test_a_year_missing_stops_the_work(folder: Path) -> None:
    done = run(folder, "weights", "h2023.csv", "h2025.csv", "-o", "w.csv")
    assert done.exit_code == 1
    assert "各年病例数：2023 年 3 例、2025 年 6 例" in done.stderr
    assert not (folder / "w.csv").exists()
    assert not (folder / "w-report.xlsx").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-", "-o", "w.csv"), "标准输入"),
        ((*YEARS, "-o", "-"), "标准输出"),
        ((*YEARS, "-o", "w.parquet"), ".csv"),
        ((*YEARS, "-o", "w.xlsx", "--report", "r.xlsx"), "--report"),
        ((*YEARS, "-o", "w.csv", "--report", "r.csv"), ".xlsx"),
        ((*YEARS, "-o", "w.csv", "--cv", "0"), "--cv"),
        ((*YEARS, "-o", "w.csv", "--cv", "x"), "--cv"),
        ((*YEARS, "-o", "w.csv", "--trim", "lognormal"), "--trim"),
        ((*YEARS, "-o", "w.csv", "--quota", "5"), "--quota"),
        ((*YEARS, "-o", "w.csv", "--years", "2023"), "应相等"),
        ((*YEARS, "-o", "h2023.csv"), "不能与输入文件相同"),
    ],
)
def test_usage(folder: Path, words: tuple[str, ...], told: str) -> None:
    done = run(folder, "weights", *words)
    assert done.exit_code == 2, done.stderr
    assert told in done.stderr


def test_tables_that_are_not_there(folder: Path) -> None:
    done = run(folder, *PLAIN, "-o", "w.csv", "--compare", "nowhere")
    assert done.exit_code == 3
    assert "对照的权重表不可用" in done.stderr
    assert run(folder, *PLAIN, "-o", "w.csv", "--scheme", "nowhere").exit_code == 3
    assert not (folder / "w.csv").exists()


def test_one_case_has_nothing_to_explain(tmp_path: Path) -> None:
    write(tmp_path / "h.csv", line("1", CONSERVATIVE, "1000", "2025-05-01"))
    done = run(tmp_path, "weights", "h.csv", "--year-weights", "1", "-o", "w.csv")
    assert done.exit_code == 0, done.stderr
    assert "全部病例 （费用没有差异，无从解释）" in done.stderr
    assert [(row["rw"], row["cv"]) for row in rows(tmp_path / "w.csv")] == [("1.0000", "0.0000")]
