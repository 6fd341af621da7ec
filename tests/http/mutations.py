"""Requests and files spoilt at random, the same for the same seed: bytes, structure, and values nobody expects."""

from __future__ import annotations

import gzip
import io
from random import Random
from typing import Any

import orjson
import polars as pl

from tests.unit.pay_examples import HEADER, row

CASE: dict[str, Any] = {
    "case_id": "A1", "sex": 1, "age_years": 60, "los_days": 8, "discharge_way": "1",
    "diagnoses": ["I61.000", "E11.900"], "procedures": ["39.9500x001"], "total_cost_fen": 1600000,
    "fund_pay_fen": 1100000, "self_pay_fen": 400000, "own_pay_fen": 100000, "hospital_level": "3",
    "insurance_type": "310", "discharge_time": "2025-03-09T00:00:00",
}  # fmt: skip
_TOKENS = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"'", b",", b"\n", b"\r", b"{", b"}", b"[", b"]", b"null", b"NaN",
    b"-1", b"1e999", b"9" * 400, b"0x1F", b"\\u0000", b"\\ud800", b"=cmd|' /C calc'!A0", b"../../etc/passwd", b"%00",
    b"<script>", "𠮷".encode(), "".join(map(chr, range(0x300, 0x340))).encode(), b"|" * 50, b"[" * 2000, b"A" * 70_000,
    b"PK\x03\x04", b"PAR1", b"ARROW1", b"\x1f\x8b", b"2025-13-45", b"; DROP TABLE submission", b"\xd6\xd0",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, -0.0, 1e308, 2**31, 2**53, 2**63, 10**30, "", " ", "x" * 5000, "\x00", "NaN", "1e5",
    "２０２５", "I61.000\n", [], {}, [[]], [None], {"": None}, ["I61.000"] * 300, "2025-02-30", "2025-03", "=1+1", "..",
)  # fmt: skip


def spoilt(data: bytes, random: Random) -> bytes:
    """Bytes with one to four faults."""
    made = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at, end = sorted(random.randint(0, len(made)) for _ in range(2))
        match random.randrange(8):
            case 0:
                made[at : at + 1] = bytes([random.randrange(256)])
            case 1:
                made[at:at] = random.choice(_TOKENS)
            case 2:
                del made[at : min(end, at + 64)]
            case 3:
                made[at:at] = made[at : min(end, at + 4000)]
            case 4:
                del made[at:]
            case 5:
                made[at : at + 8] = random.choice(_TOKENS)
            case 6:
                made[at : at + 4] = random.randbytes(4)
            case _:
                if made:
                    place = min(at, len(made) - 1)
                    made[place] ^= 1 << random.randrange(8)
    return bytes(made)


def twisted(value: Any, random: Random) -> Any:
    """A JSON value with something in it replaced, dropped, doubled or renamed."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        key = random.choice(list(value))
        match random.randrange(4):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return value | {random.choice(("", "x", key + " ", "\x00", "字段")): random.choice(_VALUES)}
            case _:
                return value | {key: twisted(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        return [*value[:at], twisted(value[at], random), *value[at + random.randrange(2) :]]
    return random.choice(_VALUES)


def spoilt_json(value: Any, random: Random) -> bytes:
    """A body of JSON, twisted or its bytes spoilt."""
    if random.random() < 0.5:
        made = value
        for _ in range(random.randint(1, 3)):
            made = twisted(made, random)
        try:
            return orjson.dumps(made)
        except TypeError:  # a number beyond 64 bits
            return repr(made).replace("None", "null").replace("'", '"').encode("utf-8", "replace")
    return spoilt(orjson.dumps(value), random)


def files() -> dict[str, bytes]:
    """A good file of each kind by name."""
    text = HEADER + "".join(row(f"A{at}", age_years=str(20 + at)) for at in range(12))
    frame = pl.read_csv(io.BytesIO(text.encode()), infer_schema=False)
    table, book = io.BytesIO(), io.BytesIO()
    frame.write_parquet(table)
    frame.write_excel(book)
    base = {
        "mdtrt_sn": "M1", "gend": "1", "age": "60", "act_ipt_days": "8", "dscg_way": "1", "dscg_time": "2025-03-09",
        "hi_type": "310", "fixmedins_code": "H1", "ma_amt": "1",
    }  # fmt: skip
    diagnoses = [{"diag_type": "1", "diag_code": "I61.000", "diag_name": "x", "maindiag_flag": "1"}]
    message = {"infno": "4101A", "input": {"setlinfo": base, "diseinfo": diagnoses, "oprninfo": []}}
    return {
        "a.csv": text.encode(), "b.csv": text.encode("gb18030"), "c.csv.gz": gzip.compress(text.encode(), mtime=0),
        "d.xlsx": book.getvalue(), "e.parquet": table.getvalue(), "f.json": orjson.dumps(message),
        "g.ndjson": b"\n".join([orjson.dumps(message)] * 3),
    }  # fmt: skip
