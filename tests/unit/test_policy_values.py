"""Values of a policy by type: exact, in the form the program calculates with."""

from fractions import Fraction
from typing import Any

import pytest

from reference_tables.policy import policy_of
from reference_tables.policy_bands import BasicRule, FormulaBand, LimitBand, ScoreBand, Segment, ShareBand
from reference_tables.policy_schema import policy_schema, read_parameter
from reference_tables.policy_values import decimal_shown
from tests.unit.policy_examples import policy, value

F = Fraction


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        ("average_cost", '"7726.16"', F(772616, 100)),
        ("average_cost", "9200", F(9200)),
        ("coefficient", '"0.806"', F(403, 500)),
        ("hospital_factor", '"1.003"', F(1003, 1000)),
        ("reference_divisor", '"1.1"', F(11, 10)),
        ("reference_factor", '"0.98"', F(49, 50)),
        ("peer_average", '"8800"', F(8800)),
        ("weight_share", '"0.5"', F(1, 2)),
        ("tcm_min_ratio", '"0.60"', F(3, 5)),
        ("tcm_weight", '"0.9100"', F(91, 100)),
        ("tcm_min_days", "10", 10),
        ("unstable_rule", '"cost_points"', "cost_points"),
        ("unstable_groups", '"basic"', ("BR25", "DS15")),
        ("tcm_groups", '["BR25"]', ("BR25",)),
        ("tcm_fallback_group", '"BR23"', "BR23"),
        ("substitute", '"BR21"', "BR21"),
        ("single_disease_price", '"6800.5"', 680050),
        ("single_disease_price", "6800", 680000),
        ("top_up", "true", True),
        ("budget_deductions", '["offsite", "reserve"]', ("offsite", "reserve")),
        ("high_limit", '"3"', (LimitBand(None, F(3)),)),
        (
            "high_limit", '[{ up_to = "1", limit = "3" }, { limit = "2.5" }]',
            (LimitBand(F(1), F(3)), LimitBand(None, F(5, 2))),
        ),
        (
            "overrun_bands", '[{ from = "0", to = "0.05", share = "0.6" }, { from = "0.05", share = "0" }]',
            (ShareBand(F(0), F(1, 20), F(3, 5)), ShareBand(F(1, 20), None, F(0))),
        ),
        (
            "assessment_bands", '[{ from = "90", value = "-0.05" }, { from = "0", value = "none" }]',
            (ScoreBand(F(90), F(-1, 20)), ScoreBand(F(0), None)),
        ),
        ("bed_day_price", '"300"', (Segment(None, F(300)),)),
        (
            "bed_day_price", '[{ up_to = 30, price = "320.00" }, { price = "230" }]',
            (Segment(30, F(320)), Segment(None, F(230))),
        ),
        ("capitation_split", '{ "县" = "6", "乡" = "3" }', (("县", F(6)), ("乡", F(3)))),
        ("basic_rule", '{ kind = "tier_coefficient", tier = "二级" }', BasicRule("tier_coefficient", "二级", None, ())),
        (
            "basic_rule", '{ kind = "tier_coefficient", tier = "二级", only = ["三级"] }',
            BasicRule("tier_coefficient", "二级", None, ("三级",)),
        ),
        ("basic_rule", '{ kind = "tier_rate", tier = "三级" }', BasicRule("tier_rate", "三级", None, ())),
        ("basic_rule", '{ kind = "coefficient", value = "0.806" }', BasicRule("coefficient", "", F(403, 500), ())),
        ("basic_rule", '{ kind = "rate", value = "10000" }', BasicRule("rate", "", F(10000), ())),
        ("basic_rule", '{ kind = "score" }', BasicRule("score", "", None, ())),
        ("basic_rule", '{ kind = "own_coefficient" }', BasicRule("own_coefficient", "", None, ())),
        (
            "bands", '[{ up_to = "0.8", inclusive = false, name = "低", kind = "low", formula = "COST",'
            ' age_factor = false }, { name = "高", kind = "high", formula = "SCORE_SUB", value = "0.4" }]',
            (
                FormulaBand(F(4, 5), False, "低", "low", "COST", None, False),
                FormulaBand(None, False, "高", "high", "SCORE_SUB", F(2, 5), True),
            ),
        ),
    ],
)  # fmt: skip
def test_a_value_is_exactly_what_is_written(key: str, written: str, expected: Any) -> None:
    found = policy(value(key, written, 'for = { group = "BR25" }' if key in BY_GROUP else "")).all(key)[0]
    assert found.value == expected
    assert type(found.value) is type(expected)


