"""What `drgdip pack` says about DIP packs: verdict, groups, codes, differences; exit codes."""

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from api.cli.pack import app
from reference_tables.dip_diff import Change, DipDiff, diff_dip_packs
from reference_tables.dip_pack import DipPack
from reference_tables.dip_show import CoreView, DiagnosisView, MixedView, ProcedureView, show_dip_code
from reference_tables.packs import read_pack
from tests.unit.small_dip_pack import FILES, Changes, edited, write_small_dip


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def pack(tmp_path: Path) -> DipPack:
    found = read_pack(write_small_dip(tmp_path / "klein"))
    assert isinstance(found, DipPack)
    return found


def words(view: CoreView) -> list[tuple[str, str]]:
    return [(condition.label, condition.text) for condition in view.conditions]


def test_a_core_group_in_words(pack: DipPack) -> None:
    (view,) = show_dip_code(pack, "bx-4")
    assert isinstance(view, CoreView)
    assert (view.code, view.layer, view.precedence, view.number, view.place, view.rows) == (
        "BX-4",
        "BX",
        "specific",
        4,
        2,
        5,
    )
    assert words(view) == [
        ("主要诊断", "O34"),
        ("手术操作", "主要手术操作为其一：74.1x01"),
        ("相关手术操作之一", "54.5904"),
    ]
    (newborn,) = show_dip_code(pack, "XQ-2")
    assert isinstance(newborn, CoreView)
    assert words(newborn) == [
        ("主要诊断", "任意"), ("任一诊断", "P07"), ("日龄", "0 至 28 天"),
        ("出生体重", "1000 至 1499 克"), ("手术操作", "不限"),
    ]  # fmt: skip
    (resistant, plain) = (show_dip_code(pack, code)[0] for code in ("BX-6", "BX-7"))
    assert isinstance(resistant, CoreView)
    assert isinstance(plain, CoreView)
    assert words(resistant)[1:] == [("条件", "耐药成立"), ("手术操作", "无（保守治疗）")]
    assert words(plain)[1] == ("条件", "耐药不成立")


def test_score_and_statistics_of_a_group(pack: DipPack) -> None:
    (view,) = show_dip_code(pack, "BX-3")
    assert isinstance(view, CoreView)
    assert view.score is not None
    assert (view.score.score, view.score.cases, view.score.cv, view.score.mean_cost_fen) == (
        "512.3456", "100", "0.31", "512346",
    )  # fmt: skip
    (mixed,) = show_dip_code(pack, "Z1-1")
    assert isinstance(mixed, MixedView)
    assert (mixed.level, mixed.scope, mixed.nature_name) == ("章", "A00-B99", "保守治疗")


def diagnosis(pack: DipPack, code: str) -> DiagnosisView:
    (view,) = (view for view in show_dip_code(pack, code) if isinstance(view, DiagnosisView))
    return view


def test_a_diagnosis_and_the_groups_it_opens(pack: DipPack) -> None:
    view = diagnosis(pack, "k35.300")
    assert (view.code, view.known, view.excluded, view.under) == ("K35.300", True, False, 0)
    assert [(group.code, group.role) for group in view.groups] == [("BX-3", "主要诊断")]
    assert [group.code for group in view.mixed] == ["K35-1", "K35-4"]
    tuberculosis = diagnosis(pack, "A15.000x010")
    assert [group.code for group in tuberculosis.groups] == ["BX-6", "BX-7"]
    assert tuberculosis.flags == ("耐药",)
    assert [group.code for group in tuberculosis.mixed] == ["Z1-1"]
    assert [(group.code, group.role) for group in diagnosis(pack, "P07.000").groups] == [("XQ-2", "任一诊断")]
    excluded = diagnosis(pack, "I10.X00")
    assert (excluded.excluded, excluded.gray, excluded.groups) == (True, True, ())
    assert diagnosis(pack, "A09.000").primary_care
    unknown = diagnosis(pack, "A99.999x999")
    assert (unknown.known, [group.code for group in unknown.mixed]) == (False, ["Z1-1"])


def test_a_beginning_of_diagnoses_is_one_too(pack: DipPack) -> None:
    view = diagnosis(pack, "A15-A16")
    assert [group.code for group in view.groups] == ["BX-6", "BX-7"]
    assert view.under > 50
    assert diagnosis(pack, "A15.0").flags == ("耐药",)


