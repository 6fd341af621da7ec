"""Packs that load: order, folding, duplicates, warnings, and the built-in CHS-DRG 1.1."""

from pathlib import Path

import polars as pl
import pytest

from reference_tables.drg_pack import DrgPack
from reference_tables.packs import built_in_packs, find_pack, read_pack
from reference_tables.problems import Level
from tests.unit.small_pack import FILES, edited, write_small


def warnings(pack: DrgPack) -> set[tuple[str, str, int]]:
    assert all(problem.level is Level.WARN for problem in pack.problems)
    return {(problem.code, problem.file, problem.row) for problem in pack.problems}


def test_small_pack_loads_with_types_and_lines(tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "klein"))
    assert (pack.id, pack.version, pack.manifest, pack.newborn_weight) == ("klein", "", None, "birth")
    assert pack.data_level == "unverified"
    assert warnings(pack) == {("TB50", "manifest.toml", 0)}
    assert dict(pack.adrg.schema) == {
        "code": pl.String, "name": pl.String, "mdc": pl.String, "rule": pl.String,
        "order": pl.Int32, "line": pl.UInt32,
    }  # fmt: skip
    assert pack.adrg.filter(pl.col("code") == "B00").row(0) == ("B00", "未入组", "MDCB", "1", 3, 5)
    assert pack.cc.rows() == [("A41.900", "MCC", "EX_1"), ("I10.x00", "CC", "")]
    assert pack.not_principal == frozenset()


def test_rows_that_catch_the_rest_stand_last_whatever_their_order(tmp_path: Path) -> None:
    changes = edited("adrg.csv", "B00,未入组,MDCB,1,3", "B00,未入组,MDCB,1,1")
    changes |= edited("mdc.csv", "MDCP,新生儿,NL = 0 and XSRTL < 29,3", "0000,其余,,0\nMDCP,新生儿,NL = 0,-5")
    changes["adrg.csv"] = str(changes["adrg.csv"]) + "000,其余,0000,,1\n"
    changes["drg.csv"] = FILES["drg.csv"].replace("BR19", "BR1X").replace("B000,", "0000,其余,000,,1\nB000,")
    pack = read_pack(write_small(tmp_path / "p", changes))
    assert pack.mdc["code"].to_list() == ["MDCP", "MDCA", "MDCB", "0000"]
    assert pack.adrg["code"].to_list() == ["PS1", "AA1", "BB1", "BR1", "B00", "000"]
    assert pack.drg["code"].to_list() == ["PS19", "AA19", "BB11", "BB13", "BB15", "BR1X", "B000", "0000"]


def test_equal_orders_keep_file_order(tmp_path: Path) -> None:
    changes = edited("drg.csv", '"QTZD in {MCC, CC}",2', '"QTZD in {MCC, CC}",1')
    pack = read_pack(write_small(tmp_path / "p", changes))
    assert pack.drg["code"].to_list()[1:4] == ["BB11", "BB13", "BB15"]
    assert ("TB57", "drg.csv", 4) in warnings(pack)


