"""Every kind of fault of a policy file: told with its line, all of them at once."""

from pathlib import Path

import pytest

from reference_tables.policy import find_policies, load_policy, parse_policy
from reference_tables.problems import TablesRefused, catalogue
from tests.unit.policy_examples import FIRST, HEAD, STEP, places, problems, value

VALUE = FIRST + 2
LAST = FIRST + 5


@pytest.mark.parametrize(
    ("block", "code", "line"),
    [
        (value("high_limt", '"3"'), "PL05", FIRST + 1),
        (value("base_rate", '"9000"'), "PL06", FIRST + 1),
        (value("average_cost", "true"), "PL07", VALUE),
        (value("average_cost", '"9 000"'), "PL07", VALUE),
        (value("average_cost", '"9e3"'), "PL07", VALUE),
        (value("average_cost", '""'), "PL07", VALUE),
        (value("average_cost", '["9000"]'), "PL07", VALUE),
        (value("average_cost", "1" + "0" * 15), "PL07", VALUE),
        (value("readmission_days", '"15"'), "PL07", VALUE),
        (value("low_inclusive", '"true"'), "PL07", VALUE),
        (value("single_disease_price", '"5000.123"'), "PL07", VALUE),
        (value("clearing_deadline", "2026-06-30"), "PL07", VALUE),
        (value("bed_day_price", '[{ up_to = "30", price = "320" }, { price = "200" }]'), "PL07", VALUE),
        (value("high_limit", '[{ upto = "1", limit = "3" }, { limit = "2" }]'), "PL07", VALUE),
        (value("basic_rule", '{ kind = "tier_coefficient" }'), "PL07", VALUE),
        (value("basic_rule", '{ kind = "coefficient", value = "1", tier = "二级" }'), "PL07", VALUE),
        (value("average_cost", "9000.5"), "PL08", VALUE),
        (value("high_limit", "[{ up_to = 1.5, limit = 3 }, { limit = 2 }]"), "PL08", VALUE),
        (value("coefficient", '"-0.1"'), "PL09", VALUE),
        (value("deposit_share", '"1.05"'), "PL09", VALUE),
        (value("retain_bands", '[{ from = "0", share = "1.2" }]'), "PL09", VALUE),
        (value("high_limit", '"0.5"'), "PL09", VALUE),
        (value("reference", '"MEAN"'), "PL10", VALUE),
        (value("clearing_steps", '["points", "party"]'), "PL10", VALUE),
        (value("basic_rule", '{ kind = "cheapest" }'), "PL10", VALUE),
        (value("coefficient", '"1"', 'for = { colour = "red" }'), "PL11", LAST),
        (value("point_scale", '"100"', 'for = { tier = "三级" }'), "PL12", LAST),
        (value("coefficient", '"1"', 'for = { tier = "一级" }'), "PL13", LAST),
        (value("coefficient", '"1"', 'for = { insurance = "其他" }'), "PL13", LAST),
        (value("coefficient", '"1"', 'for = { list = "rare" }'), "PL13", LAST),
        (value("point_value", '"80"', 'for = { month = "2025-13" }'), "PL13", LAST),
        (value("basic_rule", '{ kind = "tier_coefficient", tier = "一级" }'), "PL13", FIRST),
        (value("basic_rule", '{ kind = "coefficient", value = "1", only = ["四级"] }'), "PL13", FIRST),
        (value("average_cost", '"9000"', "from = 2025-07-01"), "PL15", FIRST),
        (value("average_cost", '"9000"', "from = 2024-07-01"), "PL16", FIRST),
        (value("average_cost", '"9000"', "until = 2026-07-01"), "PL16", FIRST),
        (value("average_cost", '"9000"').replace('"doc"', '"rumour"'), "PL17", FIRST + 3),
        (value("average_cost", '"9000"', confidence="sure"), "PL18", FIRST + 4),
        (value("high_limit", '[{ up_to = "1", limit = "3" }, { up_to = "2", limit = "2" }]'), "PL19", VALUE),
        (value("high_limit", '[{ up_to = "2", limit = "3" }, { up_to = "1", limit = "2" }, { limit = "2" }]'), "PL19",
         VALUE),
        (value("high_limit", '[{ limit = "3" }, { limit = "2" }]'), "PL19", VALUE),
        (value("retain_bands", '[{ from = "0", to = "0.1", share = "1" }, { from = "0.2", share = "0" }]'), "PL19",
         VALUE),
        (value("retain_bands", '[{ from = "0", to = "0.1", share = "1" }, { from = "0.05", share = "1" }]'), "PL19",
         VALUE),
        (value("retain_bands", '[{ from = "0", share = "1" }, { from = "0.1", share = "1" }]'), "PL19", VALUE),
        (value("retain_bands", '[{ from = "0.1", share = "1" }]'), "PL19", VALUE),
        (value("assessment_bands", '[{ from = "80", value = "1" }, { from = "90", value = "1" }]'), "PL19", VALUE),
        (value("assessment_bands", '[{ from = "80", value = "1" }]'), "PL19", VALUE),
        (value("clearing_steps", '["points", "pool", "points"]'), "PL19", VALUE),
        (value("capitation_split", '{ "甲" = "0", "乙" = "0" }'), "PL19", VALUE),
        (value("age_factor", '"1.03"'), "PL21", FIRST),
        (value("high_formula", '"H_PCT"'), "PL21", FIRST),
        (value("high_formula", '"H_RATE_SUB_1"'), "PL22", FIRST),
        (value("normal_formula", '"N_RATE"'), "PL22", FIRST),
        (value("basic_groups", '"rare"'), "PL24", VALUE),
        (value("average_cost", '"9000"', confidence="synthetic"), "PL25", FIRST + 4),
        (value("average_cost", '"9000"', "suspect = true"), "PL26", LAST),
        (value("average_cost", '"9000"', "colour = 1"), "PL04", LAST),
        (value("average_cost", '"9000"', "from = 2025"), "PL04", LAST),
        (value("average_cost", '"9000"', "for = {}"), "PL04", LAST),
        ("[[set]]\nkey = \"average_cost\"\nsource = \"doc\"\nconfidence = \"official\"\n", "PL04", FIRST),
        ("[[set]]\nkey = \"average_cost\"\nvalue = \"1\"\nsource = \"doc\"\n", "PL04", FIRST),
    ],
)  # fmt: skip
def test_one_fault_one_problem_with_its_line(block: str, code: str, line: int) -> None:
    assert (code, line) in places(problems(block))
    others = {problem.code for problem in problems(block)} - {code}
    assert others <= {"PL21"}  # a formula also asks for what it works with


