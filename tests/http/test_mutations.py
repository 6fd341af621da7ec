"""Ten thousand spoilt bodies and files: every one is answered in the described shape, none breaks the program."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import polars as pl
import pytest
from direct import ask, check_shape
from mutations import CASE, files, spoilt, spoilt_json
from small_service import MARCH, SmallService, small_service

_JSON = {
    "/v1/group": CASE,
    "/v1/group?trace=true&whatif=true&pay=true": CASE,
    "/v1/group/batch?pay=true": {"cases": [CASE, CASE | {"sex": 2}]},
    "/v1/group/batch?shape=columns": {"columns": {name: [value] * 3 for name, value in CASE.items()}},
    "/v1/settlements": {
        "month": MARCH,
        "close": True,
        "reason": "x",
        "policy_reason": "",
        "tier_reason": "",
        "reopen": "",
    },
    "/v1/clearings": {"year": 2025, "policies": ["p.toml"], "supersedes": "", "policy_reason": ""},
    "/v1/clearings/run_00/approve": {"reason": "x"},
    "/v1/clearings/run_00/answer": {"state": "disputed", "comment": "x"},
    "/v1/budgets": {"year": 2025, "cases": []},
    "/v1/advances": {"month": "2025-01", "spend": "spend.csv", "balances": {"职工": "15.2"}, "deficits": []},
    "/v1/indicators": {"year": 2025, "cases": []},
    "/v1/simulations": {"reforms": ["synthetic-basic-one-price"], "cases": ["a.csv"]},
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    with small_service(tmp_path_factory.mktemp("service"), requests_per_minute=10**6, most_attempts=1) as made:
        yield made


def _headers(here: SmallService, name: str, media: str) -> dict[str, str]:
    return {"authorization": here.client(name).headers["authorization"], "content-type": media}


@pytest.mark.parametrize("rounds", [60, pytest.param(600, marks=pytest.mark.long)])
def test_spoilt_json(here: SmallService, rounds: int) -> None:
    app: Any = here.client("office").app

    async def run() -> None:
        for target, value in _JSON.items():
            who = "H1" if target.endswith("answer") else "policy" if "simulations" in target else "office"
            headers = _headers(here, who, "application/json")
            random = Random(f"{target} {rounds}")
            for _ in range(rounds):
                check_shape(await ask(app, "POST", target, spoilt_json(value, random), headers))

    asyncio.run(run())


def _tables() -> dict[str, bytes]:
    frame = pl.DataFrame([CASE]).with_columns(pl.col("discharge_time").str.to_datetime())
    frame = pl.concat([frame] * 4)
    parquet, arrow, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    frame.write_ipc_stream(arrow)
    frame.write_ipc_stream(packed, compression="zstd")
    lines = b"\n".join([orjson.dumps(CASE)] * 4)
    stream = "application/vnd.apache.arrow.stream"
    return {
        "application/vnd.apache.parquet": parquet.getvalue(), stream: arrow.getvalue(),
        f"{stream}; x=1": packed.getvalue(), "application/x-ndjson": lines,
    }  # fmt: skip


@pytest.mark.parametrize("rounds", [50, pytest.param(300, marks=pytest.mark.long)])
def test_spoilt_tables(here: SmallService, rounds: int) -> None:
    app: Any = here.client("H1").app

    async def run() -> None:
        for media, data in _tables().items():
            good = await ask(app, "POST", "/v1/group/batch", data, _headers(here, "H1", media))
            assert good.status == 200, good.body
            random = Random(f"{media} {rounds}")
            for _ in range(rounds):
                check_shape(
                    await ask(app, "POST", "/v1/group/batch", spoilt(data, random), _headers(here, "H1", media))
                )

    asyncio.run(run())


@pytest.mark.parametrize("rounds", [4, pytest.param(220, marks=pytest.mark.long)])
def test_spoilt_files(here: SmallService, rounds: int, caplog: pytest.LogCaptureFixture) -> None:
    app: Any = here.client("H1").app
    caplog.set_level(logging.WARNING, "drgdip")

    async def hand_in(name: str, body: bytes) -> str:
        given = await ask(
            app, "POST", f"/v1/submissions?month={MARCH}&name={name}", body,
            _headers(here, "H1", "application/octet-stream"),
        )  # fmt: skip
        check_shape(given)
        return str(given.json().get("id", ""))

    kept = []
    for name, data in files().items():
        random = Random(f"{name} {rounds}")
        kept += [asyncio.run(hand_in(name, spoilt(data, random))) for _ in range(rounds)]
    here.work()
    client = here.client("H1")
    for name in filter(None, kept):
        found = client.get(f"/v1/submissions/{name}").json()
        assert found["state"] in {"accepted", "refused"}, (name, found)
        problems = client.get(f"/v1/submissions/{name}/problems").json()
        assert problems or found["rejected"] == 0
    assert "broke off" not in caplog.text


@pytest.mark.parametrize("rounds", [75, pytest.param(2000, marks=pytest.mark.long)])
def test_spoilt_addresses_and_headers(here: SmallService, rounds: int) -> None:
    app: Any = here.client("H1").app
    targets = (
        b"/v1/submissions?month=2025-03&limit=5&after=sub_00", b"/v1/codes?q=I63&kind=dx&limit=5", b"/v1/jobs/job_00ab",
        b"/v1/runs/run_00ab/files/statements/H1.html", b"/v1/policies/synthetic-city-dip",
        b"/v1/documents/policy/p.toml", b"/v1/audit?after=1&action=token.create&limit=3",
    )  # fmt: skip

    async def run() -> None:
        random = Random(rounds)
        for at in range(rounds):
            # A target is visible ASCII or the request never gets here; the rest comes percent-encoded.
            target = "".join(
                chr(byte) if 0x21 <= byte < 0x7F else f"%{byte:02X}" for byte in spoilt(random.choice(targets), random)
            )[:4000]
            spoilt_header = spoilt(here.client("H1").headers["authorization"].encode(), random).decode("latin-1")
            headers = _headers(here, "office", "application/json")
            if at % 3 == 0:
                headers["authorization"] = spoilt_header
            headers["x-request-id"] = spoilt_header[:100]
            headers["idempotency-key"] = spoilt_header[:300]
            method = random.choice(("GET", "GET", "PUT", "POST", "DELETE", "HEAD", "TRACE", "X"))
            given = await ask(app, method, f"/{target.lstrip('/')}", b"", headers)
            if method == "HEAD":
                assert given.status < 500
                assert not given.body
            else:
                check_shape(given)

    asyncio.run(run())