WARNED = {
    "duplicate member": ({("TB51", "sets.csv", 9)}, {"sets.csv": FILES["sets.csv"] + "OP_BB1,01.2400X005\n"}),
    "duplicate complication": ({("TB51", "cc.csv", 4)}, {"cc.csv": FILES["cc.csv"] + "I10.x00,CC,\n"}),
    "duplicate exclusion": (
        {("TB51", "exclusion.csv", 3)}, {"exclusion.csv": FILES["exclusion.csv"] + "EX_1,A41.900\n"},
    ),
    "unknown diagnosis": ({("TB52", "sets.csv", 7)}, edited("sets.csv", "DI_BR1,I61.000", "DI_BR1,i61.000")),
    "procedure in a diagnosis set": ({("TB52", "sets.csv", 7)}, edited("sets.csv", "DI_BR1,I61.000", "DI_BR1,33.6x00")),
    "unknown complication": ({("TB52", "cc.csv", 2)}, edited("cc.csv", "A41.900", "A41.9")),
    "unused set": ({("TB53", "sets.csv", 9)}, {"sets.csv": FILES["sets.csv"] + "DI_ZZZ,I61.000\n"}),
    "unused exclusion table": (
        {("TB53", "exclusion.csv", 3)}, {"exclusion.csv": FILES["exclusion.csv"] + "EX_9,A41.900\n"},
    ),
    "set without members": ({("TB54", "sets.csv", 7)}, edited("sets.csv", "DI_BR1,I61.000", "DI_BR1,")),
    "after a sibling that keeps all": (
        {("TB55", "drg.csv", 9), ("TB55", "drg.csv", 10)},
        {"drg.csv": FILES["drg.csv"] + "PS11,重复,PS1,QTZD in MCC,2\nPS15,又一,PS1,,3\n"},
    ),
    "same rule as an earlier sibling": (
        {("TB55", "adrg.csv", 4)}, edited("adrg.csv", "ZYZD in DI_BR1", "(ZYSS  in OP_BB1)")
        | edited("sets.csv", "DI_BR1,I61.000\n", ""),
    ),
    "never true": ({("TB55", "drg.csv", 3)}, edited("drg.csv", "QTZD in MCC,1", "0,1")),
    "ADRG without DRG": ({("TB56", "adrg.csv", 4)}, edited("drg.csv", "BR19,脑出血,BR1,1,1\n", "")),
    "MDC without ADRG": (
        {("TB56", "mdc.csv", 5)}, {"mdc.csv": FILES["mdc.csv"] + "MDCX,其他,NL > 150,9\n"},
    ),
    "weight not stated": ({("TB58", "", 0)}, {"meta.csv": None}),
    "column ignored": ({("TB59", "cc.csv", 1)}, {
        "cc.csv": "code,level,exclusion,name\nA41.900,MCC,EX_1,脓毒症\nI10.x00,CC,,高血压\n",
    }),
    "file ignored": ({("TB61", "metas.csv", 0)}, {"metas.csv": "key,value\n"}),
    "unknown meta key": ({("TB14", "meta.csv", 3)}, {"meta.csv": "key,value\nnewborn_weight,birth\nregion,某市\n"}),
    "blank meta value": (set(), {"meta.csv": "key,value\nnewborn_weight,birth\nretry,\n"}),
    "outer blanks": ({("TB60", "cc.csv", 3)}, edited("cc.csv", "I10.x00", " I10.x00")),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNED.values(), ids=WARNED)
def test_warning_does_not_refuse(tmp_path: Path, case: tuple[set[tuple[str, str, int]], dict[str, str | None]]) -> None:
    expected, changes = case
    pack = read_pack(write_small(tmp_path / "p", changes))
    assert warnings(pack) == expected | {("TB50", "manifest.toml", 0)}


def test_an_mdc_that_always_opens_but_may_pass_a_case_on_hides_nothing(tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "p"))
    assert pack.mdc["rule"][0] == "1"
    assert not [problem for problem in pack.problems if problem.code == "TB55"]
    keeps = FILES["adrg.csv"].replace("ZYSS in OP_AA1", "1")
    sets = FILES["sets.csv"].replace("OP_AA1,33.6x00\n", "")
    kept = read_pack(write_small(tmp_path / "q", {"adrg.csv": keeps, "sets.csv": sets}))
    assert {("TB55", "mdc.csv", 3), ("TB55", "mdc.csv", 4)} <= warnings(kept)


def test_empty_cells_declare_a_set_but_are_no_member(tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "p", edited("sets.csv", "DI_BR1,I61.000", "DI_BR1,")))
    assert "" not in pack.sets["code"].to_list()
    assert "DI_BR1" not in pack.sets["set"].to_list()


def test_exact_duplicates_are_dropped_other_spellings_kept(tmp_path: Path) -> None:
    text = FILES["sets.csv"] + "OP_BB1,01.2403\nOP_BB1,01.2400X005\n"
    pack = read_pack(write_small(tmp_path / "p", {"sets.csv": text}))
    members = pack.sets.filter(pl.col("set") == "OP_BB1")["code"].to_list()
    assert members == ["01.2403", "01.2400x005", "01.2400X005"]


def test_sets_of_discharge_ways_and_departments_need_no_code_book(tmp_path: Path) -> None:
    changes = edited("drg.csv", "BB15,开颅,BB1,,3", "BB14,转院,BB1,LYFS in WAYS or KS in WARDS,3\nBB15,开颅,BB1,,4")
    changes["sets.csv"] = FILES["sets.csv"] + "WAYS,2\nWARDS,A03\n"
    assert warnings(read_pack(write_small(tmp_path / "p", changes))) == {("TB50", "manifest.toml", 0)}


def test_byte_order_mark_crlf_quotes_and_blank_lines_read_the_same(tmp_path: Path) -> None:
    plain = read_pack(write_small(tmp_path / "plain"))
    dressed = write_small(tmp_path / "dressed")
    for name, text in FILES.items():
        lines = [
            line if '"' in line else ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.splitlines()
        ]
        (dressed / name).write_bytes(b"\xef\xbb\xbf" + ("\r\n".join(lines) + "\r\n\r\n").encode())
    other = read_pack(dressed)
    assert other.sha256 == plain.sha256
    for name in ("mdc", "adrg", "drg", "sets", "cc", "exclusion"):
        assert getattr(other, name).equals(getattr(plain, name)), name