@pytest.mark.parametrize(
    ("blocks", "code", "at"),
    [
        (["average_cost", "average_cost"], "PL14", 1),
        (["low_limit=1", "high_limit=1"], "PL20", 1),
        (["high_limit=3", "extreme_limit=3"], "PL20", 1),
        (["prepay_share=0.95", "deposit_share=0.1"], "PL23", 1),
    ],
)
def test_two_values_that_do_not_go_together(blocks: list[str], code: str, at: int) -> None:
    texts = [value(key, f'"{number or 1}"') for key, _, number in (block.partition("=") for block in blocks)]
    assert places(problems(*texts)) == [(code, FIRST + STEP * at)]


def test_days_that_leave_no_stay_in_the_package() -> None:
    assert places(problems(value("by_item_days_up_to", "60"), value("by_item_days_from", "60"))) == [
        ("PL20", FIRST + STEP)
    ]


def test_bands_beside_a_limit_and_shares_beside_bands() -> None:
    band = '[{ name = "全部", kind = "normal", formula = "SCORE" }]'
    assert places(problems(value("bands", band), value("low_limit", '"0.4"'))) == [("PL20", FIRST + STEP)]
    shares = value("retain_bands", '[{ from = "0", share = "1" }]')
    assert places(problems(shares, value("retain_share", '"0.5"'))) == [("PL20", FIRST + STEP)]


def test_lists_that_share_a_group_overlap() -> None:
    found = problems(
        value("coefficient", '"1"', 'for = { list = "basic" }'), value("coefficient", '"2"', 'for = { list = "other" }')
    )
    assert places(found) == [("PL14", FIRST + STEP)]
    assert "DS15" in found[0].message


def test_values_of_different_scope_or_days_do_not_overlap() -> None:
    assert not problems(
        value("average_cost", '"1"', "until = 2025-07-01"),
        value("average_cost", '"2"', "from = 2025-07-01"),
        value("coefficient", '"1"'),
        value("coefficient", '"2"', 'for = { tier = "三级" }'),
        value("coefficient", '"3"', 'for = { tier = "二级" }'),
        value("coefficient", '"4"', 'for = { tier = "二级", insurance = "职工" }'),
    )


def test_a_gap_between_dated_values_and_one_that_a_wider_value_fills() -> None:
    early = value("coefficient", '"1"', 'for = { tier = "三级" }\nuntil = 2025-03-01')
    late = value("coefficient", '"2"', 'for = { tier = "三级" }\nfrom = 2025-05-01')
    found = problems(early, late)
    assert places(found) == [("PL15", FIRST)]
    assert "2025-03-01 至 2025-04-30" in found[0].message
    assert not problems(early, late, value("coefficient", '"3"'))


def test_the_head_is_checked_as_well() -> None:
    head = (
        HEAD.replace('method = "drg-point"', 'method = "drg"')
        .replace("effective_from = 2025-01-01", 'effective_from = "2025-01-01"')
        .replace('insurances = ["职工", "居民"]', 'insurances = ["职工", "职工"]')
        .replace('data_level = "local"', "level = 3")
        .replace('title = "某文件"', 'name = "某文件"')
        .replace('codes = ["BR25", "DS15"]', 'codes = ["BR25", "BR25"]')
    )
    found = problems(head=head)
    assert {problem.code for problem in found} == {"PL04"}
    wanted = {
        "method": 4,
        "insurances": 5,
        "effective_from": 7,
        "level": 9,
        "sources.doc.name": 12,
        "lists.basic.codes": 14,
    }
    assert {problem.field: problem.row for problem in found if problem.field in wanted} == wanted
    assert {"data_level", "sources.doc"} <= {problem.field for problem in found}