def procedure(pack: DipPack, code: str) -> ProcedureView:
    (view,) = (view for view in show_dip_code(pack, code) if isinstance(view, ProcedureView))
    return view


def test_a_procedure_its_nature_its_rule_and_its_groups(pack: DipPack) -> None:
    operation = procedure(pack, "47.0100")
    assert (operation.category, operation.nature, operation.nature_name) == ("手术", 4, "相关手术")
    assert [(group.code, group.role) for group in operation.groups] == [("BX-3", "主要手术操作")]
    assert [(group.code, group.role) for group in procedure(pack, "54.5904").groups] == [("BX-4", "相关手术操作")]
    respirator = procedure(pack, "96.7201")
    assert (respirator.nature, respirator.nature_from) == (3, "nature.csv")
    endoscopy = procedure(pack, "45.1300")
    assert endoscopy.with_principal == ("K20-K93",)
    assert procedure(pack, "00.0100").rule == "按保守治疗入组"


def test_what_nobody_knows_has_no_view(pack: DipPack) -> None:
    assert [show_dip_code(pack, code) for code in ("ZZ-9", "", "*", "99.9999")] == [[], [], [], []]


def test_show_as_text_and_as_json(tmp_path: Path) -> None:
    folder = write_small_dip(tmp_path / "p")
    text = run("show", "BX-3", "--pack", folder).stdout
    assert "核心病种 BX-3 阑尾切除" in text
    assert "512.3456" in text
    assert "例数 100，占比 0.5，变异系数 0.31" in text
    assert "综合病种 K35-1" in run("show", "K35-1", "--pack", folder).stdout
    shown = run("show", "I10.x00", "--pack", folder)
    assert "不纳入分组的主要诊断" in shown.stdout
    assert "仅在主要诊断为下列之一" in run("show", "45.1300", "--pack", folder).stdout
    answer = orjson.loads(run("show", "47.0100", "--pack", folder, "--json").stdout)
    assert [(item["kind"], item["nature"]) for item in answer] == [("procedure", 4)]
    missing = run("show", "ZZ-9", "--pack", folder)
    assert missing.exit_code == 1
    assert "没有“ZZ-9”" in missing.stderr


def test_verify_counts_what_the_pack_holds(tmp_path: Path) -> None:
    result = run("verify", write_small_dip(tmp_path / "p"))
    assert result.exit_code == 1
    assert "7 个（XQ 2、BX 5）" in result.stdout
    assert "11 个组" in result.stdout
    refused = run("verify", write_small_dip(tmp_path / "q", edited("core.csv", ("0-28", "28"))), "--json")
    answer = orjson.loads(refused.stdout)
    assert (refused.exit_code, answer["usable"]) == (3, False)
    assert [(item["code"], item["row"]) for item in answer["problems"] if item["level"] == "error"] == [("DP02", 3)]


def compare(folder: Path, changes: Changes) -> DipDiff:
    old, new = read_pack(write_small_dip(folder / "old")), read_pack(write_small_dip(folder / "new", changes))
    assert isinstance(old, DipPack)
    assert isinstance(new, DipPack)
    return diff_dip_packs(old, new)


