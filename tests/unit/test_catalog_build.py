"""Catalogs built from small histories: groups, scores and what they explain, by hand; the same bytes again."""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import fastexcel
import pytest

from api.core.catalog import BuiltCatalog, build_catalog
from api.core.catalog_auxiliary import auxiliary_tables
from api.core.catalog_plan import CatalogIdentity, CatalogPlan
from api.core.catalog_report import write_report
from grouper.catalog.history import HistoryRefused
from grouper.dip.compile import compile_dip
from grouper.engine import group_cases
from grouper.intake import read_cases
from grouper.schemes import open_scheme
from reference_tables.codes import load_code_books
from reference_tables.packs import read_pack
from reference_tables.problems import TablesRefused
from tests.unit.catalog_history import APPENDIX, CONSERVATIVE, OPERATED, SCORES, line, write, write_years

PLAN = CatalogPlan(min_cases=3, trimming="none")
IDENTITY = CatalogIdentity("test-2023", "测试目录", "测试市", "synthetic")


def build(paths: list[str], output: Path, plan: CatalogPlan = PLAN, **options: Any) -> BuiltCatalog:
    drg = open_scheme("chs-drg-1.1")
    return build_catalog(paths, output, plan, IDENTITY, drg_scheme=drg, **{"auxiliary": {}, **options})


def table(folder: Path, name: str) -> list[tuple[str, ...]]:
    text = (folder / f"{name}.csv").read_text(encoding="utf-8-sig")
    return [tuple(row) for row in csv.reader(io.StringIO(text))][1:]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def refused(call: Callable[[], object]) -> list[str]:
    with pytest.raises(HistoryRefused) as caught:
        call()
    return [problem.code for problem in caught.value.problems]


def test_groups_and_scores_of_three_years(tmp_path: Path) -> None:
    catalog = build(write_years(tmp_path), tmp_path / "pack")
    assert table(tmp_path / "pack", "score") == SCORES
    assert [row[0] for row in table(tmp_path / "pack", "core")] == ["I10.x:0", "K80.2:51.2300"]
    assert [row[0] for row in table(tmp_path / "pack", "mixed")] == ["CH10-1", "CH11-4"]
    assert catalog.years == (2023, 2024, 2025)
    assert catalog.scores.whole.mean_fen == Fraction(3_785_000, 3)
    assert catalog.history.status == {"GROUPED": 11}
    assert catalog.cases_of("core") == {"I10.x:0": 3, "K80.2:51.2300": 5}
    assert catalog.cases_of("mixed") == {"CH10-1": 1, "CH11-4": 2}
    assert not list(tmp_path.glob(".*")), "nothing half written stays behind"


def test_explained_variance_of_the_catalog(tmp_path: Path) -> None:
    # Squares sum to 2804, costs to 128 (thousand yuan): total 14460 / 11; within 452.8 + 2 + 0 + 2.
    found = build(write_years(tmp_path), tmp_path / "pack").explained
    assert (found.dip.cases, found.dip.groups, found.drg.cases) == (11, 4, 11)
    assert found.dip.riv == 1 - Fraction(4568, 10) / Fraction(14460, 11)
    assert found.dip.text == "0.6525"


@pytest.mark.parametrize(
    ("changes", "scores"),
    [
        # 27500 and 2312.5, 4000, 6000 beside hypertension at 2312.5
        ({"method": "benchmark", "benchmark": "I10.x:0"}, ["1000.0000", "11891.8919", "1729.7297", "2594.5946"]),
        # beside 125.50 yuan
        ({"method": "standard-quota", "quota_fen": 12_550}, ["18.4263", "219.1235", "31.8725", "47.8088"]),
    ],
)
def test_other_methods(tmp_path: Path, changes: dict[str, Any], scores: list[str]) -> None:
    build(write_years(tmp_path), tmp_path / "pack", replace(PLAN, **changes))
    assert [row[1] for row in table(tmp_path / "pack", "score")] == scores


def test_trimming_takes_the_outlier(tmp_path: Path) -> None:
    # Quartiles of 10, 12, 20, 30, 34 thousand stand at places 1 and 3: 12 to 30 with K = 0. Means 12, 20, 30:
    # (12 + 40 + 210) / 10 = 26.2. Hypertension 1, 2, 3 thousand: from 1.5 to 2.5, so 2 stays, of 2025.
    build(write_years(tmp_path), tmp_path / "pack", replace(PLAN, trimming="iqr:0"))
    rows = {row[0]: row for row in table(tmp_path / "pack", "score")}
    assert rows["K80.2:51.2300"][2] == "5"
    assert rows["K80.2:51.2300"][5] == "2620000"
    assert rows["I10.x:0"][5] == "200000"


