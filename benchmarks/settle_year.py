"""Settle the months of a made-up year into a year book one after the other, and say so.

    python -m benchmarks.settle_year --policy P --scheme S --book DIR --hospitals FILE MONTH.parquet ...

The same as `drgdip settle FILE --month ... --close` for every file, with the scheme opened once. Files are named by
month, as `make_year` writes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from api.core.settle_files import SettleRequest, settle_files
from budget.money import yuan_text
from grouper.schemes import open_scheme
from reference_tables.policy import load_policy


def settle_year(policy: str, scheme: str, book: Path, hospitals: Path, months: Sequence[Path]) -> None:
    """Settle and close every month, one line of text each."""
    rules, opened = load_policy(policy), open_scheme(scheme)
    for path in months:
        request = SettleRequest(
            book=book, month=path.stem, cases=[str(path)], hospitals=hospitals, close=True,
            policy_name=policy, scheme_name=Path(scheme).name,
        )  # fmt: skip
        settled = settle_files(request, rules, opened)
        assert settled.run is not None, f"nothing of {path.name} could be settled"
        totals = settled.run.totals
        print(
            f"  {rules.method:9}  {path.stem}  {totals['cases']:>7,} 例  应付 {yuan_text(totals['due_fen']):>14}"
            f"  拨付 {yuan_text(totals['paid_fen']):>14}  保证金 {yuan_text(totals['held_fen']):>12}",
            flush=True,
        )


def main() -> None:
    """Settle the months given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--hospitals", type=Path, required=True)
    parser.add_argument("months", type=Path, nargs="+")
    given = parser.parse_args()
    settle_year(given.policy, given.scheme, given.book, given.hospitals, given.months)


if __name__ == "__main__":
    main()