def test_what_is_written_twice_is_told_and_the_rest_still_read() -> None:
    text = HEAD.replace('region = "某市"\n', 'region = "某市"\nregion = "另一市"\n') + (
        '[sources.doc]\ntitle = "again"\n'
        '[[set]]\nkey = "average_cost"\nvalue = "1"\nvalue = "2"\nsource = "doc"\nconfidence = "official"\n'
        '[[set]]\nkey = "nonsense"\nvalue = "1"\nsource = "doc"\nconfidence = "official"\n'
    )
    with pytest.raises(TablesRefused) as refused:
        parse_policy(text, "p.toml")
    assert [(item.code, item.row, item.field) for item in refused.value.problems if item.code != "PL50"] == [
        ("PL03", 4, "region"), ("PL03", 18, "sources.doc"), ("PL03", 23, "value"), ("PL05", 27, "set.1.key"),
    ]  # fmt: skip


def test_many_faults_come_at_once_in_the_order_of_their_lines() -> None:
    found = problems(
        value("average_cost", "9000.5"),
        value("coefficient", '"11"'),
        value("high_formula", '"H_STEP"'),
        value("reference", '"MEAN"'),
        value("coefficient", '"1"', 'for = { tier = "省级" }'),
    )
    assert places(found) == [
        ("PL08", FIRST + 2), ("PL09", FIRST + STEP + 2), ("PL21", FIRST + 2 * STEP), ("PL21", FIRST + 2 * STEP),
        ("PL10", FIRST + 3 * STEP + 2), ("PL13", FIRST + 4 * STEP + 5),
    ]  # fmt: skip
    assert 'value = "9000.5"' not in found[0].fix
    assert '写成 "9000.5"' in found[0].fix


def test_text_that_only_looks_like_keys_does_not_move_the_lines() -> None:
    tricky = (
        '[[set]] # key = "no"\nkey = "average_cost" # value = 1\n'
        'note = """\nvalue = "x"\n[[set]]\nkey = "y"\n"""\n'
        "value = [\n  1, # ]\n]\nsource = 'doc'\nconfidence = \"official\"\n"
    )
    found = problems(tricky, value("nonsense", '"1"'))
    assert places(found) == [("PL07", FIRST + 7), ("PL05", FIRST + 13)]


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    text = HEAD + value("average_cost", '"9000"') + value("nonsense", "1")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    with pytest.raises(TablesRefused) as refused:
        load_policy(path)
    assert places([item for item in refused.value.problems if item.code != "PL50"]) == [("PL05", FIRST + STEP + 1)]


def test_a_file_that_is_no_policy(tmp_path: Path) -> None:
    with pytest.raises(TablesRefused) as missing:
        load_policy(tmp_path / "none.toml")
    assert places(list(missing.value.problems)) == [("PL01", 0)]
    assert "suzhou-2023" in missing.value.problems[0].message
    path = tmp_path / "p.toml"
    for content, line in ((b'id = "p"\nname = \n', 2), (b'id = "p"\n\xff\n', 2)):
        path.write_bytes(content)
        with pytest.raises(TablesRefused) as broken:
            load_policy(path)
        assert places(list(broken.value.problems)) == [("PL02", line)]


def test_an_unknown_weight_table_is_refused_and_a_file_beside_the_policy_found(tmp_path: Path) -> None:
    text = HEAD.replace('region = "某市"\n', 'region = "某市"\nweights = "w.csv"\n')
    assert places(problems(head=text))[:1] == [("PL27", 4)]
    (tmp_path / "w.csv").write_text("group,rw\nBR25,0.5\n", encoding="utf-8")
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    assert load_policy(tmp_path / "p.toml").weights == str(tmp_path / "w.csv")


def test_a_change_within_a_month_is_told() -> None:
    # Cases are priced by their month: 12000 would silently hold from April on.
    for day, told in (("2025-03-15", ["PL51", "PL51"]), ("2025-04-01", [])):
        changed = value("average_cost", '"9000"', f"until = {day}") + value("average_cost", '"12000"', f"from = {day}")
        policy = parse_policy(HEAD + changed, "p.toml")
        assert [item.code for item in policy.problems if item.code != "PL50"] == told


def test_warnings_do_not_refuse() -> None:
    policy = parse_policy(HEAD + value("average_cost", '"9000"'), "p.toml")
    assert [(item.code, item.field, item.row) for item in policy.problems] == [
        ("PL50", "lists.basic", 13), ("PL50", "lists.other", 15),
    ]  # fmt: skip


def test_every_problem_kind_of_a_policy_is_told_in_some_test() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    rest = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*polic*.py"))
    rest += (Path(__file__).parent / "test_group_weights.py").read_text(encoding="utf-8")
    assert not [code for code in catalogue() if code.startswith("PL") and code not in here + rest]


@pytest.mark.parametrize("name", find_policies())
def test_every_built_in_policy_loads_without_a_problem(name: str) -> None:
    found = load_policy(name)
    assert found.id == name
    assert not found.problems
