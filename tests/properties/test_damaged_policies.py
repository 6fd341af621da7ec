"""A policy file damaged anywhere is read or refused with its faults; it never fails otherwise."""

from hypothesis import given
from hypothesis import strategies as st

from reference_tables.policy import Policy, parse_policy
from reference_tables.policy_text import TomlLines
from reference_tables.problems import TablesRefused
from tests.unit.policy_examples import HEAD, value

WHOLE = HEAD + "".join(
    [
        value("average_cost", '"9000.5"', 'for = { tier = "三级" }'),
        value("high_limit", '[{ up_to = "1", limit = "3" }, { limit = "2.5" }]'),
        value("overrun_bands", '[{ from = "0", to = "0.1", share = "0.6" }, { from = "0.1", share = "0" }]'),
        value("assessment_bands", '[{ from = "90", value = "1" }, { from = "0", value = "none" }]'),
        value("bed_day_price", '[{ up_to = 30, price = "320" }, { price = "200" }]', 'for = { list = "basic" }'),
        value("basic_rule", '{ kind = "tier_coefficient", tier = "二级", only = ["三级"] }', "until = 2026-01-01"),
        value("bands", '[{ up_to = "1", inclusive = true, name = "低", kind = "low", formula = "COST" }]'),
        value("capitation_split", '{ "县" = "6", "乡" = "3" }'),
        value("other", "1", 'note = """two\nlines"""'),
    ]
)
PIECES = [
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "#",
    ",",
    ".",
    "1",
    '"""',
    "[[set]]",
    "[set.for]",
    "key",
    "value = 1\n",
    "一",
]


def read(text: str) -> Policy | None:
    try:
        return parse_policy(text)
    except TablesRefused as error:
        refused = error
    last = text.count("\n") + 1
    assert refused.problems
    assert all(0 <= problem.row <= last and problem.message for problem in refused.problems)
    return None


@given(st.integers(0, len(WHOLE)), st.integers(0, 30), st.sampled_from(PIECES), st.integers(0, 3))
def test_a_piece_cut_out_or_put_in(at: int, length: int, piece: str, times: int) -> None:
    read(WHOLE[:at] + piece * times + WHOLE[at + length :])


NAMES = ["up_to", "limit", "from", "to", "share", "kind", "price", "value"]
SIMPLE = ['"1"', "1", "1.5", "true", '""', '"none"', "2025-01-01", "-1", '"二级"', "inf", "9" * 20]


def listed(items: list[str]) -> str:
    return f"[{', '.join(items)}]"


def inline(pairs: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {item}" for key, item in pairs.items()) + " }"


VALUES = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: (
        st.lists(inner, max_size=3).map(listed) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3).map(inline)
    ),
    max_leaves=6,
)
KEYS = ["average_cost", "high_limit", "overrun_bands", "assessment_bands", "bed_day_price", "basic_rule", "bands",
        "capitation_split", "basic_groups", "clearing_steps", "readmission_days", "top_up", "reference"]  # fmt: skip


@given(st.sampled_from(KEYS), VALUES, VALUES)
def test_any_value_for_any_type(key: str, written: str, scope: str) -> None:
    read(HEAD + value(key, written, f"for = {scope}"))


@given(st.text(st.sampled_from([*"ab=\"[]{}\n'#. ,\\"]), max_size=60))
def test_lines_of_any_text(text: str) -> None:
    lines = TomlLines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.lines.values())
    assert lines.without_twice().count("\n") == text.count("\n")
