"""Mixed groups beside the DIP workbook: derived from the code book or read from a companion file; the command."""

from pathlib import Path

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from api.cli.pack import app
from reference_tables.dip_pack import DipPack
from reference_tables.importers.dip_mixed import derived_mixed, shared_beginning
from reference_tables.importers.dip_workbook import read_dip_workbook
from reference_tables.packs import read_pack
from reference_tables.problems import Level, TablesRefused
from tests.unit.official_dip_workbook import write
from tests.unit.official_workbook import Sheet, save
from tests.unit.official_workbook import sheets as drg_sheets
from tests.unit.small_pack import write_small

DICTIONARY = [
    ("综合病种字典表",),
    ("序号", "综合病种\n编码", "综合病种名称"),
    (1, "A09-1", "胃肠炎（内科）"),
    (2, "Ａ０９－４", "胃肠炎（手术）"),
    (3, "A17+-1", "神经系统结核（内科）"),
    (4, "M47-1", "脊椎病"),
    (5, "M47+-1", "脊椎病（剑号）"),
    (6, "G01*-1", "细菌性疾病引起的脑膜炎"),
]
AS_READ = [
    ("A09-1", "胃肠炎（内科）", "category", "A09", "1"),
    ("A09-4", "胃肠炎（手术）", "category", "A09", "4"),
    ("A17+-1", "神经系统结核（内科）", "category", "A17", "1"),
    ("M47-1", "脊椎病", "category", "M47", "1"),
    ("M47+-1", "脊椎病（剑号）", "category", "M47+", "1"),
    ("G01*-1", "细菌性疾病引起的脑膜炎", "category", "G01", "1"),
]


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    return write(tmp_path / "w.xlsx")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def text_of(rows: list[tuple[str | int, ...]]) -> str:
    return "".join(",".join(f'"{cell}"' for cell in (*row, "", "")[:3]) + "\n" for row in rows)


def test_every_category_of_the_code_book_has_four_derived_groups(workbook: Path) -> None:
    pack = read_dip_workbook(workbook)
    mixed = pack.table("mixed")
    assert mixed["code"].is_unique().all()
    assert mixed.group_by("scope").len()["len"].unique().to_list() == [4]
    codes = pl.read_csv("reference_tables/codes/diagnosis.csv", infer_schema=False)["code"]
    plain = {code[:3] for code in codes if "+" not in code}
    dagger = {code[:3] for code in codes if "+" in code}
    assert set(mixed["scope"]) == plain | {f"{category}+" for category in dagger}
    named = {row["code"]: row for row in mixed.iter_rows(named=True)}
    assert named["A17+-2"] == {
        "code": "A17+-2", "name": "A17+（诊断性操作组，名称由编码表推出）", "level": "category", "scope": "A17+",
        "nature": "2",
    }  # fmt: skip
    assert named["I10-1"]["name"] == "I10（内科诊疗组，名称由编码表推出）"
    assert {"A09-1", "I25-4", "Z51-3", "T30-1"} <= set(named)
    assert pack.manifest is not None
    assert any("综合病种字典（2,048 个类目，各四组）" in question for question in pack.manifest.open_questions)


@pytest.mark.parametrize("form", ["xlsx", "csv", "csv in GB18030"])
def test_a_companion_dictionary_replaces_the_derived_one(tmp_path: Path, workbook: Path, form: str) -> None:
    path = tmp_path / f"字典.{form[:4].strip()}"
    if form == "xlsx":
        save(path, [Sheet("说明", [("综合病种",)]), Sheet("字典", list(DICTIONARY))])
    else:
        path.write_text(text_of(DICTIONARY), encoding="gb18030" if "GB" in form else "utf-8-sig")
    pack = read_dip_workbook(workbook, path)
    assert pack.table("mixed").rows() == AS_READ
    assert pack.manifest is not None
    assert not any("2,048" in question for question in pack.manifest.open_questions)
    assert path.name in pack.manifest.sources[-1].carrier
    assert str(tmp_path) not in str(pack.manifest)
    assert pack.sha256 != read_dip_workbook(workbook).sha256


