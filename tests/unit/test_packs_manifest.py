"""Manifests: tampering is found, faults are named, and a pack written twice has the same bytes."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from reference_tables.manifest import MANIFEST, read_manifest
from reference_tables.pack_writer import manifest_text, write_pack
from reference_tables.packs import built_in_packs, find_pack, read_pack
from reference_tables.problems import Level, TablesRefused
from tests.unit.small_pack import FILES, edited, write_small

HEAD = """id = "klein-1"
scheme = "CHS-DRG"
version = "1"
name = "小方案"
region = "某市"
effective_from = 2024-01-01
effective_until = 2025-01-01
newborn_weight = "birth"
data_level = "synthetic"
statement = "为测试而造"
"""
TAIL = """
[[sources]]
title = "自拟"
publisher = "测试"
"""


def digest_lines(folder: Path) -> str:
    """File entries worked out by the command line tools' own definition: sha256 of bytes, lines less one."""
    import hashlib

    parts = []
    for name in FILES:
        data = (folder / name).read_bytes()
        sum_ = hashlib.sha256(data).hexdigest()
        parts.append(f'[files."{name}"]\nsha256 = "{sum_}"\nrows = {data.count(10) - 1}\n')
    return "\n" + "\n".join(parts)


def with_manifest(folder: Path, changes: dict[str, str | None] | None = None) -> Path:
    write_small(folder, changes)
    (folder / MANIFEST).write_text(HEAD + digest_lines(folder) + TAIL, encoding="utf-8")
    return folder


def errors(folder: Path) -> set[tuple[str, str, int]]:
    with pytest.raises(TablesRefused) as caught:
        read_pack(folder)
    return {(item.code, item.file, item.row) for item in caught.value.problems if item.level is Level.ERROR}


def test_a_pack_with_its_manifest_loads_without_warning(tmp_path: Path) -> None:
    pack = read_pack(with_manifest(tmp_path / "folder-name"))
    assert pack.problems == ()
    assert (pack.id, pack.version, pack.name, pack.data_level) == ("klein-1", "1", "小方案", "synthetic")
    assert pack.manifest is not None
    assert str(pack.manifest.effective_until) == "2025-01-01"


