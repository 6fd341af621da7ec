"""`drgdip simulate` from end to end: the folder, the console, the proof that repeats it, and what refuses it."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import fastexcel
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.main import app
from reference_tables.reform import parse_reform
from tests.unit.clearing_city import City, write_city
from tests.unit.simulated_city import HEAD, RATE, change

BODY = change("coefficient", "scale", "1.1", 'for = { tier = "三级" }') + change(
    "coefficient", "scale", "0.9", 'for = { insurance = "职工", tier = "二级" }\nfrom = 2026-07-01'
)
FILES = {"simulation.html", "tables.xlsx", "resolved.toml", "problems.csv", "proof.json", "tables"}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    folder = tmp_path_factory.mktemp("city")
    (folder / "r.toml").write_text(HEAD.format(id="my-reform") + BODY, encoding="utf-8")
    return write_city(folder)


def simulate(city: City, output: Path, *more: object, reform: str = "r.toml") -> Result:
    path = city.register.parent / reform
    return run("simulate", *city.months, "--policy", RATE, "--reform", path if path.exists() else reform,
               "--hospitals", city.register, "-o", output, *more)  # fmt: skip


@pytest.fixture(scope="module")
def done(city: City, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    output = tmp_path_factory.mktemp("simulated") / "out"
    return output, simulate(city, output, "--year-file", city.year_file)


def test_the_folder_and_what_the_console_says(done: tuple[Path, Result]) -> None:
    output, result = done
    assert result.exit_code in {0, 1}, result.output
    assert {path.name for path in output.iterdir()} == FILES
    for word in ("my-reform", "试验改革", "系数", "三级", "逐步", "增加", "减少", "当年结余"):
        assert word in result.stderr or word in (output / "proof.json").read_text(encoding="utf-8"), word


def test_the_proof_names_what_decided_and_repeats_the_run(
    city: City, done: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, _ = done
    proof = orjson.loads((output / "proof.json").read_bytes())
    assert proof["reforms"][0]["id"] == "my-reform"
    assert {item["name"] for item in proof["cases"]} == {path.name for path in city.months}
    assert set(proof["outputs"]) >= {"simulation.html", "tables.xlsx", "tables/gain.parquet", "resolved.toml"}
    for path in [*city.months, city.register, city.decisions, city.year_file, city.register.parent / "r.toml"]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    result = run(*proof["recompute"].split()[1:])
    assert result.exit_code in {0, 1}, result.output
    assert (tmp_path / "out" / "proof.json").read_bytes() == (output / "proof.json").read_bytes()


def test_the_resolved_reform_says_the_same(done: tuple[Path, Result]) -> None:
    output, _ = done
    again = parse_reform((output / "resolved.toml").read_text(encoding="utf-8"))
    assert again.sha256 == parse_reform(HEAD.format(id="my-reform") + BODY).sha256


def test_the_workbook_has_the_tables_in_yuan(done: tuple[Path, Result]) -> None:
    output, _ = done
    book = fastexcel.read_excel(output / "tables.xlsx")
    assert {"增减", "机构增减", "基金", "改动", "逐步"} <= set(book.sheet_names)
    shown = book.load_sheet("机构增减").to_polars()
    exact = pl.read_parquet(output / "tables" / "winners.parquet")
    assert [round(yuan * 100) for yuan in shown["统筹支付（后）（元）"]] == exact["fund_after_fen"].to_list()


def test_json_tells_changes_and_totals(city: City, tmp_path: Path) -> None:
    result = simulate(city, tmp_path / "out", "--json")
    told = orjson.loads(result.stdout)
    assert told["totals"]["cases"] == 288
    assert told["totals"]["cleared_after_fen"] is None
    assert [item["scope"] != "" for item in told["changes"]] == [True, True]
    assert told["changes"][0]["cases"] == 96
    assert told["changes"][0]["hospitals"] == 1


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--year", "2026"), 2, "--year-file"),
        (("--prepaid", "nowhere.csv"), 2, "--year-file"),
        (("--separate", "nowhere.csv"), 2, "nowhere.csv"),
    ],
)
def test_wrong_use(city: City, tmp_path: Path, more: tuple[str, ...], code: int, said: str) -> None:
    result = simulate(city, tmp_path / "out", *more)
    assert result.exit_code == code
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_reform_that_is_not_there_is_told_with_those_that_are(city: City, tmp_path: Path) -> None:
    result = simulate(city, tmp_path / "out", reform="no-such-reform")
    assert result.exit_code == 3
    assert "no-such-reform" in result.stderr
    assert "synthetic-identity" in result.stderr


def test_a_folder_that_holds_something_is_left_alone(city: City, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    result = simulate(city, tmp_path)
    assert result.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_change_that_touches_no_case_is_a_warning(city: City, tmp_path: Path) -> None:
    body = change("coefficient", "scale", "1.1", 'for = { groups = ["AA19"] }')
    (tmp_path / "none.toml").write_text(HEAD.format(id="none") + body, encoding="utf-8")
    result = simulate(city, tmp_path / "out", reform=str(tmp_path / "none.toml"))
    assert "没有触及任何病例" in result.stderr
    assert "none.toml:5 " in result.stderr
    assert pl.read_parquet(tmp_path / "out" / "tables" / "changes.parquet")["cases"].to_list() == [0]


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize(
    ("asked", "code", "exit_code"),
    [
        ('kind = "target"\nkey = "base_rate"\nmeasure = "fund"\nvalue = "99999999999"', "SO01", 1),
        ('kind = "corridor"\nlow = "-0.001"\nhigh = "0.001"\ntotal = "free"', "SO02", 1),
        ('kind = "corridor"\nlow = "-0.5"\nhigh = "0.5"\ntotal = "free"', "", 0),
    ],
)
def test_a_solve_that_misses_is_told_by_the_exit_code(
    city: City, tmp_path: Path, asked: str, code: str, exit_code: int, more: tuple[str, ...]
) -> None:
    body = "" if code == "SO01" else change("coefficient", "scale", "0.1" if code else "0.9")
    (tmp_path / "far.toml").write_text(HEAD.format(id="far") + body + f"[[solve]]\n{asked}\n", encoding="utf-8")
    result = simulate(city, tmp_path / "out", *more, reform=str(tmp_path / "far.toml"))
    assert result.exit_code == exit_code, result.output
    assert {name for name in pl.read_csv(tmp_path / "out" / "problems.csv")["code"] if name.startswith("SO")} == (
        {code} - {""} | ({"SO19"} if code == "SO02" else set())
    )


def test_the_command_quotes_names_keeps_folders_apart_and_the_proof_lists_every_file(
    city: City, tmp_path: Path
) -> None:
    (tmp_path / "我的 方案.toml").write_text(HEAD.format(id="spaced") + BODY, encoding="utf-8")
    other = tmp_path / "other" / city.months[0].name
    other.parent.mkdir()
    lines = city.months[1].read_bytes()
    other.write_bytes(lines)
    result = run("simulate", city.months[0], other, "--policy", RATE, "--reform", tmp_path / "我的 方案.toml",
                 "--hospitals", city.register, "--year-file", city.year_file, "-o", tmp_path / "out")  # fmt: skip
    assert (tmp_path / "out").is_dir(), result.output
    proof = orjson.loads((tmp_path / "out" / "proof.json").read_bytes())
    words = shlex.split(proof["recompute"])
    name, folder = other.name, city.months[0].parent.name
    assert words[2:4] == sorted([f"{folder}/{name}", f"other/{name}"])
    assert words[words.index("--reform") + 1] == "我的 方案.toml"
    listed = {item["name"]: item["sha256"] for item in proof["files"]}
    assert listed[f"other/{name}"] == hashlib.sha256(lines).hexdigest()
    assert {"我的 方案.toml", city.register.name, city.year_file.name, city.decisions.name} < set(listed)
    assert f"{city.decisions.name}（特例单议评议结果，{city.year_file.name} 所指）" in proof["beside"]
    assert proof["beside"] in (tmp_path / "out" / "simulation.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("content", "said"), [("", "IN02"), ("a,b,c\n1,2,3\n", "IN10")])
def test_files_without_a_case_are_told_by_what_the_reader_found(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "cases.csv").write_text(content, encoding="utf-8")
    result = run("simulate", tmp_path / "cases.csv", "--policy", RATE, "--reform", "synthetic-identity",
                 "-o", tmp_path / "out")  # fmt: skip
    assert result.exit_code == 3
    assert said in result.stderr
    assert "SI02" not in result.stderr


def test_growth_and_sweeps_are_told_on_the_console(city: City, tmp_path: Path) -> None:
    body = '[[sweep]]\nkey = "base_rate"\nstart = "0.9"\nstop = "1.1"\nsteps = 3\n'
    growth = '[[growth]]\nkind = "volume"\nfactor = "1.25"\n'
    (tmp_path / "s.toml").write_text(HEAD.format(id="s") + body, encoding="utf-8")
    (tmp_path / "g.toml").write_text(HEAD.format(id="g") + growth, encoding="utf-8")
    swept = simulate(city, tmp_path / "swept", reform=str(tmp_path / "s.toml"))
    assert "逐值试算" in swept.stderr
    assert "RF50" not in swept.stderr
    grew = simulate(city, tmp_path / "grew", "--year-file", city.year_file, reform=str(tmp_path / "g.toml"))
    line = next(line for line in grew.stderr.splitlines() if line.startswith("2027 年"))
    assert line.split()[2] == "360"  # 288 x 1.25
