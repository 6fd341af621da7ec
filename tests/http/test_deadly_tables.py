"""Tables that end the process of whoever reads them, by a length that no memory has: the service lives on."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Literal

import polars as pl
import pytest
from small_service import SmallService, refused_by, small_service

from api.service.binary_tables import parquet_problem
from api.service.trial import DAMAGED, LARGE, SOUND, tried

_FRAME = pl.DataFrame({"case_id": ["a text of more than twelve bytes", None] * 10})
_MEDIA = "application/vnd.apache."
_LIMIT = 1 << 20
_PAGE = bytes.fromhex("2c1528")
"""The head of a data page: its kind, and 20 values."""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    with small_service(tmp_path_factory.mktemp("service")) as made:
        yield made


def _parquet(values: int) -> bytes:
    """A file whose only page says that it has so many values, written as Thrift does."""
    buffer = io.BytesIO()
    _FRAME.write_parquet(buffer, compression="uncompressed", statistics=False)
    data = buffer.getvalue()
    assert data.count(_PAGE) == 1
    return data.replace(_PAGE, _PAGE[:-1] + bytes([(values << 1) ^ (values >> 63)]))


def _asked(here: SmallService, kind: str, body: bytes) -> int:
    answer = here.client("H1").post("/v1/group/batch", content=body, headers={"Content-Type": _MEDIA + kind})
    return answer.status_code


def test_the_helper_dies_in_the_place_of_the_service(here: SmallService) -> None:
    assert tried(_parquet(20), _LIMIT) == SOUND
    assert [tried(_parquet(-1), _LIMIT), tried(_parquet(-20), _LIMIT)] == [DAMAGED] * 2
    assert tried(_parquet(20), 100) == LARGE  # by a new helper
    assert parquet_problem(_parquet(20), _LIMIT) is None
    assert _asked(here, "parquet", _parquet(20)) == 200
    assert _asked(here, "parquet", _parquet(-20)) == 422
    assert refused_by(here, _parquet(-20), "deadly.parquet") == {"SV09"}


@pytest.mark.parametrize("compression", ["uncompressed", "zstd"])
def test_no_number_of_an_arrow_stream_is_believed(
    here: SmallService, compression: Literal["uncompressed", "zstd"]
) -> None:
    buffer = io.BytesIO()
    _FRAME.write_ipc_stream(buffer, compression=compression)
    data = buffer.getvalue()
    assert _asked(here, "arrow.stream", data) == 200
    told = set()
    for at in range(0, len(data) - 8, 8):
        for number in (1 << 60, -1):
            told.add(_asked(here, "arrow.stream", data[:at] + struct.pack("<q", number) + data[at + 8 :]))
    assert told <= {200, 422, 413}
    assert 422 in told
    assert _asked(here, "arrow.stream", data[: len(data) // 2]) == 422
