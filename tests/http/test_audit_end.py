"""Where nothing says any more which entry of the audit is the last one, nothing is written, and that is told."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from small_service import SmallService
from test_year import parts

from api.service.audit import EndLost
from api.store.tables import audit, audit_head, submission
from tests.unit.clearing_city import City


def test_without_its_end_the_audit_lets_nothing_in(lite: SmallService, city: City) -> None:
    with lite.service.database.read() as connection:
        (end,) = connection.execute(sa.select(audit_head)).all()
    office, hospital, content = lite.client("office"), lite.client("H1"), parts(city.months[0])["H1"]
    for more in (audit_head.delete(), audit.delete()):
        with lite.service.database.write() as connection:
            connection.execute(more)
        told = office.get("/v1/audit/verify").json()
        assert told["why"] == "head"
        assert told["broken"] == told["entries"] + 1
        for answer in (
            hospital.get("/readyz"), hospital.post("/v1/submissions?month=2026-01", content=content),
            office.post("/v1/settlements", json={"month": "2026-01", "reason": "x"}),
        ):  # fmt: skip
            assert (answer.status_code, answer.json()["code"]) == (503, "SV81")
            assert answer.json()["args"]["entry"] == told["broken"]
            assert int(answer.headers["retry-after"]) > 0
        with pytest.raises(EndLost):
            lite.service.queue.take()
    with lite.service.database.write() as connection:
        assert connection.execute(sa.select(submission)).all() == []
        connection.execute(audit_head.insert().values(id=end.id, seq=0, hash=""))
    assert hospital.post("/v1/submissions?month=2026-01", content=content).status_code == 202