def test_one_changed_byte_is_found(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    data = (folder / "sets.csv").read_bytes()
    (folder / "sets.csv").write_bytes(data.replace(b"I61.100", b"I61.200"))
    assert errors(folder) == {("TB17", "sets.csv", 0)}


def test_a_removed_row_is_found_by_checksum_and_count(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    data = (folder / "sets.csv").read_bytes()
    (folder / "sets.csv").write_bytes(data.replace(b"DI_B00,I61.100\n", b""))
    assert errors(folder) == {("TB17", "sets.csv", 0), ("TB18", "sets.csv", 0)}


def test_a_count_that_was_declared_wrong_is_found(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    (folder / MANIFEST).write_text(text.replace("rows = 2\n", "rows = 3\n"), encoding="utf-8")
    assert errors(folder) == {("TB18", "cc.csv", 0)}


def test_added_and_removed_files_are_found(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    (folder / "not_principal.csv").write_text("code\nI61.000\n", encoding="utf-8")
    (folder / "meta.csv").unlink()
    (folder / "cc.csv").unlink()
    assert errors(folder) == {
        ("TB19", "not_principal.csv", 0),
        ("TB02", "meta.csv", 0),
        ("TB02", "cc.csv", 0),
    }


def test_manifest_and_meta_must_agree_on_the_weight(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p", edited("meta.csv", "birth", "admission"))
    assert errors(folder) == {("TB24", "meta.csv", 0)}


def test_a_manifest_that_lists_a_file_of_no_table_is_refused(tmp_path: Path) -> None:
    folder = with_manifest(tmp_path / "p")
    with (folder / MANIFEST).open("a", encoding="utf-8") as stream:
        stream.write(f'\n[files."notes.txt"]\nsha256 = "{"0" * 64}"\nrows = 1\n')
    assert errors(folder) == {("TB16", MANIFEST, 0)}


FAULTS = {
    "not TOML": ("id = \n", 1, "格式"),
    "key missing": (HEAD.replace('region = "某市"\n', ""), 0, "region"),
    "key empty": (HEAD.replace("小方案", ""), 4, "name"),
    "unknown key": (HEAD + 'colour = "red"\n', 11, "colour"),
    "wrong type": (HEAD.replace('version = "1"', "version = 1"), 3, "version"),
    "date as text": (HEAD.replace("2024-01-01", '"2024-01-01"'), 6, "effective_from"),
    "ends before it starts": (HEAD.replace("2025-01-01", "2024-01-01"), 7, "effective_until"),
    "unknown weight": (HEAD.replace('"birth"', '"discharge"'), 8, "newborn_weight"),
    "unknown level": (HEAD.replace("synthetic", "unknown"), 9, "data_level"),
    "checksum malformed": (HEAD + '[files."mdc.csv"]\nsha256 = "ab"\nrows = 1\n', 12, "files.mdc.csv.sha256"),
    "list of numbers": (HEAD.replace("id =", "open_questions = [1]\nid ="), 1, "open_questions"),
    "amendment incomplete": (HEAD + '[[amendments]]\nwhat = "x"\nwhy = "y"\nsource = "z"\n', 0, "amendments[1].codes"),
}


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
def test_fault_of_a_manifest_is_named_with_key_and_line(tmp_path: Path, case: tuple[str, int, str]) -> None:
    head, row, key = case
    folder = write_small(tmp_path / "p")
    body = head if "[files" in head or head == "id = \n" else head.rstrip() + "\n[files]\n"
    (folder / MANIFEST).write_text(body + TAIL, encoding="utf-8")
    manifest, problems = read_manifest(folder)
    assert manifest is None
    assert [(item.code, item.row, item.args["key"]) for item in problems] == [("TB16", row, key)]
    assert ("TB16", MANIFEST, row) in errors(folder)


def test_built_in_folder_rewrites_byte_for_byte(tmp_path: Path) -> None:
    source = built_in_packs()["chs-drg-1.1"]
    write_pack(find_pack("chs-drg-1.1"), tmp_path / "again")
    assert sorted(item.name for item in (tmp_path / "again").iterdir()) == sorted(
        item.name for item in source.iterdir()
    )
    for item in source.iterdir():
        assert (tmp_path / "again" / item.name).read_bytes() == item.read_bytes(), item.name


def test_written_small_pack_loads_as_the_same_pack(tmp_path: Path) -> None:
    pack = read_pack(with_manifest(tmp_path / "p", {"not_principal.csv": None}))
    write_pack(pack, tmp_path / "q")
    again = read_pack(tmp_path / "q")
    assert (again.sha256, again.problems) == (pack.sha256, ())
    write_pack(again, tmp_path / "r")
    for item in (tmp_path / "q").iterdir():
        assert (tmp_path / "r" / item.name).read_bytes() == item.read_bytes(), item.name


def test_a_pack_is_never_written_into_a_filled_folder(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        write_pack(find_pack("chs-drg-1.1"), write_small(tmp_path / "p"))


def test_awkward_text_survives_the_manifest(tmp_path: Path) -> None:
    manifest = find_pack("chs-drg-1.1").manifest
    assert manifest is not None
    awkward = 'a "quoted" \\ back\nline\ttab \x1f 中文 ∩'
    changed = replace(manifest, name=awkward, open_questions=(awkward, "b" * 200))
    (tmp_path / MANIFEST).write_text(manifest_text(changed), encoding="utf-8")
    again, problems = read_manifest(tmp_path)
    assert problems == []
    assert again == changed
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", (tmp_path / MANIFEST).read_text(encoding="utf-8"))
