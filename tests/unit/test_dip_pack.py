"""DIP packs: read from folders and written to them, order, settings, identity, warnings."""

import hashlib
from pathlib import Path

import pytest

from reference_tables.dip_pack import DipPack
from reference_tables.manifest import MANIFEST
from reference_tables.pack_writer import pack_files, write_pack
from reference_tables.packs import find_drg_pack, find_pack, read_pack
from reference_tables.problems import Level, TablesRefused
from tests.unit.small_dip_pack import FILES, Changes, edited, write_small_dip

HEAD = """id = "klein-dip"
scheme = "DIP"
version = "1"
name = "小目录"
region = "某市"
newborn_weight = "birth"
data_level = "local"
statement = "为测试而造"
"""
TAIL = '\n[[sources]]\ntitle = "自拟"\npublisher = "测试"\n'


def with_manifest(folder: Path, head: str = HEAD) -> Path:
    write_small_dip(folder)
    entries = ""
    for name in FILES:
        data = (folder / name).read_bytes()
        rows = data.count(b"\n") - 1
        entries += f'\n[files."{name}"]\nsha256 = "{hashlib.sha256(data).hexdigest()}"\nrows = {rows}\n'
    (folder / MANIFEST).write_text(head + entries + TAIL, encoding="utf-8")
    return folder


def dip(folder: Path) -> DipPack:
    pack = read_pack(folder)
    assert isinstance(pack, DipPack)
    return pack


def test_a_folder_with_core_groups_is_a_dip_pack(tmp_path: Path) -> None:
    pack = dip(write_small_dip(tmp_path / "klein"))
    assert (pack.id, pack.name, pack.data_level) == ("klein", "klein", "unverified")
    assert [problem.code for problem in pack.problems] == ["TB50"]
    assert [row.code for row in pack.rows] == ["XQ-1", "XQ-2", "BX-3", "BX-4", "BX-5", "BX-6", "BX-7"]
    assert [row.place for row in pack.rows] == list(range(7))
    assert pack.rows[3].related == (("54.5904",),)
    assert (pack.setting("unknown_nature"), pack.setting("conservative")) == ("1", "case")


def test_core_groups_stand_by_layer_number_and_line(tmp_path: Path) -> None:
    head, *lines = FILES["core.csv"].splitlines()
    shuffled = "\n".join([head, *reversed(lines)]) + "\n"
    layers = "code,name,order,precedence,ties\nBX,并项,2,specific,refuse\nXQ,先期分组,1,number,number\n"
    pack = dip(write_small_dip(tmp_path / "p", {"core.csv": shuffled, "layer.csv": layers}))
    plain = dip(write_small_dip(tmp_path / "q"))
    assert [row.code for row in pack.rows] == [row.code for row in plain.rows]
    assert [row.line for row in pack.rows] == [8, 7, 6, 5, 4, 3, 2]
    assert list(pack.layers) == ["XQ", "BX"]
    assert pack.sha256 == plain.sha256
    assert pack_files(pack) == pack_files(plain)


def test_numbers_are_numbers_not_texts(tmp_path: Path) -> None:
    pack = dip(write_small_dip(tmp_path / "p", edited("core.csv", ("BX,7,A15", "BX,10,A15"), ("BX,6,A15", "BX,9,A15"))))
    assert [row.number for row in pack.rows] == [1, 2, 3, 4, 5, 9, 10]


@pytest.mark.parametrize(
    "changes",
    [
        edited("core.csv", ("47.0100|47.0901", "47.0100")),
        edited("core.csv", ("阑尾切除", "阑尾切除术")),
        edited("score.csv", ("512.3456", "512.3457")),
        edited("meta.csv", ("unknown_nature,1", "unknown_nature,2")),
        edited("layer.csv", ("specific", "number")),
        edited("excluded_dx.csv", ("I10.x00", "I10.x01")),
    ],
)  # fmt: skip
def test_the_checksum_follows_the_content(tmp_path: Path, changes: Changes) -> None:
    plain = dip(write_small_dip(tmp_path / "p"))
    assert dip(write_small_dip(tmp_path / "q", changes)).sha256 != plain.sha256


