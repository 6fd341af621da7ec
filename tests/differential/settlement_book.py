"""Settlement examples about payments during the year, answered by the budget package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from budget.prepay import advance, instalment, year_end_balance
from tests.differential.settlement_vectors import fen, number, yuan

Inputs = Mapping[str, Any]
Answer = dict[str, Any]


def prepay(inputs: Inputs) -> Answer:
    periods = [instalment(fen(due), number(inputs["pay_pct"])) for due in inputs["monthly_due"]]
    paid, held = sum(part.paid for part in periods), sum(part.held for part in periods)
    returned, balance = year_end_balance(
        fen(inputs["annual_final"]),
        paid,
        held,
        number(inputs["deposit_return"]),
        fen(inputs.get("advance_outstanding")),
    )
    return {
        "periods": [yuan(part.paid) for part in periods],
        "paid_in_year": yuan(paid),
        "deposit_held": yuan(held),
        "deposit_returned": yuan(returned),
        "year_end_balance": yuan(balance),
    }


def working_advance(inputs: Inputs) -> Answer:
    found = advance(
        [fen(spend) for spend in inputs["annual_spend"]],
        months=number(inputs["months"]),
        months_of_balance=number(inputs["months_of_balance"]),
        min_months=number(inputs["min_months"]),
        deficit=inputs["deficit_forecast"] or inputs["deficit_last_year"],
    )
    return {"eligible": found.eligible, "base_month": yuan(found.base_month), "advance": yuan(found.advance)}


KINDS: dict[str, Callable[[Inputs], Answer]] = {"prepay": prepay, "advance": working_advance}
