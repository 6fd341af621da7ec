"""`drgdip budget`: exit codes and tables as the README promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app

POLICY = "synthetic-city-drg-rate"
ITEMS = ("catastrophic", "offsite", "outpatient", "pharmacy", "separate_drugs", "by_item")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def year_file(folder: Path, income: str, deduction: str, left_out: tuple[str, str] = ("", "")) -> Path:
    lines = ["year = 2026", 'region = "合成市"', 'data_level = "synthetic"']
    for insurance in ("职工", "居民"):
        lines += ["[[fund]]", f'insurance = "{insurance}"', f'income = "{income}"']
        for item in ITEMS:
            if (insurance, item) != left_out:
                row = ["[[deduction]]", f'insurance = "{insurance}"', f'item = "{item}"', f'amount = "{deduction}"']
                lines += row
    path = folder / "year.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_missing_money_is_exit_code_1_whatever_else_is_wrong(tmp_path: Path) -> None:
    """居民 has too little money, 职工 lacks a deduction; with enough money only the fault of the file is left."""
    poor = run("budget", "--policy", POLICY, "--year-file", year_file(tmp_path, "100.00", "60.00", ("职工", "offsite")))
    assert "CL21" in poor.stderr
    assert "CL22" in poor.stderr
    assert poor.exit_code == 1
    lacking = run(
        "budget", "--policy", POLICY, "--year-file", year_file(tmp_path, "9000.00", "60.00", ("职工", "offsite"))
    )
    assert "CL22" in lacking.stderr
    assert lacking.exit_code == 3


def test_long_amounts_are_not_cut_in_a_narrow_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    figures = year_file(tmp_path, "98765432109876.54", "12345678901234.56")
    result = run("budget", "--policy", POLICY, "--year-file", figures)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stderr.splitlines() if "基金收入" in line]
    assert len(lines) == 2
    assert all(line.count("98765432109876.54") == 2 for line in lines)


def test_policy_year_file_and_register_are_told_together(tmp_path: Path) -> None:
    register, figures = tmp_path / "h.csv", tmp_path / "year.toml"
    register.write_text("hospital_id,tier\nH1,九级\n", encoding="utf-8")
    figures.write_text("year = 2026\n", encoding="utf-8")
    cases = tmp_path / "cases.csv"
    cases.write_text("case_id\n1\n", encoding="utf-8")
    result = run(
        "budget", "--policy", POLICY, "--year-file", figures, "--hospitals", register, "--cases", cases
    )  # fmt: skip
    assert result.exit_code == 3
    assert "CL06" in result.stderr
    assert "PA26" in result.stderr
