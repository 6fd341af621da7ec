"""The tables in the page of a simulation: units beside numbers, and what is said of a change."""

from __future__ import annotations

import pytest
from simulation_examples import frame

from api.web.simulation_page_tables import changes_card, fund_card


def test_point_values_of_two_methods_have_a_unit_each() -> None:
    sides = {"before": ("9869.2302", "元/权重", "100.5"), "after": ("11.1178", "元/分", "90000.25")}
    fund = frame("fund", [
        {"pool": "职工", "state": state, "point_value": value, "price_unit": unit, "units": units}
        for state, (value, unit, units) in sides.items()
    ])  # fmt: skip
    page = fund_card(fund)
    for text in ("9,869.2302 元/权重", "11.1178 元/分", "100.5 权重", "90,000.25 分"):
        assert f"<td>{text}</td>" in page, text


@pytest.mark.parametrize(
    ("moved", "cleared", "said"),
    [
        (0, 3, "病例定价不变；影响见清算后的增减"), (0, 0, "病例定价不变，各机构的清算结果也不变"),
        (0, None, "病例定价不变"), (5, 0, ""),
    ],
)  # fmt: skip
def test_a_change_speaks_of_clearing_only_where_it_moved(moved: int, cleared: int | None, said: str) -> None:
    row = {"reform": "r", "key": "pools", "label": "池", "action": "设为", "value": "合并", "settings": 1, "cases": 9,
           "moved": moved, "cleared": cleared}  # fmt: skip
    page = changes_card(frame("changes", [row]))
    assert f'<td class="left wrap">{said}</td></tr>' in page
