"""Days of a policy written wrongly, and texts that are no TOML: told in Chinese, with the line, beside all other
faults, and with nothing that only follows from them."""

import tomllib

import pytest

from reference_tables.policy import parse_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.toml_faults import toml_fault
from tests.unit.policy_examples import FIRST, HEAD, STEP, places, problems, value

FROM = "effective_from = 2025-01-01"
FROM_LINE = HEAD.split(FROM)[0].count("\n") + 1


def reason(found: Problem) -> str:
    return str(found.args["reason"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('"2025-01-01"', "日期不加引号，写成 2025-01-01"),
        ("2025-02-30", "“2025-02-30”不是日历上的日期"),
        ("2025-13-01", "“2025-13-01”不是日历上的日期"),
        ("2025/01/01", "“2025/01/01”不是日历上的日期"),
        ("2025-1-1  # 首日", "“2025-1-1”不是日历上的日期"),
        ("2025年1月1日", "“2025年1月1日”不是日历上的日期"),
        ("2025-01-01T08:00:00", "只写日期，不写时刻，如 2025-01-01"),
        ("2025", "应为日期，如 2023-01-01，实际是 2025"),
    ],
)
def test_first_day_written_wrongly_is_one_problem(written: str, said: str) -> None:
    halves = value("average_cost", '"9000"', "until = 2025-07-01"), value("average_cost", '"8000"', "from = 2025-07-01")
    (found,) = problems(*halves, head=HEAD.replace(FROM, f"effective_from = {written}"))
    assert (found.code, found.row, found.args["key"]) == ("PL04", FROM_LINE, "effective_from")
    assert said in reason(found)


def test_wrong_days_do_not_hide_the_other_faults() -> None:
    found = problems(
        value("average_cost", '"9000"', "until = 2025-02-30"), value("nonsense", "1"),
        value("average_cost", '"8000"', 'from = "2025-07-01"'), value("low_limit", "0.4"),
    )  # fmt: skip
    assert places(found) == [
        ("PL04", FIRST + 5), ("PL05", FIRST + STEP + 1), ("PL04", FIRST + 2 * STEP + 5), ("PL08", FIRST + 3 * STEP + 2),
    ]  # fmt: skip


def test_a_value_that_cannot_be_read_is_not_missed_as_well() -> None:
    later = value("average_cost", '"8000"', 'from = "2025-07-01"')
    assert places(problems(value("average_cost", '"9000"', "until = 2025-07-01"), later)) == [("PL04", FIRST + 11)]
    cut = problems(value("age_factor", '"1.03"'), value("age_factor_below", '"six"'))
    assert places(cut) == [("PL07", FIRST + 8)]


def test_a_text_beside_a_day_stays_what_it_is() -> None:
    # The day of clearing is a text: what is no TOML is not taken for one.
    (found,) = problems(value("clearing_deadline", "06-30"))
    assert (found.code, found.row) == ("PL02", FIRST + 2)
    assert problems(value("clearing_deadline", '"06-30"', "from = 2025-01-01  # 全年")) == []


def test_twice_and_wrong_day_at_once() -> None:
    head = HEAD.replace(FROM, f"{FROM}\neffective_from = 2025-02-30")
    assert places(problems(head=head)) == [("PL03", FROM_LINE + 1)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("note = 三级", "值的写法不对"),
        ('note = "甲" "乙"', "一个值之后还有多余的内容"),
        ('note “甲”', "应写成“键 = 值”"),
        ('note = "甲', "引号没有配对"),
        ('note = ["甲"', "列表的方括号没有配对"),
        ('note = {a = "甲"', "花括号没有配对"),
        ('note = "C:\\data"', "反斜杠"),
        ('note = "甲\x01"', "控制字符"),
        ("[note", "方括号没有配对"),
    ],
)  # fmt: skip
def test_no_toml_is_said_in_chinese_with_its_line(line: str, said: str) -> None:
    with pytest.raises(TablesRefused) as caught:
        parse_policy(f"{HEAD}{line}\n", "p.toml")
    (found,) = caught.value.problems
    assert (found.code, found.row) == ("PL02", FIRST)
    assert said in reason(found)


def test_a_message_never_seen_is_not_shown_in_english() -> None:
    assert toml_fault(tomllib.TOMLDecodeError("Something new (at line 3, column 1)"), "") == ("此处不合 TOML 的格式", 3)
    assert toml_fault(tomllib.TOMLDecodeError("Something new (at end of document)"), "a = 1\nb =\n")[1] == 2
