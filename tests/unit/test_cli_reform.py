"""`drgdip reform`: what is built in, what a reform says, what is wrong with a file, and one to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from reference_tables.reform import find_reforms, load_reform, parse_reform


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["reform", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def test_list_names_every_built_in_reform() -> None:
    code, said, _ = run("list")
    assert code == 0
    assert all(name in said and load_reform(name).name in said for name in find_reforms())


def test_show_tells_changes_and_solves() -> None:
    code, said, _ = run("show", "synthetic-surgical-neutral")
    assert code == 0
    assert "外科手术组" in said
    assert "乘以 1.05" in said
    assert "求解 总额不变：费率" in said


def test_show_as_a_file_reads_back() -> None:
    code, said, _ = run("show", "synthetic-tier-cut", "--toml")
    assert code == 0
    assert parse_reform(said).sha256 == load_reform("synthetic-tier-cut").sha256


@pytest.mark.parametrize("name", find_reforms())
def test_built_in_reforms_are_sound(name: str) -> None:
    assert run("check", name)[0] == 0


def test_the_template_is_a_sound_reform(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    assert run("template", "-o", path)[0] == 0
    assert run("check", path)[0] == 0
    assert run("template", "-o", path)[0] == 2
    assert run("template")[1] == path.read_text(encoding="utf-8")
    whole = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and ("=" in line or "[" in line) else line
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    )
    made = parse_reform(whole)
    assert [item.kind for item in made.solves] == ["neutral", "target", "corridor", "shrink"]
    assert [item.kind for item in made.growths] == ["volume", "price", "mix", "coding"]
    for word in ("tolerance", "measure", "pool", "low", "high", "history", "min_cases", "keep_mean", "share", "on"):
        assert f"\n# {word} = " in path.read_text(encoding="utf-8"), word


def test_check_tells_all_problems_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('id = "R"\nname = "n"\ndata_level = "x"\nstatement = ""\n[[change]]\nkey = "nothing"\n', "utf-8")
    code, _, said = run("check", path)
    assert code == 3
    assert all(word in said for word in ("data_level", "nothing", "r.toml:1", "r.toml:6"))


_HEAD = 'id = "r"\nname = "n"\ndata_level = "local"\n'


def test_show_tells_values_in_words_and_units(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    blocks = {
        "basic_rule": '{ kind = "tier_coefficient", tier = "三级" }',
        "high_limit": '[{ up_to = "1", limit = "3" }, { limit = "2" }]',
        "no_outlier_groups": "[]",
        "basic_groups": '["BR23", "BR25"]',
        "prepay_period": '"quarter"',
    }
    text = "".join(f'[[change]]\nkey = "{key}"\naction = "set"\nvalue = {value}\n' for key, value in blocks.items())
    path.write_text(_HEAD + text + '[[change]]\nkey = "base_rate"\naction = "add"\nvalue = 0\n', "utf-8")
    code, said, _ = run("show", path)
    assert code == 0
    lines = [
        "设为 一律用该级别机构的系数，三级", "设为 权重 ≤ 1：3；2 倍", "设为 空", "设为 BR23、BR25", "设为 按季",
        "加上 0 元/权重",
    ]  # fmt: skip
    found = [line for line in said.splitlines() if "范围：全部" in line]
    assert [line.split("）")[-1].split("，范围")[0] for line in found] == lines


def test_a_sweep_needs_two_different_values_and_no_negative_factor(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(_HEAD + '[[sweep]]\nkey = "base_rate"\nstart = "-1"\nstop = "-1"\nsteps = 3\n', "utf-8")
    code, _, said = run("check", path)
    assert code == 3
    assert all(words in said for words in ("r.toml:6 sweep[1].start", "r.toml:7 sweep[1].stop", "共 2 个问题"))
