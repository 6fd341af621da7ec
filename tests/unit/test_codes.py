"""Code books and crosswalks: what they hold, folding, amendments, and refusal of broken tables."""

import shutil
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from reference_tables.codes import fold, load_chapters, load_code_books, load_crosswalks, read_code_table
from reference_tables.packs import find_pack
from reference_tables.problems import Problem, TablesRefused


def test_fold_touches_only_the_letter_x() -> None:
    assert fold("33.6X00") == "33.6x00"
    assert fold("j96.900") == "j96.900"
    assert fold("A01.002+G01*") == "A01.002+G01*"
    frame = pl.DataFrame({"code": ["X00.X00", "j96.900", "Q66.8", None]})
    assert frame.select(fold(pl.col("code")))["code"].to_list() == ["x00.x00", "j96.900", "Q66.8", None]


def test_books_hold_what_was_published_and_one_amendment() -> None:
    books = load_code_books()
    assert (books.diagnosis.frame.height, books.procedure.frame.height) == (33307 + 1, 13686)
    assert (books.diagnosis.frame["gray"].sum(), books.procedure.frame["gray"].sum()) == (2695, 2241)
    assert books.diagnosis.edition.endswith("（ICD-10 医保版 2.0）")
    assert [item.codes for item in books.diagnosis.amendments] == [("K30.x00x002",)]
    assert books.procedure.amendments == ()
    categories = dict(books.procedure.frame["category"].value_counts().iter_rows())
    assert categories[""] == 165
    assert categories["手术|治疗性操作"] == 1
    assert books.diagnosis.frame["code"].is_sorted()


def test_find_takes_either_case_of_x_and_nothing_else() -> None:
    books = load_code_books()
    found = books.procedure.find("33.6X00")
    assert found == {"code": "33.6x00", "name": "心脏-肺联合移植术", "category": "手术", "gray": False}
    assert books.diagnosis.find("A00.000") == {
        "code": "A00.000", "name": "霍乱，由于O1群霍乱弧菌，霍乱生物型所致", "gray": True,
    }  # fmt: skip
    assert books.diagnosis.find("a00.000") is None
    assert books.diagnosis.find("A00") is None


def test_every_code_of_the_built_in_pack_is_known() -> None:
    books = load_code_books()
    known = pl.concat([books.diagnosis.frame["code"], books.procedure.frame["code"]]).implode()
    pack = find_pack("chs-drg-1.1")
    for frame in (pack.sets, pack.cc, pack.exclusion):
        assert frame.filter(~pl.col("code").is_in(known)).height == 0


def test_every_category_belongs_to_exactly_one_chapter() -> None:
    chapters = load_chapters()
    assert [chapter.number for chapter in chapters] == list(range(1, 23))
    codes = load_code_books().diagnosis.frame["code"].to_list()
    categories = {code[:3] for code in codes} | {code.split("+")[1][:3] for code in codes if "+" in code}
    assert len(categories) > 2_000
    homes = {category: [chapter for chapter in chapters if chapter.holds(category)] for category in categories}
    assert [category for category, found in homes.items() if len(found) != 1] == []
    assert (homes["D48"][0].name, homes["D50"][0].number, homes["C00"][0].scope) == ("肿瘤", 3, "C00-D48")
    assert (homes["H59"][0].number, homes["H60"][0].number, homes["T98"][0].number) == (7, 8, 19)


def test_crosswalks_map_every_clinical_code_once_to_a_known_code() -> None:
    walks, books = load_crosswalks(), load_code_books()
    for walk, rows, book in (
        (walks.diagnosis, 35587, books.diagnosis),
        (walks.procedure, 13653, books.procedure),
    ):
        assert walk.columns == ["from", "to"]
        assert (walk.height, walk["from"].n_unique()) == (rows, rows)
        assert walk.filter(~pl.col("to").is_in(book.frame["code"].implode())).height == 0
    row = walks.diagnosis.filter(pl.col("from") == "P78.300x004")
    assert row["to"].to_list() == ["K30.x00x002"]
    assert walks.diagnosis_from == "ICD-10 国家临床版 2.0"
    assert walks.procedure_from == "ICD-9-CM-3 国家临床版 3.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("reference_tables") / "codes") as source:
        return Path(shutil.copytree(source, tmp_path / "codes"))


def refused(folder: Path, name: str) -> list[Problem]:
    with pytest.raises(TablesRefused) as caught:
        read_code_table(folder, name)
    return list(caught.value.problems)


def test_a_broken_book_is_refused_with_every_fault(folder: Path) -> None:
    path = folder / "diagnosis.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[1]
    lines[3] = lines[3][:-1] + "2"
    lines[4] = "," + lines[4].split(",", 1)[1]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert {(item.code, item.row) for item in refused(folder, "diagnosis")} == {
        ("TB07", 3), ("TB13", 4), ("TB06", 5), ("TB17", 0),
    }  # fmt: skip


def test_a_shortened_crosswalk_is_refused(folder: Path) -> None:
    path = folder / "procedure_crosswalk.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert {item.code for item in refused(folder, "procedure_crosswalk")} == {"TB17", "TB18"}