BY_GROUP = {"tcm_weight", "tcm_min_days", "tcm_fallback_group", "substitute"}


def test_a_number_no_binary_fraction_can_hold_stays_itself() -> None:
    parts = policy(value("average_cost", '"0.1"'), value("coefficient", '"0.2"'))
    total = parts.all("average_cost")[0].value + parts.all("coefficient")[0].value
    assert total == F(3, 10)
    assert type(total) is Fraction


def test_a_policy_made_in_the_program_is_read_as_strictly() -> None:
    head: dict[str, Any] = {
        "id": "p", "name": "n", "region": "r", "method": "dip", "insurances": ["职工"], "data_level": "local",
        "effective_from": __import__("datetime").date(2025, 1, 1), "statement": "s", "sources": {"doc": {"title": "t"}},
    }  # fmt: skip
    block = {"key": "score_unit", "value": "3", "source": "doc", "confidence": "project"}
    made = policy_of({**head, "set": [block]})
    assert made.all("score_unit")[0].value == 3
    with pytest.raises(Exception, match="PL08"):
        policy_of({**head, "set": [{**block, "value": 0.1}]})


@pytest.mark.parametrize(
    ("number", "text"),
    [(F(3), "3"), (F(403, 500), "0.806"), (F(-1, 20), "-0.05"), (F(0), "0"), (F(1, 3), "1/3"), (F(1200), "1200")],
)
def test_decimals_are_shown_without_trailing_zeros(number: Fraction, text: str) -> None:
    assert decimal_shown(number) == text


@pytest.mark.parametrize(
    "values", [["insurance", "merged"], {"insurance": "分开", "merged": " "}, {"insurance": "分开", "merged": 1}, {}]
)
def test_a_choice_whose_words_lack_a_label_is_no_schema(values: Any) -> None:
    body = {"section": "预算", "label": "池", "meaning": "池。", "type": "choice", "scope": [], "values": values}
    with pytest.raises(ValueError, match=r"\[parameters.pools\]"):
        read_parameter("pools", body, {"H_COST": "据实"})
    body["values"] = ["H_COST"]
    assert read_parameter("pools", body, {"H_COST": "据实"}).labels == {"H_COST": "据实"}


def test_every_parameter_is_documented() -> None:
    schema = policy_schema()
    for parameter in schema.parameters.values():
        assert parameter.label
        assert parameter.meaning.endswith("。")
        assert parameter.section
        assert parameter.type in schema.types
        assert set(parameter.scope) <= set(schema.scopes)
        assert set(parameter.needed) | set(parameter.on_demand) <= set(schema.commands)
        assert (parameter.type in {"choice", "steps"}) == bool(parameter.values)
        assert not {*parameter.labels.values()} & {*parameter.values}
        keys = {condition.key for condition in parameter.needed_if} | set(parameter.rivals)
        assert keys <= set(schema.parameters)
        assert set(parameter.unless) <= set(schema.parameters) | {"coefficient_table", "average_table", "dip_pack"}
    formulas = {word for key in schema.parameters if key.endswith("_formula") and key != "point_value_formula"
                for word in schema.parameters[key].values}  # fmt: skip
    assert formulas == set(schema.formula_methods) == set(schema.formulas)
