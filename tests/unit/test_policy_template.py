"""The blank policy of each method: filled in as a policy officer would, it passes `policy check` and runs every
command; unfilled, every blank is told with its line. The text of a built-in policy comes out as it is."""

import re
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.policy import app
from reference_tables.policy import find_policies, load_policy, parse_policy
from reference_tables.policy_readiness import all_readiness
from reference_tables.policy_schema import policy_schema
from reference_tables.policy_template import TEMPLATE_METHODS, policy_template
from reference_tables.problems import TablesRefused

HEAD = {
    "id": '"my-city"', "name": '"某市政策"', "region": '"某市"', "weights": '"w.csv"', "effective_from": "2026-01-01",
    "statement": '"试填"', "title": '"某市办法"',
}  # fmt: skip
COMMON = {
    "coefficient": '"1"', "low_limit": '"0.4"', "low_inclusive": "false", "high_limit": '"2"', "high_inclusive": "true",
    "low_formula": '"L_COST"', "high_formula": '"H_PCT"', "high_percent": '"0.8"', "pools": '"insurance"',
    "fund_share_mode": '"STANDARD_MINUS_PATIENT"', "budget_deductions": '["reserve"]', "reserve_share": '"0.05"',
    "hospital_budget": '"none"', "prepay_share": '"0.95"', "prepay_period": '"month"', "deposit_share": '"0.05"',
    "clearing_steps": '["freeze", "points", "pool", "entitlement", "balance"]', "sharing_basis": '"none"',
    "assessment_on": '"none"',
}  # fmt: skip
OWN = {
    "drg-rate": {"base_rate": '"9000"', "reference": '"STD"', "normal_formula": '"N_RATE"'},
    "drg-point": {
        "point_value": '"80"', "reference": '"AVG"', "average_cost": '"9000"', "normal_formula": '"N_POINT"',
        "point_scale": '"100"', "point_value_formula": '"DRG_TOTAL"',
    },
    "dip": {
        "point_value": '"8.5"', "reference": '"SCORE"', "score_unit": '"9"', "normal_formula": '"N_SCORE"',
        "point_value_formula": '"DIP_SETTLEMENT"', "payment_ratio": '"0.6"',
    },
}  # fmt: skip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def filled(method: str) -> str:
    """The template with the blanks filled; of the commented blocks, those that HEAD, COMMON or OWN speak of."""
    text = policy_template(method)
    for key, written in HEAD.items():
        text = re.sub(rf'(?m)^{key} = ""', f"{key} = {written}", text)
    for key, written in (COMMON | OWN[method]).items():
        block = re.compile(rf'(?m)^(?:# )?\[\[set\]\]\n(?:# )?key = "{key}"\n(?:# )?value = ""\n(?:.+\n){{2}}')
        (found,) = block.findall(text)
        bare = re.sub(r"(?m)^# ", "", found).replace('value = ""', f"value = {written}")
        text = text.replace(found, bare)
    return text


@pytest.mark.parametrize("method", TEMPLATE_METHODS)
def test_filled_in_it_passes_the_check_and_runs_every_command(method: str, tmp_path: Path) -> None:
    path = tmp_path / "my-city.toml"
    (tmp_path / "w.csv").write_text("group,weight\nBR19,1.5\n", encoding="utf-8")
    path.write_text(filled(method), encoding="utf-8")
    checked = run("check", path)
    assert (checked.exit_code, checked.stderr) == (0, "")
    assert checked.stdout.count("：可以") == len(policy_schema().commands)
    told = orjson.loads(run("check", path, "--json").stdout)
    assert (told["id"], told["method"], told["effective_from"]) == ("my-city", method, "2026-01-01")


@pytest.mark.parametrize("method", TEMPLATE_METHODS)
def test_every_blank_is_told_with_its_line(method: str) -> None:
    lines = policy_template(method).split("\n")
    blanks = [at + 1 for at, line in enumerate(lines) if re.match(r'[a-z_]+ = ""', line)]
    with pytest.raises(TablesRefused) as caught:
        parse_policy(policy_template(method))
    # A source without its title is told where its table begins.
    told = {found.row + 1 if found.field == "sources.own" else found.row for found in caught.value.problems}
    assert sorted(told) == blanks
    assert len(blanks) > 20


@pytest.mark.parametrize("method", TEMPLATE_METHODS)
def test_every_parameter_that_a_command_may_ask_for_is_explained(method: str) -> None:
    text = policy_template(method)
    for parameter in policy_schema().parameters.values():
        asked = method in parameter.methods and (parameter.needed or parameter.on_demand)
        assert (f'key = "{parameter.key}"' in text) is bool(asked)
        if asked:
            assert f"# {parameter.label}：{parameter.meaning}" in text
    assert "单位：" in text
    assert "范围：不小于 0、不大于 1" in text
    assert "L_RATE_COST" in text if method == "drg-rate" else "L_RATE_COST" not in text


def test_a_rate_that_is_fixed_needs_no_formula_of_its_value() -> None:
    assert '# key = "point_value_formula"' in policy_template("drg-rate")
    assert '\nkey = "point_value_formula"' in policy_template("dip")
    suzhou = {item.command: {lack.key for lack in item.missing} for item in all_readiness(load_policy("suzhou-2023"))}
    assert "point_value_formula" not in suzhou["clear"]
    assert "clearing_steps" in suzhou["clear"]


def test_template_command(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    assert run("template", "--method", "dip", "-o", path).exit_code == 0
    assert path.read_text(encoding="utf-8") == policy_template("dip")
    again = run("template", "--method", "drg-rate", "-o", path)
    assert (again.exit_code, "已存在" in again.stderr) == (2, True)
    assert path.read_text(encoding="utf-8") == policy_template("dip")
    assert run("template", "--method", "quota").exit_code == 2
    assert run("template", "--method", "drg-point").stdout == policy_template("drg-point")
    assert run("template", "--method", "dip", "-o", tmp_path / "no" / "t.toml").exit_code == 4


def test_show_as_toml_loads_again_as_the_same_policy(tmp_path: Path) -> None:
    for name in find_policies():
        shown = run("show", name, "--toml")
        assert shown.exit_code == 0
        path = tmp_path / f"{name}.toml"
        path.write_bytes(shown.stdout_bytes)
        assert load_policy(path).sha256 == load_policy(name).sha256
    assert run("show", "suzhou-2023", "--toml", "--json").exit_code == 2
    assert run("show", "nowhere", "--toml").exit_code == 3