def test_a_broken_dictionary_is_refused_with_every_row(tmp_path: Path, workbook: Path) -> None:
    rows = [*DICTIONARY, (7, "A09-5", "性质不对"), (8, "腹泻", "没有编码"), (9, "a09-1", "小写"), (10, "A09-1", "重复")]
    path = save(tmp_path / "m.xlsx", [Sheet("字典", rows)])
    with pytest.raises(TablesRefused) as caught:
        read_dip_workbook(workbook, path)
    errors = [problem for problem in caught.value.problems if problem.level is Level.ERROR]
    assert [(problem.code, problem.file, problem.row, problem.value) for problem in errors] == [
        ("DW13", "m.xlsx", 9, "A09-5"), ("DW13", "m.xlsx", 10, "腹泻"), ("DW13", "m.xlsx", 11, "a09-1"),
        ("DW14", "m.xlsx", 12, "A09-1"),
    ]  # fmt: skip
    assert "首次出现在第 3 行" in errors[-1].message


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("m.csv", b"code,label\nA09-1,x\n", "没有找到这两个表头"),
        ("m.csv", "综合病种编码,综合病种名称\n".encode(), "没有数据行"),
        ("m.csv", b"", "文件是空的"),
        ("m.csv", b"\xff\xfe\x00\xd8", "gb18030"),
        ("m.xlsx", b"no workbook", ""),
    ],
)
def test_a_file_that_is_no_dictionary(tmp_path: Path, workbook: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TablesRefused) as caught:
        read_dip_workbook(workbook, tmp_path / name)
    (problem,) = caught.value.problems
    assert problem.code == ("TB80" if name == "m.xlsx" else "DW12")
    assert says in problem.message


def test_import_writes_a_folder_that_loads_without_a_change(tmp_path: Path, workbook: Path) -> None:
    result = run("import", workbook, tmp_path / "out", "--json")
    assert result.exit_code == 0
    answer = orjson.loads(result.stdout)
    assert answer["manifest"]["scheme"] == "DIP"
    assert answer["manifest"]["workbook"]["file"] == "w.xlsx"
    assert "TB86" in {item["code"] for item in answer["problems"]}
    assert run("import", workbook, tmp_path / "again").exit_code == 0
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name
    pack = read_pack(tmp_path / "out")
    assert isinstance(pack, DipPack)
    assert pack.sha256 == answer["sha256"]
    assert run("import", workbook, tmp_path / "out").exit_code == 2


def test_import_with_a_dictionary(tmp_path: Path, workbook: Path) -> None:
    path = save(tmp_path / "m.xlsx", [Sheet("字典", list(DICTIONARY))])
    assert run("import", workbook, tmp_path / "out", "--mixed", path).exit_code == 0
    assert read_pack(tmp_path / "out").table("mixed").rows() == AS_READ
    assert run("import", workbook, tmp_path / "two", "--mixed", tmp_path / "none.csv").exit_code == 2
    drg = save(tmp_path / "drg.xlsx", drg_sheets(read_pack(write_small(tmp_path / "small"))).values())
    assert run("import", drg, tmp_path / "three", "--mixed", path).exit_code == 2
    assert not (tmp_path / "three").exists()


def test_verify_takes_the_workbook(tmp_path: Path, workbook: Path) -> None:
    result = run("verify", workbook)
    assert result.exit_code == 1
    assert "TB86" in result.stderr
    broken = write(tmp_path / "b.xlsx", [Sheet("一、先期分组", [("分类", "序号")])])
    refused = run("verify", broken)
    assert refused.exit_code == 3
    assert "TB82" in refused.stderr


def test_derived_names_say_only_what_all_codes_of_the_category_share() -> None:
    assert shared_beginning(["累及体表10%以下的烧伤", "累及体表90%及以上的烧伤"]) == "累及体表"
    assert shared_beginning(["极低出生体重", "超低出生体重"]) == ""
    assert shared_beginning(["特发性(原发性)高血压", "特发性(原发)肺炎"]) == "特发性"
    assert shared_beginning(["腹痛(急性)"]) == "腹痛(急性)"
    assert shared_beginning(["急性阑尾炎伴穿孔", "急性阑尾炎伴脓肿"]) == "急性阑尾炎"
    names = dict(derived_mixed().select("code", "name").iter_rows())
    assert names["T31-4"] == "T31 累及体表（相关手术组，名称由编码表推出）"
    assert names["P07-1"] == "P07（内科诊疗组，名称由编码表推出）"
