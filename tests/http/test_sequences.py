"""Random sequences of submissions, corrections, withdrawals and settlements of two hospitals with the same case
numbers: at every step the service says what a plain model says, and in the end the book holds what the model holds."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_service import SmallService, small_service
from version_model import CORRECTION, LAST, NEW, WITHDRAWAL, Handed, Model

from api.core.book import INDEX, open_book
from api.core.book_check import verify_book
from api.service.submitted_cases import lay_submitted
from grouper.intake import read_cases
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

PAYS = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}
HOSPITALS, CASES, FIRST = ("H1", "H2"), [f"C{at}" for at in range(7)], 9
DUE = 1_150_000
"""Of every case, whatever its cost: 1.5 x 10,000 x 1.1 less the 5,000 yuan that the patient paid."""


class Both:
    """A service and the model of it, given the same things. `names`: the service's id of each submission; `came`: what
    the sequence has come to, by code or state."""

    def __init__(self, here: SmallService, dice: random.Random) -> None:
        self.here, self.dice, self.model = here, dice, Model()
        self.names: list[str] = []
        self.came: Counter[str] = Counter()

    def hand_in(self) -> None:
        """Something is handed in, and taken or refused alike."""
        given = self._given()
        model = self.model.receive(given)
        params = {"month": f"2025-{given.month:02d}", "kind": given.kind}
        params |= {"reason": given.reason} if given.reason else {}
        if given.supersedes is not None:
            params["supersedes"] = self.names[given.supersedes]
        content = "" if given.ends_whole else _text(given)
        client = self.here.client(given.hospital)
        answer = client.post("/v1/submissions", params=params, content=content.encode())
        body = answer.json()
        if isinstance(model, str):
            assert (answer.status_code, body["code"]) == (409, model), given
        else:
            if model == len(self.names):
                self.names.append(body["id"])
            assert body.get("id") == self.names[model], (given, body)
        self.came[model if isinstance(model, str) else "taken" if model == given.at else "again"] += 1

    def _given(self) -> Handed:
        dice, at = self.dice, len(self.model.handed)
        hospital, month = dice.choice(HOSPITALS), dice.randint(FIRST, LAST)
        kind = dice.choices((NEW, CORRECTION, WITHDRAWAL), (4, 4, 2))[0]
        own = [old for old in self.model.handed if old.hospital == hospital and not old.ends_whole]
        if own and dice.random() < 0.2:  # the same bytes again
            return dice.choice(own if dice.random() < 0.5 else own[-3:]).again(at)
        own = [old for old in own if old.state == "accepted"] or own
        old = dice.choice(own) if own and kind != NEW and dice.random() < 0.5 else None
        if old is None:
            reason = "录错" if kind != NEW or dice.random() < 0.5 else ""
            rows = [self._row(month) for _ in range(dice.randint(1, 3))]
            rows = [(case, 0, 0) for case, _, _ in rows] if kind == WITHDRAWAL else rows
            return Handed(at, hospital, month, kind, rows, reason=reason)
        rows = [] if kind == WITHDRAWAL else [self._row(old.month) for _ in range(dice.randint(1, 3))]
        return Handed(at, hospital, old.month, kind, rows, old.at, "录错")

    def _row(self, month: int) -> tuple[str, int, int]:
        of = month if self.dice.random() < 0.8 else self.dice.randint(FIRST, LAST)
        return self.dice.choice(CASES), of, self.dice.randint(15, 18) * 1000

    def work(self) -> None:
        """All that waits is worked on; then every submission is in the same state, with the same cases."""
        self.here.work()
        self.model.work()
        listed = self.here.client("office").get("/v1/submissions", params={"limit": 1000}).json()["items"]
        states = {item["id"]: (item["state"], item["accepted"]) for item in listed}
        assert len(states) == len(self.names)
        for given, name in zip(self.model.handed, self.names, strict=True):
            assert states[name] == (given.state, len(given.holds)), given
        for given in [item for item in self.model.handed[-3:] if item.holds]:
            results = self.here.client(given.hospital).get(f"/v1/submissions/{self.names[given.at]}/results").json()
            assert {item["case_id"] for item in results} == set(given.holds)

    def settle(self) -> None:
        """A month is settled, the next one or a later, closed or left open; December again once it is closed."""
        model, dice = self.model, self.dice
        month = min(max(model.posted, model.closed + 1, FIRST) + (dice.random() < 0.2), LAST)
        asked: dict[str, Any] = {"month": f"2025-{month:02d}", "reason": "月结", "close": dice.random() < 0.6}
        if model.closed == LAST:
            asked["reopen"] = "迟报"
        answer = self.here.client("office").post("/v1/settlements", json=asked)
        assert answer.status_code == 202, answer.text
        self.here.work()
        done = self.here.client("office").get(f"/v1/jobs/{answer.json()['id']}").json()
        waits = [given for given in model.handed if given.state == "accepted" and given.month <= month]
        if done["state"] != "done":  # a month that is settled, open and stays so, with nothing to do
            assert not waits, done
            assert [item["code"] for item in done["error"]["problems"]] == ["ST15"]
        model.settle(month)
        book = open_book(self.here.service.books / "2025")
        model.closed, model.posted = int(book.closed_until[5:] or 0), int(book.last_month[5:] or 0)
        rows = book.cases().select("hospital_id", "case_id", "month", "total_cost_fen").iter_rows()
        assert {(of, case): (int(at[5:]), fen // 100) for of, case, at, fen in rows} == model.book
        self.came["settled"] += 1

    def check_book(self) -> None:
        """The book is whole and pays every case once; simulations see what would count."""
        book = open_book(self.here.service.books / "2025")
        assert verify_book(book) == []
        assert int(book.paid()["due_fen"].sum()) == DUE * len(self.model.book)
        folder = self.here.folder / "laid"
        folder.mkdir()
        frames = [
            block.cases.select("hospital_id", "case_id", "total_cost_fen")
            for path in lay_submitted(self.here.service, folder, 2025)
            for block in read_cases(path)
        ]
        rows = list(pl.concat(frames).iter_rows()) if frames else []
        standing = {key: cost * 100 for key, (_, cost) in self.model.standing().items()}
        assert {(of, case): fen for of, case, fen in rows} == standing
        assert len(rows) == len(standing)


def _text(given: Handed) -> str:
    if given.kind == WITHDRAWAL:
        lines = [f"{given.hospital},{case},录错\n" for case, _, _ in given.rows]
        return "hospital_id,case_id,reason\n" + "".join(lines)
    cases = [
        row(case, str(cost), hospital_id=given.hospital, discharge_date=f"2025-{month:02d}-05")
        for case, month, cost in given.rows
    ]
    return HEADER + "".join(cases)


def played(folder: Path, kind: str, seed: int, steps: int) -> Counter[str]:
    """A sequence: what it came to."""
    dice = random.Random(seed)
    with small_service(folder, kind) as here:
        (folder / "examples" / "p.toml").write_text(policy_text(values=PAYS), encoding="utf-8")
        both = Both(here, dice)
        for _ in range(steps):
            for _ in range(dice.randint(1, 3)):
                both.hand_in()
            both.work()
            if dice.random() < 0.3:
                both.settle()
        both.settle()
        if (here.service.books / "2025" / INDEX).exists():
            both.check_book()
        return both.came


def test_a_sequence_comes_to_what_the_model_says(tmp_path: Path) -> None:
    came = played(tmp_path, "sqlite", 5, 16)
    assert came["settled"] >= 3, came


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("seed", range(2, 14))
def test_long_sequences_come_to_what_the_model_says(tmp_path: Path, kind: str, seed: int) -> None:
    came = played(tmp_path, kind, seed, 60)
    assert came["taken"] > 20, came