def test_checksum_follows_the_content_not_the_layout(tmp_path: Path) -> None:
    plain = read_pack(write_small(tmp_path / "plain"))
    lines = FILES["sets.csv"].splitlines()
    shuffled = "\n".join([lines[0], *reversed(lines[1:])]) + "\n"
    assert read_pack(write_small(tmp_path / "a", {"sets.csv": shuffled})).sha256 == plain.sha256
    changes = (
        edited("sets.csv", "DI_B00,I61.100", "DI_B00,I61.200"),
        edited("drg.csv", "AA19,心脏移植", "AA19,心脏移植术"),
        edited("meta.csv", "birth", "admission"),
        edited("cc.csv", "A41.900,MCC", "A41.900,CC"),
        {"not_principal.csv": "code\nI61.000\n"},
    )
    sums = [read_pack(write_small(tmp_path / f"c{at}", change)).sha256 for at, change in enumerate(changes)]
    assert len({plain.sha256, *sums}) == len(changes) + 1


def test_not_principal_is_read(tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "p", {"not_principal.csv": "code\nI61.000\nI61.100\n"}))
    assert pack.not_principal == {"I61.000", "I61.100"}


def test_built_in_pack_is_what_its_publisher_counted() -> None:
    assert list(built_in_packs()) == ["chs-drg-1.1"]
    pack = find_pack("chs-drg-1.1")
    assert pack.problems == ()
    assert (pack.version, pack.newborn_weight, pack.data_level) == ("1.1", "birth", "reference")
    codes = pack.adrg["code"]
    assert (pack.mdc.height, codes.len(), pack.drg.height) == (26, 421, 673)
    assert codes.str.ends_with("QY").sum() == 21
    assert codes.str.contains("^[A-Z]00$").sum() == 24
    assert (pack.sets.height, pack.sets["set"].n_unique()) == (98443, 446)
    assert dict(pack.cc["level"].value_counts().iter_rows()) == {"MCC": 4678, "CC": 16568}
    assert (pack.exclusion.height, pack.exclusion["exclusion"].n_unique()) == (28302, 223)
    assert "".join(code[-1] for code in pack.mdc["code"]) == "APYZMNBCDEFGHIJKLOQRSTUVWX"


def test_built_in_manifest_tells_level_amendments_and_open_questions() -> None:
    manifest = find_pack("chs-drg-1.1").manifest
    assert manifest is not None
    assert "参考级" in manifest.statement
    assert sorted(code for item in manifest.amendments for code in item.codes) == [
        "36.0700", "39.9500", "88.5500", "88.5600", "L04.002", "L04.003",
    ]  # fmt: skip
    assert len(manifest.open_questions) == 10
    assert all(source.title and source.publisher for source in manifest.sources)


def test_find_pack_prefers_a_folder_given_as_path(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "chs-drg-1.1")
    assert find_pack(folder).mdc.height == 3
    assert find_pack(str(folder)).mdc.height == 3
    assert find_pack("chs-drg-1.1").mdc.height == 26


def test_set_names_are_compared_half_width(tmp_path: Path) -> None:
    changes = {
        "sets.csv": FILES["sets.csv"].replace("DI_BR1", "脑出血／１＋Ⅱ"),
        "adrg.csv": FILES["adrg.csv"].replace("DI_BR1", "脑出血／１＋Ⅱ"),
    }
    pack = read_pack(write_small(tmp_path / "p", changes))
    assert pack.sets.filter(pl.col("code") == "I61.000")["set"].to_list() == ["DI_B00", "脑出血/1+II"]


def test_a_pack_whose_rules_need_no_code_may_have_no_set(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "mdc.csv": "code,name,rule,order\nMDCB,全部,1,1\n",
        "adrg.csv": "code,name,mdc,rule,order\nBR1,成人,MDCB,NL >= 18,1\n",
        "drg.csv": "code,name,adrg,rule,order\nBR19,成人,BR1,1,1\n",
        "sets.csv": "set,code\n",
        "cc.csv": "code,level,exclusion\n",
        "exclusion.csv": "exclusion,code\n",
    }
    pack = read_pack(write_small(tmp_path / "p", changes))
    assert (pack.drg.height, pack.sets.height, pack.cc.height) == (1, 0, 0)
    assert warnings(pack) == {("TB50", "manifest.toml", 0)}