def test_one_year_and_other_weights(tmp_path: Path) -> None:
    plan = replace(PLAN, year_weights=(Fraction(1),), years=(2025,), min_cases=2)
    catalog = build(write_years(tmp_path), tmp_path / "pack", plan)
    # Of 2025: 32000, 2500, 6000; all 13500. The other years' cases are in groups but count for nothing.
    assert [(row[0], row[2], row[5]) for row in table(tmp_path / "pack", "score")] == [
        ("I10.x:0", "2", "250000"), ("K35.3:47.0100", "2", "600000"), ("K80.2:51.2300", "2", "3200000"),
    ]  # fmt: skip
    assert catalog.history.cases.height == 11
    assert catalog.cases_of("mixed") == {"CH10-1": 1}
    assert catalog.history.problems == {("DC21", "reject"): 5}, "the pneumonia of 2024 is told for its year alone"


def test_put_aside_is_grouped_and_listed(tmp_path: Path) -> None:
    odd = write(
        tmp_path / "odd.csv",
        line("a", OPERATED, "-5", "2025-06-01"), line("b", CONSERVATIVE, "0", "2025-06-01"),
        line("c", CONSERVATIVE, "", "2025-06-01"), line("d", APPENDIX, "9", "2021-06-01"),
        line("e", APPENDIX, "9", ""), line("f", "Z00.000,", "0", "2025-06-01"), line("g", ",", "80", "2025-06-01"),
    )  # fmt: skip
    catalog = build([*write_years(tmp_path), odd], tmp_path / "pack")
    assert table(tmp_path / "pack", "score") == SCORES
    assert catalog.history.status == {"GROUPED": 17, "UNGROUPED": 1}
    assert catalog.history.reasons == {"PRINCIPAL_MISSING": 1}
    assert catalog.cases_of("core") == {"I10.x:0": 5, "K80.2:51.2300": 6}
    assert catalog.cases_of("mixed") == {"CH10-1": 1, "CH11-4": 4, "CH21-1": 1}
    assert catalog.history.problems == {
        ("DC20", "reject"): 1, ("DC21", "reject"): 1, ("DC22", "reject"): 1, ("DC23", "reject"): 1,
        ("DC24", "reject"): 2, ("GR01", "warn"): 1, ("PRINCIPAL_MISSING", "warn"): 1,
    }  # fmt: skip
    assert catalog.explained.dip.cases == 12, "the case without a principal diagnosis has a cost"


