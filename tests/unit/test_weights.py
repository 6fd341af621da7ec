"""Published weights: exact scaled integers that reproduce the printed standards, and refusal of broken tables."""

import shutil
from decimal import Decimal
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from reference_tables.problems import TablesRefused
from reference_tables.weights import WeightTable, find_weights, read_weights, weight_tables


def test_every_region_and_year_with_its_rows() -> None:
    assert {(table.region, table.year): table.frame.height for table in weight_tables()} == {
        ("临沂", 2022): 2440, ("吉林", 2022): 625, ("无锡", 2022): 1806, ("泰州", 2022): 353,
        ("苏州", 2022): 1944, ("苏州", 2023): 1944, ("铜川", 2022): 1191,
    }  # fmt: skip
    assert all(table.source.carrier and table.note for table in weight_tables())


def row(table: WeightTable, **where: str) -> dict[str, int]:
    found = table.frame.filter(*(pl.col(name) == value for name, value in where.items()))
    assert found.height == 1
    return {name: value for name, value in found.row(0, named=True).items() if isinstance(value, int)}


def test_numbers_are_the_printed_ones_scaled() -> None:
    assert row(find_weights("吉林", 2022), drg="AF19") == {
        "rw_e6": 928_000, "rate_fen": 908_056, "coefficient_e4": 10_000, "standard_e6": 8_426_759_680,
    }  # fmt: skip
    assert row(find_weights("苏州", 2023), drg="AA19", tier="一级") == {
        "rw_e6": 29_700_000, "rate_fen": 872_830, "coefficient_e4": 7_500, "standard_e6": 194_422_882_500,
    }  # fmt: skip
    assert row(find_weights("泰州", 2022), drg="AH11")["coefficient_e4"] == 8_641
    assert row(find_weights("无锡", 2022), drg="0000", tier="三级")["rw_e6"] == 200_000


@pytest.mark.parametrize("table", weight_tables(), ids=lambda table: f"{table.region}{table.year}")
def test_every_printed_standard_is_the_product_to_ten_digits(table: WeightTable) -> None:
    for rw, rate, coefficient, standard in table.frame.select(
        "rw_e6", "rate_fen", "coefficient_e4", "standard_e6"
    ).iter_rows():
        product = Decimal(rw) * rate * coefficient / 10**12
        printed = Decimal(standard) / 10**6
        assert abs(product - printed) <= Decimal(10) ** (product.adjusted() - 9) / 2


def test_an_unknown_table_is_refused_with_those_known() -> None:
    with pytest.raises(TablesRefused) as caught:
        find_weights("苏州", 2021)
    (problem,) = caught.value.problems
    assert problem.code == "TB27"
    assert "苏州 2022" in problem.message


def test_a_broken_table_is_refused_with_every_fault(tmp_path: Path) -> None:
    with resources.as_file(resources.files("reference_tables") / "weights") as source:
        folder = Path(shutil.copytree(source, tmp_path / "weights"))
    path = folder / "jilin-2022.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[1]
    lines[3] = lines[3].replace("9080.56", "9080.561")
    lines[4] = lines[4].replace("三级", "")
    lines[5] = lines[5].replace(",1,", ",-1,")
    lines[6] = lines[6] + ",0"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(TablesRefused) as caught:
        read_weights(folder, "jilin-2022.csv")
    assert {(problem.code, problem.row) for problem in caught.value.problems} == {
        ("TB07", 3), ("TB26", 4), ("TB06", 5), ("TB26", 6), ("TB05", 7), ("TB17", 0),
    }  # fmt: skip
