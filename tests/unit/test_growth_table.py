"""The page's table of the years of growth: every year and pool, yuan to the fen, nothing of what is not known."""

from __future__ import annotations

import polars as pl

from api.web.growth_table import growth_card
from budget.compare_frames import GROWTH_SCHEMA


def test_years_and_balances_are_shown_to_the_fen() -> None:
    rows = [
        (2026, "职工", 1200, 500_000_05, 400_000_00, 300_000_00, "87.5501", "元/点", 310_000_00, -1_234_56, 99_000_01),
        (2027, "职工", 1260, 525_000_05, 420_000_00, 315_000_00, "86.1000", "元/点", 325_000_00, -16_234_56, 82_765_45),
    ]
    html = growth_card(pl.DataFrame(rows, schema=GROWTH_SCHEMA, orient="row"))
    for text in (
        "2026",
        "2027",
        "职工",
        "1,260",
        "525,000.05",
        "-16,234.56",
        "82,765.45",
        "86.1000 元/点",
        "当年结余，元",
    ):
        assert text in html, text


def test_without_a_year_file_there_is_no_balance() -> None:
    html = growth_card(pl.DataFrame([{"year": 1, "pool": "合计", "cases": 3}], schema=GROWTH_SCHEMA))
    assert "病例" in html
    assert "结余，元" not in html
    assert "点值" not in html