def test_written_and_read_again_it_is_the_same_pack_byte_by_byte(tmp_path: Path) -> None:
    pack = dip(with_manifest(tmp_path / "klein"))
    write_pack(pack, tmp_path / "a")
    again = dip(tmp_path / "a")
    write_pack(again, tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted([*FILES, MANIFEST])
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert (again.sha256, again.id, again.data_level) == (pack.sha256, "klein-dip", "local")
    assert again.problems == ()
    with pytest.raises(FileExistsError):
        write_pack(pack, tmp_path / "a")


def test_absent_tables_are_empty_and_are_not_written(tmp_path: Path) -> None:
    optional = ("mixed", "excluded_dx", "excluded_px", "primary_care", "nature", "score", "meta")
    pack = dip(write_small_dip(tmp_path / "p", {f"{name}.csv": None for name in optional}))
    assert all(pack.table(name).height == 0 for name in optional)
    assert sorted(pack_files(pack)) == ["core.csv", "flag.csv", "layer.csv"]


def test_a_manifest_decides_the_kind_of_pack(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "drg", HEAD.replace("DIP", "CHS-DRG"))
    with pytest.raises(TablesRefused) as caught:
        read_pack(folder)
    assert {"mdc.csv", "adrg.csv", "drg.csv"} <= {item.file for item in caught.value.problems if item.code == "TB02"}


def test_files_that_differ_from_the_manifest_are_refused(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    with (folder / "excluded_dx.csv").open("a", encoding="utf-8") as file:
        file.write("I11.000,高血压性心脏病\n")
    with pytest.raises(TablesRefused) as caught:
        read_pack(folder)
    errors = [problem for problem in caught.value.problems if problem.level is Level.ERROR]
    assert [(problem.code, problem.file) for problem in errors] == [
        ("TB17", "excluded_dx.csv"),
        ("TB18", "excluded_dx.csv"),
    ]


def test_where_a_drg_pack_is_needed_a_dip_pack_is_refused_by_name(tmp_path: Path) -> None:
    folder = write_small_dip(tmp_path / "p")
    assert isinstance(find_pack(folder), DipPack)
    with pytest.raises(TablesRefused) as caught:
        find_drg_pack(folder)
    assert [problem.code for problem in caught.value.problems] == ["DP01"]
    assert find_drg_pack("chs-drg-1.1").id == "chs-drg-1.1"


WARNINGS = {
    "code of no book": ("DP40", "core.csv", 4, "47.9999（第 4 行）", edited("core.csv", ("47.0901", "47.9999"))),
    "category of no book": ("DP40", "core.csv", 4, "K34", edited("core.csv", ("BX,3,K35", "BX,3,K35|K34"))),
    "flag of no book": ("DP40", "flag.csv", 3, "U84.399", edited("flag.csv", ("U84.300", "U84.399"))),
    "scope of no book": ("DP40", "mixed.csv", 2, "K34", edited("mixed.csv", ("K35,1", "K34,1"))),
    "excluded twice": ("TB51", "excluded_dx.csv", 3, "第 2 行", {
        "excluded_dx.csv": FILES["excluded_dx.csv"] + "I10.X00,高血压\n",
    }),
    "excluded twice with other rules": ("DP41", "excluded_px.csv", 4, "第 2 行", {
        "excluded_px.csv": FILES["excluded_px.csv"] + "00.0100,超声,not_principal,\n",
    }),
    "nature twice": ("TB51", "nature.csv", 3, "第 2 行", {"nature.csv": FILES["nature.csv"] + "96.7201,3\n"}),
    "unknown setting": ("TB14", "meta.csv", 3, "colour", {"meta.csv": FILES["meta.csv"] + "colour,red\n"}),
    "same number in a layer": ("TB57", "core.csv", 6, "BX-4", edited("core.csv", ("BX,5,O34", "BX,4,O34"))),
    "layer without groups": ("TB56", "layer.csv", 4, "JC", {
        "layer.csv": FILES["layer.csv"] + "JC,基础,3,number,number\n",
    }),
    "flag unused": ("DP44", "flag.csv", 4, "重症", {"flag.csv": FILES["flag.csv"] + "重症,other,R57\n"}),
    "group without score": ("DP45", "score.csv", 0, "Z2-1", edited("score.csv", ("Z2-1,150,,,,\n", ""))),
    "stray file": ("TB61", "extra.csv", 0, "extra.csv", {"extra.csv": "a,b\n"}),
    "principal diagnoses all excluded": ("TB55", "core.csv", 4, "主要诊断", edited("core.csv", ("K35,", "I10.x00,"))),
    "procedures never principal": ("TB55", "core.csv", 4, "手术操作", edited(
        "core.csv", ("47.0100|47.0901", "00.0100")
    )),
    "taken by an earlier layer": ("TB55", "core.csv", 4, "XQ-1（core.csv 第 2 行）", edited(
        "core.csv", ("47.0100|47.0901", "47.0100+96.7201")
    )),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNINGS.values(), ids=WARNINGS)
def test_what_is_doubtful_is_a_warning_with_its_place(tmp_path: Path, case: tuple[str, str, int, str, Changes]) -> None:
    code, file, row, shown, changes = case
    found = [problem for problem in dip(write_small_dip(tmp_path / "p", changes)).problems if problem.code != "TB50"]
    assert [(problem.code, problem.file, problem.row) for problem in found] == [(code, file, row)]
    assert shown in found[0].message
    assert found[0].level is Level.WARN
    assert found[0].fix


def test_of_a_repeated_excluded_code_the_first_row_counts(tmp_path: Path) -> None:
    text = FILES["excluded_px.csv"] + "00.0100,超声,not_principal,\n"
    table = dip(write_small_dip(tmp_path / "p", {"excluded_px.csv": text})).table("excluded_px")
    assert table.select("code", "rule").rows() == [("00.0100", "conservative"), ("45.1300", "with_principal")]


def test_many_unknown_codes_are_one_warning(tmp_path: Path) -> None:
    text = "code,name\n" + "".join(f"A00.9{number:02d}x999,\n" for number in range(60))
    pack = dip(write_small_dip(tmp_path / "p", {"excluded_dx.csv": text}))
    (found,) = [problem for problem in pack.problems if problem.code == "DP40"]
    assert (found.file, found.row, found.args["count"]) == ("excluded_dx.csv", 2, 60)