DIFFS = {
    "rewritten": (
        edited("core.csv", ("47.0100|47.0901", "47.0901|47.0100"), ("74.1x01,54.5904", "74.1X01,54.5904")),
        "conditions_reworded", [("core", "BX-3", "px"), ("core", "BX-4", "px")], (False, False),
    ),
    "a condition": (
        edited("core.csv", ("BX,3,K35", "BX,3,K35|K36")),
        "conditions_changed", [("core", "BX-3", "principal_dx")], (True, False),
    ),
    "any diagnosis is not none": (
        edited("core.csv", ("XQ,1,*", "XQ,1,A09")),
        "conditions_changed", [("core", "XQ-1", "principal_dx")], (True, False),
    ),
    "a name": (edited("core.csv", ("阑尾切除", "阑尾切除术")), "renamed", [("core", "BX-3", "name")], (False, False)),
    "another layer": (
        edited("core.csv", ("切除,BX", "切除,XQ")), "conditions_changed", [("core", "BX-3", "layer")], (True, False),
    ),
    "numbers in the same order": (
        edited("core.csv", ("BX,7,", "BX,70,")), "renumbered", [("core", "BX-7", "number")], (False, False),
    ),
    "another order": (
        edited("core.csv", ("BX,7,", "BX,1,")), "reordered", [("core", "BX", "number")], (True, False),
    ),
    "a score": (
        edited("score.csv", ("BX-4,700", "BX-4,701")), "scores_changed", [("score", "BX-4", "score")], (False, True),
    ),
    "a score gone": (
        {"score.csv": FILES["score.csv"].replace("Z2-1,150,,,,\n", "")}, "scores_changed", [("score", "Z2-1", "score")],
        (False, True),
    ),
    "a statistic": (
        edited("score.csv", ("0.31", "0.32")), "statistics_changed", [("score", "BX-3", "cv")], (False, False),
    ),
    "a setting": (
        {"meta.csv": "key,value\nconservative,skip\n"},
        "settings_changed", [("meta", "conservative", "value")], (True, False),
    ),
    "a layer": (edited("layer.csv", ("refuse", "number")), "rows_changed", [("layer", "BX", "ties")], (True, False)),
    "a rule": (
        edited("excluded_px.csv", ("conservative", "not_principal")), "rows_changed",
        [("excluded_px", "00.0100", "rule")], (True, False),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFS.values(), ids=DIFFS)
def test_each_difference_is_told_by_what_it_changes(
    tmp_path: Path, case: tuple[Changes, str, list[tuple[str, str, str]], tuple[bool, bool]]
) -> None:
    changes, kind, expected, effects = case
    diff = compare(tmp_path, changes)
    found = {name: value for name, value in vars(diff).items() if isinstance(value, list) and value}
    assert list(found) == [kind]
    assert [(item.table, item.key, item.column) for item in found[kind]] == expected
    assert (diff.changes_grouping, diff.changes_scores) == effects


def test_groups_and_rows_that_only_one_pack_has(tmp_path: Path) -> None:
    changes = edited("core.csv", ("BX-5", "BX-9")) | edited("score.csv", ("BX-5", "BX-9")) | {
        "excluded_dx.csv": "code,name\nI11.000,\n", "primary_care.csv": None,
    }  # fmt: skip
    diff = compare(tmp_path, changes)
    assert [group.code for group in diff.groups_added] == ["BX-9"]
    assert [group.code for group in diff.groups_removed] == ["BX-5"]
    assert "px=74.1x01" in diff.groups_added[0].text
    assert {(row.table, row.key) for row in diff.rows_added} == {("excluded_dx", "I11.000")}
    assert {(row.table, row.key) for row in diff.rows_removed} == {("excluded_dx", "I10.X00"), ("primary_care", "A09 ")}
    assert [change.old for change in diff.scores_changed] == ["600", "（无）"]
    assert diff.changes_grouping


def test_a_pack_does_not_differ_from_itself(tmp_path: Path) -> None:
    diff = compare(tmp_path, {"excluded_dx.csv": "code,name\ni10.X00,特发性高血压\n"})
    assert diff.empty
    assert Change("core", "A", "px", "1", "2") != Change("core", "A", "px", "2", "1")


def test_diff_on_the_command_line(tmp_path: Path) -> None:
    old = write_small_dip(tmp_path / "old")
    new = write_small_dip(tmp_path / "new", edited("score.csv", ("BX-4,700", "BX-4,701")))
    assert run("diff", old, old).exit_code == 0
    told = run("diff", old, new)
    assert told.exit_code == 1
    assert "BX-4：700 → 701" in told.stdout
    assert "差异只影响分值" in told.stdout
    answer = orjson.loads(run("diff", old, new, "--json").stdout)
    assert (answer["changes_grouping"], answer["changes_scores"]) == (False, True)
    assert answer["scores_changed"][0]["new"] == "701"


def test_packs_of_different_kinds_are_not_compared(tmp_path: Path) -> None:
    folder = write_small_dip(tmp_path / "p")
    for arguments in ((folder, "chs-drg-1.1"), ("chs-drg-1.1", folder)):
        result = run("diff", *arguments)
        assert result.exit_code == 2
        assert "DP19" in result.stderr
        assert "chs-drg-1.1 是 DRG 方案" in result.stderr