def test_the_same_case_counts_once(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    again = write(
        tmp_path / "z.csv", line("2023-1", OPERATED, 99_000, "2023-05-01"), line("n", OPERATED, "-1", "2025-05-01"),
        line("2025-5", APPENDIX, 5_000, "2025-05-05"), line("2025-5", APPENDIX, 5_000, "2025-05-05"),
    )  # fmt: skip
    # APPENDIX would be three cases and a core group of its own if the repeated ones counted.
    catalog = build([again, *paths], tmp_path / "pack")
    assert table(tmp_path / "pack", "score") == SCORES
    assert [row[0] for row in table(tmp_path / "pack", "core")] == ["I10.x:0", "K80.2:51.2300"]
    assert catalog.history.cases.height == 15, "no case is lost"
    assert catalog.history.status == {"GROUPED": 15}
    assert catalog.history.problems == {("DC26", "reject"): 3, ("DC22", "reject"): 1, ("GR01", "warn"): 1}
    listed = catalog.history.listed.filter(code="DC26").select("file", "row", "case_id", "message").rows()
    assert [row[:3] for row in listed] == [("z.csv", 2, "2023-1"), ("z.csv", 4, "2025-5"), ("z.csv", 5, "2025-5")]
    assert listed[1][3].startswith("与 h2025.csv 第 6 行是同一病例")
    assert catalog.look.usable == {2023: 3, 2024: 2, 2025: 6}
    other = build([*paths, again], tmp_path / "other", threads=2, block_rows=2)
    assert folder_bytes(tmp_path / "other") == folder_bytes(tmp_path / "pack")
    assert other.history.listed.equals(catalog.history.listed)


def test_the_same_bytes_whatever_the_order_of_files_blocks_and_threads(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    odd = [line(f"x{at}", OPERATED, -at, "2025-06-01") for at in range(1, 5)]
    paths.append(write(tmp_path / "odd.csv", *odd))
    orders = [(paths, 1, 1000), (paths[::-1], 3, 2), (paths[1:] + paths[:1], 2, 1)]
    found = []
    for at, (order, threads, block_rows) in enumerate(orders):
        output = tmp_path / f"pack{at}"
        catalog = build(order, output, threads=threads, block_rows=block_rows, auxiliary=None)
        write_report(catalog, tmp_path / "report.xlsx")
        found.append((folder_bytes(output), (tmp_path / "report.xlsx").read_bytes()))
    assert found[0] == found[1] == found[2]


def test_the_pack_groups_its_history_alike(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    first = build(paths, tmp_path / "first")
    again = build(paths, tmp_path / "again", base=compile_dip(read_pack(tmp_path / "first")))
    assert again.cases_of("core") == first.cases_of("core")
    for name in ("core", "mixed", "score", "layer", "meta"):
        assert table(tmp_path / "again", name) == table(tmp_path / "first", name)
    assert again.grown is None
    manifest = again.pack.manifest
    assert manifest is not None
    assert manifest.sources[0].title == "分组方案 test-2023"


def test_kept_groups_take_what_they_take(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    build(paths, tmp_path / "first")
    other = [line(f"n{at}", "N20.000x001,", 700 + at, f"{2023 + at}-02-01") for at in range(3)]
    catalog = build(
        [*paths, write(tmp_path / "n.csv", *other)], tmp_path / "again",
        base=compile_dip(read_pack(tmp_path / "first")),
    )  # fmt: skip
    assert catalog.history.status == {"GROUPED": 11, "UNGROUPED": 3}
    assert catalog.history.reasons == {"NO_DIP_GROUP": 3}
    assert table(tmp_path / "again", "score") == SCORES, "scores rest on the cases that are in a group"


def test_the_manifest_says_how_to_build_it_again(tmp_path: Path) -> None:
    build(write_years(tmp_path)[::-1], tmp_path / "pack")
    manifest = read_pack(tmp_path / "pack").manifest
    assert manifest is not None
    assert (manifest.id, manifest.version, manifest.region) == ("test-2023", "2023-2025", "测试市")
    assert (manifest.data_level, manifest.scheme) == ("synthetic", "DIP")
    assert [source.title for source in manifest.sources] == ["h2023.csv", "h2024.csv", "h2025.csv"]
    assert all(len(source.number) == len("sha256 ") + 64 for source in manifest.sources)
    again = (
        "drgdip catalog build h2023.csv h2024.csv h2025.csv -o test-2023 --years 2023,2024,2025 --year-weights 1:2:7 "
        "--method mean-cost --trim none --edition insurance --id test-2023 --name '测试目录' --region '测试市' "
        "--data-level synthetic --min-cases 3 --combination all --auxiliary none"
    )
    assert manifest.statement.endswith(again)


def test_a_benchmark_that_is_no_group(tmp_path: Path) -> None:
    plan = replace(PLAN, method="benchmark", benchmark="I10.x:1")
    with pytest.raises(HistoryRefused) as caught:
        build(write_years(tmp_path), tmp_path / "pack", plan)
    (problem,) = caught.value.problems
    assert problem.code == "DC07"
    assert "I10.x:0" in problem.message
    assert not (tmp_path / "pack").exists()


def test_histories_that_are_refused_leave_nothing(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    assert refused(lambda: build(paths[::2], tmp_path / "pack")) == ["DC10"]
    assert refused(lambda: build([*paths, paths[0]], tmp_path / "pack")) == ["DC04"]
    strange = [line(f"s{year}", "肺炎,", 5, f"{year}-01-01") for year in (2023, 2024, 2025)]
    assert refused(lambda: build([write(tmp_path / "s.csv", *strange)], tmp_path / "pack")) == ["DC09"]
    assert refused(lambda: build([write(tmp_path / "none.csv")], tmp_path / "pack")) == ["IN03"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "h2023.csv", "h2024.csv", "h2025.csv", "none.csv", "s.csv",
    ]  # fmt: skip


def test_an_output_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    paths = write_years(tmp_path)
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        build(paths, tmp_path / "pack")
    assert folder_bytes(tmp_path / "pack") == {"mine.txt": b"mine"}
    shutil.rmtree(tmp_path / "pack")
    (tmp_path / "pack").mkdir()
    build(paths, tmp_path / "pack")
    assert table(tmp_path / "pack", "score") == SCORES


def test_an_auxiliary_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TablesRefused) as caught:
        auxiliary_tables(str(tmp_path))
    assert [problem.code for problem in caught.value.problems] == ["TB02"]


def test_factors_are_estimated_or_given(tmp_path: Path) -> None:
    # Twenty operated cases a year: ten of 30 years for 1000 yuan, ten of 70 for 3000. Means 1000, 3000, all 2000.
    lines = []
    for year in (2023, 2024, 2025):
        lines += [
            line(f"{year}-{at}", OPERATED, 1000 + 2000 * (at % 2), f"{year}-05-01").replace(
                ",50,", ",70," if at % 2 else ",30,"
            )
            for at in range(20)
        ]
    history = [write(tmp_path / "h.csv", *lines)]
    folder = tmp_path / "aux"
    folder.mkdir()
    levels = "dimension,level,name,order,rule\n年龄,老年,65岁及以上,1,NL >= 65\n年龄,其他,其他,2,NL < 65\n"
    (folder / "aux_level.csv").write_text(levels, encoding="utf-8")
    catalog = build(history, tmp_path / "pack", auxiliary=auxiliary_tables(str(folder)))
    assert table(tmp_path / "pack", "aux_factor") == [
        ("K80.2:51.2300", "年龄", "老年", "1.5000"), ("K80.2:51.2300", "年龄", "其他", "0.5000"),
    ]  # fmt: skip
    assert catalog.auxiliary is not None
    write_report(catalog, tmp_path / "report.xlsx")
    assert "辅助目录" in fastexcel.read_excel(tmp_path / "report.xlsx").sheet_names
    (folder / "aux_factor.csv").write_text("code,dimension,level,factor\n*,年龄,老年,1.2\n", encoding="utf-8")
    build(history, tmp_path / "given", auxiliary=auxiliary_tables(str(folder)))
    assert table(tmp_path / "given", "aux_factor") == [("*", "年龄", "老年", "1.2")]


def city(folder: Path) -> list[str]:
    """Three years of random cases around forty diagnoses and a dozen procedures, 700 a year."""
    drawn = random.Random(3)
    books = load_code_books()
    diagnoses = drawn.sample(books.diagnosis.frame["code"].to_list(), 40)
    procedures = drawn.sample(books.procedure.frame["code"].to_list(), 12)
    paths = []
    for year in (2023, 2024, 2025):
        lines = []
        for at in range(700):
            codes = [drawn.choice(diagnoses[: drawn.choice([3, 10, 40])]), *drawn.sample(diagnoses, drawn.randrange(3))]
            operations = drawn.choices(procedures[: drawn.choice([2, 12])], k=drawn.choice([0, 0, 1, 2]))
            text = line(f"{year}-{at}", "|".join(codes) + "," + "|".join(operations), drawn.randrange(100, 90_000), "")
            lines.append(text.replace(",50,", f",{drawn.randrange(90)},") + f"{year}-06-30")
        paths.append(write(folder / f"h{year}.csv", *lines))
    return paths


def test_a_random_city_the_same_way_round_or_the_other(tmp_path: Path) -> None:
    paths = city(tmp_path)
    plan = replace(PLAN, min_cases=15, trimming="percentile:2.5:97.5", combination="principal", auxiliary="default")
    tables = auxiliary_tables("default")
    one = build(paths, tmp_path / "one", plan, auxiliary=tables, threads=1)
    other = build(paths[::-1], tmp_path / "other", plan, auxiliary=tables, threads=3, block_rows=400)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "other")
    assert one.history.status.total() == 2100
    assert one.explained == other.explained
    assert sum(costs.cases for costs in one.scores.costs.values()) == one.history.status["GROUPED"]
    assert min(one.scores.costs[code].cases for code in one.cases_of("core")) >= 15
    assert 0 < one.explained.dip.riv < 1
    # Grouped by the pack that was read back, each case comes into the group it was counted in.
    found: Counter[str] = Counter()
    compiled = compile_dip(read_pack(tmp_path / "one"))
    for path in paths:
        for block in read_cases(path):
            found.update(group_cases(block.cases, compiled)["dip"].to_list())
    del found[""]
    assert found == one.cases_of("core") + one.cases_of("mixed")
