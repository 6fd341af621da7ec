"""Problems written for the rows of a frame, however the frame is kept in memory."""

from __future__ import annotations

import polars as pl

from reference_tables.problems import problem_rows


def test_rows_filtered_out_of_later_pieces_of_a_frame() -> None:
    # Read piece by piece, the rows at fault in the second piece only: polars keeps the emptied first piece.
    good = pl.DataFrame({"case_id": [f"g{at}" for at in range(500)], "fen": list(range(500))})
    bad = pl.DataFrame({"case_id": ["a", "b"], "fen": [-4321, -5]})
    whole = pl.concat([good, bad, good], rechunk=False)
    whole = whole.with_columns(pl.Series("row", range(2, whole.height + 2), dtype=pl.UInt32))
    found = whole.lazy().filter(pl.col("fen") < 0).collect()
    amount = pl.format("{}", pl.col("fen"))
    rows = problem_rows(found, "PA12", file="f.csv", field="fund_pay_fen", value=amount, args={"value": amount})
    assert rows.select("row", "case_id", "value").rows() == [(502, "a", "-4321"), (503, "b", "-5")]
    assert all(value in message for value, message in rows.select("value", "message").iter_rows())
