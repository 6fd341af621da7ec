"""Append-only double-entry ledger of what hospitals are due, paid and owed; amounts in fen.

Every amount is posted twice, as a debit and as a credit, so that a run's postings always sum to zero. Nothing is ever
changed: a correction is posted anew, with the difference and the run it corrects. Accounts and events are data
(accounts.toml).
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from reference_tables.accounts import ledger_accounts, ledger_events

POSTING_SCHEMA: dict[str, pl.DataType] = {
    "run_id": pl.String(),
    "entry": pl.Int32(),
    "month": pl.String(),
    "hospital_id": pl.String(),
    "pool": pl.String(),
    "account": pl.String(),
    "side": pl.String(),
    "amount_fen": pl.Int64(),
    "what": pl.String(),
    "supersedes": pl.String(),
}
"""One row a leg. `entry` numbers the two legs of one amount within its run; `side` debit or credit; `amount_fen` may be
negative (红字, a correction downwards); `what` the event; `supersedes` the run whose posting is corrected, else ""."""

AMOUNT_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "pool": pl.String(),
    "what": pl.String(),
    "amount_fen": pl.Int64(),
    "supersedes": pl.String(),
}
"""What is to be posted: one row an amount, `what` an event of accounts.toml."""

DEBIT, CREDIT = "debit", "credit"
OWNER = ("hospital_id", "pool", "account")


def empty_ledger() -> pl.DataFrame:
    """A ledger without postings."""
    return pl.DataFrame(schema=POSTING_SCHEMA)


def postings_of(run_id: str, month: str, amounts: pl.DataFrame) -> pl.DataFrame:
    """The postings (POSTING_SCHEMA) of one run: two legs for every amount (AMOUNT_SCHEMA) that is not zero.

    Sorted by hospital, pool, event and corrected run, so that the order of `amounts` does not matter. Raises
    ValueError for an event that accounts.toml does not know.
    """
    events = ledger_events()
    strange = sorted(set(amounts["what"].to_list()) - set(events))
    if strange:
        raise ValueError(f"no such event: {strange}")
    place = {name: at for at, name in enumerate(events)}
    entries = (
        amounts.select(pl.col(name).cast(dtype) for name, dtype in AMOUNT_SCHEMA.items())
        .filter(pl.col("amount_fen") != 0)
        .sort(
            "hospital_id", "pool", pl.col("what").replace_strict(place, return_dtype=pl.Int32), "supersedes",
            "amount_fen",
        )
        .with_row_index("entry", offset=1)
    )  # fmt: skip
    legs = [
        entries.with_columns(
            pl.lit(run_id).alias("run_id"),
            pl.lit(month).alias("month"),
            pl.lit(side).alias("side"),
            pl.col("what")
            .replace_strict({name: getattr(event, side) for name, event in events.items()}, return_dtype=pl.String)
            .alias("account"),
        )
        for side in (DEBIT, CREDIT)
    ]
    rows = pl.concat(legs).sort("entry", maintain_order=True)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in POSTING_SCHEMA.items())


def taken_back(ledger: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """The amounts (AMOUNT_SCHEMA) that undo what a run posted of its own; what it took back itself stays so."""
    own = (pl.col("run_id") == run_id) & (pl.col("supersedes") == "") & (pl.col("side") == DEBIT)
    return ledger.filter(own).select(
        "hospital_id", "pool", "what", -pl.col("amount_fen"), pl.lit(run_id).alias("supersedes")
    )


def signed() -> pl.Expr:
    """A leg's amount, debits positive and credits negative; wide, so that no sum overflows."""
    return pl.col("amount_fen").cast(pl.Int128) * _sign(pl.col("side") == DEBIT)


def _sign(positive: pl.Expr) -> pl.Expr:
    return pl.when(positive).then(pl.lit(1, dtype=pl.Int128)).otherwise(pl.lit(-1, dtype=pl.Int128))


def unbalanced(ledger: pl.DataFrame) -> pl.DataFrame:
    """Entries whose legs do not cancel out, or that are no pair of known accounts: run_id, entry, difference (fen).

    Empty for a sound ledger; then every run, month, hospital and pool sums to zero as well, since the two legs of an
    entry have all of these in common.
    """
    strange = ~pl.col("account").is_in(list(ledger_accounts())) | ~pl.col("side").is_in([DEBIT, CREDIT])
    of_entry = ("month", "hospital_id", "pool", "what", "supersedes")
    found = ledger.group_by("run_id", "entry").agg(
        signed().sum().alias("difference"),
        strange.any().alias("strange"),
        pl.struct(of_entry).n_unique().alias("owners"),
        pl.len().alias("legs"),
    )
    wrong = (pl.col("difference") != 0) | pl.col("strange") | (pl.col("owners") != 1) | (pl.col("legs") != 2)
    return found.filter(wrong).select("run_id", "entry", pl.col("difference").cast(pl.Int64)).sort("run_id", "entry")


def balances(ledger: pl.DataFrame, by: Sequence[str] = OWNER) -> pl.DataFrame:
    """The balance of every account, fen: `by` (of hospital_id, pool, account, month, ...) and balance_fen.

    A balance is positive on the side that makes the account grow: what is owed, held, spent or out as an advance. The
    fund's cash (基金支出户) falls as it is paid out and so is negative. `by` must hold `account`.
    """
    credit = [code for code, account in ledger_accounts().items() if account.grows_by == CREDIT]
    turned = signed() * _sign(~pl.col("account").is_in(credit))
    summed = ledger.group_by(list(by)).agg(turned.sum().cast(pl.Int64).alias("balance_fen"))
    return summed.sort(list(by))


def balance_of(ledger: pl.DataFrame, account: str) -> pl.DataFrame:
    """The balance of one account by hospital and pool: hospital_id, pool, balance_fen."""
    found = balances(ledger.filter(pl.col("account") == account))
    return found.select("hospital_id", "pool", "balance_fen")
