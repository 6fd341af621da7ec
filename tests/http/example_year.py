"""A service that works on the made-up year of `examples/year`: documents put in, January handed in and taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from small_service import SmallService, service_over

YEAR = Path(__file__).parents[2] / "examples" / "year"
POLICY = "synthetic-city-drg-point"
SPEND = "hospital_id,insurance,year,spend\nH1,职工,2024,120000.00\nH1,职工,2025,240000.00\n"


def documents() -> dict[tuple[str, str], bytes]:
    """What the office works by, by kind and name."""
    return {
        ("hospitals", "hospitals.csv"): (YEAR / "hospitals.csv").read_bytes(),
        ("year_file", "2026.toml"): (YEAR / "2026.toml").read_bytes(), ("spend", "spend.csv"): SPEND.encode(),
        ("cases", "2026-01.csv"): (YEAR / "H1-2026-01.csv").read_bytes(),
    }  # fmt: skip


@contextmanager
def example_year(folder: Path, kind: str = "sqlite", **given: Any) -> Iterator[SmallService]:
    """The service, with January's submissions of both hospitals accepted."""
    with service_over(folder, kind, policy=POLICY, **given) as made:
        for (name, file), data in documents().items():
            answer = made.client("office").put(f"/v1/documents/{name}/{file}", content=data)
            assert answer.status_code == 200, answer.text
        for hospital in ("H1", "H2"):
            data = (YEAR / f"{hospital}-2026-01.csv").read_bytes()
            answer = made.client(hospital).post("/v1/submissions?month=2026-01", content=data)
            assert answer.status_code == 202, answer.text
        made.work()
        yield made
