"""Files of a few bytes that say they are huge: refused before they take memory, whatever they are wrapped in."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_service import MARCH, SmallService, refused_by, small_service

from api.service.binary_tables import parquet_problem
from api.service.trial import outlived
from api.service.workbooks import workbook_problem
from tests.unit.pay_examples import HEADER, row

_KB, _MB = 1 << 10, 1 << 20
_LIMIT = 8 * _MB


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    small: dict[str, Any] = {"max_unpacked_bytes": _LIMIT, "max_rows": 500}
    with small_service(tmp_path_factory.mktemp("service"), **small) as made:
        yield made


def _parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


_BOMBS: dict[str, dict[str, Any]] = {
    "one long text named often": {"case_id": ["x" * _MB] * 300},
    "long texts alike": {"case_id": [f"{at:08}" + "x" * _MB for at in range(16)]},
    "a long list": {"case_id": ["A"], "other_dx": [["x" * 10] * 3_000_000]},
    "many columns": {f"c{at}": [1] for at in range(2001)},
}


@pytest.mark.parametrize("name", _BOMBS)
def test_a_small_parquet_file_that_is_huge(here: SmallService, name: str) -> None:
    body = _parquet(**_BOMBS[name])
    code = "SV09" if name == "many columns" else "SV34"
    assert refused_by(here, body, f"{name}.parquet") == {code}
    assert refused_by(here, gzip.compress(body), f"{name}.parquet.gz") == {code}


@pytest.mark.parametrize("compression", ["zstd", "snappy", "lz4", "gzip", "uncompressed"])
def test_what_a_parquet_file_takes(compression: Any) -> None:
    """Sixteen texts of a thousand bytes: more than sixteen thousand, not more than a page and some."""
    buffer = io.BytesIO()
    frame = pl.DataFrame({"case_id": [f"{at:03}" + "x" * 997 for at in range(16)], "sex": [1] * 16})
    frame.write_parquet(buffer, compression=compression)
    told = [parquet_problem(buffer.getvalue(), limit) for limit in (15 * _KB, 64 * _KB)]
    assert [problem and problem.code for problem in told] == ["SV34", None]


@pytest.mark.parametrize("cut", [4, 12, 100, -1, -4, -8, -20])
def test_half_a_parquet_file(cut: int) -> None:
    body = _parquet(case_id=["A"], sex=[1])
    told = parquet_problem(body[:cut], _LIMIT)
    assert told is not None
    assert told.code == "SV09"


@pytest.mark.parametrize("media", ["application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"])
def test_many_cases_at_once(here: SmallService, media: str) -> None:
    """A text of a megabyte, named by each of some hundred cases."""
    frame = pl.DataFrame({"case_id": ["x" * _MB]}).select(pl.col("case_id").first().repeat_by(400).explode())
    buffer = io.BytesIO()
    if media.endswith("parquet"):
        frame.write_parquet(buffer)
    else:
        frame.write_ipc_stream(buffer, compression="zstd")
    assert len(buffer.getvalue()) < 40 * _MB
    answer = here.client("H1").post("/v1/group/batch", content=buffer.getvalue(), headers={"Content-Type": media})
    assert (answer.status_code, answer.json()["code"]) == (413, "SV05")


def _book(changed: dict[str, Any]) -> bytes:
    """A workbook of two cases with some members changed or added."""
    text = HEADER + row("A1") + row("A2")
    plain, made = io.BytesIO(), io.BytesIO()
    pl.read_csv(io.BytesIO(text.encode()), infer_schema=False).write_excel(plain)
    with zipfile.ZipFile(plain) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            data = before.read(name)
            after.writestr(name, changed[name](data) if name in changed else data)
        for name in changed.keys() - set(before.namelist()):
            after.writestr(name, changed[name](b""))
    return made.getvalue()


_LAUGHS = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10 if at else "ha"}">' for at in range(12))


@pytest.mark.parametrize(
    "declared",
    [_LAUGHS, '<!ENTITY e11 SYSTEM "file:///etc/passwd">', '<!ENTITY e11 SYSTEM "http://127.0.0.1:9/x">'],
)
def test_entities_in_a_workbook_come_to_nothing(here: SmallService, declared: str) -> None:
    def spoilt(data: bytes) -> bytes:
        head, _, rest = data.decode().partition("?>")
        return f"{head}?><!DOCTYPE sst [{declared}]>{rest}".replace("<t>A1</t>", "<t>&e11;</t>", 1).encode()

    body = _book({"xl/sharedStrings.xml": spoilt})
    assert b"&e11;" in zipfile.ZipFile(io.BytesIO(body)).read("xl/sharedStrings.xml")
    client = here.client("H1")
    answer = client.post("/v1/submissions", params={"month": MARCH, "name": "a.xlsx"}, content=body)
    here.work()
    found = client.get(f"/v1/submissions/{answer.json()['id']}").json()
    assert found["state"] in {"accepted", "refused"}
    results = client.get(f"/v1/submissions/{found['id']}/results").text
    problems = client.get(f"/v1/submissions/{found['id']}/problems").text
    assert "hahaha" not in results + problems
    assert "root:" not in results + problems


def test_names_in_a_workbook_lead_nowhere(here: SmallService, tmp_path: Path) -> None:
    """Members named as paths are never written; a member that is there twice is no workbook."""
    outside = f"../../../../../../../..{tmp_path}/planted"
    body = _book({outside: lambda _: b"x", f"{tmp_path}/planted": lambda _: b"x", "..\\planted": lambda _: b"x"})
    before = sorted(here.folder.rglob("planted"))
    client = here.client("H1")
    answer = client.post("/v1/submissions", params={"month": MARCH, "name": "b.xlsx"}, content=body)
    here.work()
    assert client.get(f"/v1/submissions/{answer.json()['id']}").json()["state"] == "accepted"
    assert not list(tmp_path.iterdir())
    assert sorted(here.folder.rglob("planted")) == before == []


def test_long_shared_texts_named_by_many_cells(here: SmallService) -> None:
    """A text of 100,000 bytes in 300 cells is 30 MB once they are read."""
    cells = "".join(f'<row r="{at}"><c r="A{at}" t="s"><v>0</v></c></row>' for at in range(1, 301))
    sheet = f'<worksheet xmlns="x"><sheetData>{cells}</sheetData></worksheet>'.encode()
    texts = f'<sst xmlns="x"><si><t>{"x" * 100_000}</t></si></sst>'.encode()
    body = _book({"xl/worksheets/sheet1.xml": lambda _: sheet, "xl/sharedStrings.xml": lambda _: texts})
    assert len(body) < 100 * _KB
    assert refused_by(here, body, "c.xlsx") == {"SV34"}


@pytest.mark.parametrize("said", [4_294_967_295, 10**18])
def test_a_made_up_number_of_shared_texts_ends_no_process(here: SmallService, tmp_path: Path, said: int) -> None:
    body = _book({"xl/sharedStrings.xml": lambda data: data.replace(b"uniqueCount=", b'uniqueCount="%d" was=' % said)})
    assert refused_by(here, body, "d.xlsx") == {"IN01"}
    put = here.client("office").put("/v1/documents/cases/c.xlsx", content=body, headers={"If-None-Match": "*"})
    assert (put.status_code, put.json()["code"]) == (422, "IN01")
    checked = here.client("policy").post("/v1/schemes/check", content=body).json()
    assert (checked["usable"], [item["code"] for item in checked["problems"]]) == (False, ["TB80"])
    (tmp_path / "d.xlsx").write_bytes(body)
    assert outlived(tmp_path / "d.xlsx")  # the reader is not even asked


def test_a_panic_of_a_library_is_told_as_any_failure(here: SmallService, monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*_: object) -> None:
        raise type("PanicException", (BaseException,), {})

    monkeypatch.setattr("api.http.routes_checks.check_pack", panics)  # on a thread
    monkeypatch.setattr("api.http.routes_cases.case_frame", panics)
    answers = [
        here.client("policy").post("/v1/schemes/check", content=_book({})),
        here.client("H1").post("/v1/group/batch", json={"cases": [{}]}),
    ]
    told = [(each.status_code, each.headers["content-type"], each.json()["code"]) for each in answers]
    assert told == [(500, "application/problem+json", "SV22")] * 2


def test_a_workbook_is_read_to_its_end_by_a_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "book.xlsx"
    path.write_bytes(_book({}))
    assert workbook_problem(path, _LIMIT) is None
    monkeypatch.setattr("api.service.workbooks.outlived", lambda _: False)
    told = workbook_problem(path, _LIMIT)
    assert told is not None
    assert told.code == "SV09"


def test_what_follows_a_gzip_file(here: SmallService) -> None:
    packed = gzip.compress((HEADER + row("G1")).encode())
    assert refused_by(here, packed + b"garbage", "a.csv.gz") == {"SV09"}
    assert refused_by(here, packed + gzip.compress(b"a" * 9 * _MB), "b.csv.gz") == {"SV34"}
    # A second member is a part of the same file; zeros after it are padding.
    both = packed + gzip.compress(row("G2").encode()) + bytes(512)
    answer = here.client("H1").post("/v1/submissions", params={"month": "2025-03", "name": "c.csv.gz"}, content=both)
    here.work()
    assert here.client("H1").get(f"/v1/submissions/{answer.json()['id']}").json()["accepted"] == 2
