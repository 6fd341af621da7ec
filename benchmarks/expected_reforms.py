"""The committed results of the example reforms, on a small made-up city: reference_tables/reforms/<id>.expect.csv.

    python -m benchmarks.expected_reforms [ID ...]     # writes them anew; look at the difference before committing it

    dimension, key, cases, fund_before, fund_after, cleared_before, cleared_after, value

Amounts in yuan; `value` is what was solved for (dimension solved). Two of them are worked out anew, one case at a time,
in tests/differential/test_expected_reforms.py.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from api.core.simulate import Simulation, simulate
from api.core.simulate_cases import SimulationRequest
from benchmarks.make_year import MadeYear, make_year
from budget.money import yuan_text
from grouper.schemes import Scheme, open_scheme
from reference_tables.packs import find_drg_pack
from reference_tables.policy import load_policy
from reference_tables.reform import find_reforms, load_reform
from reference_tables.year_file import load_year_file

SCHEME = "chs-drg-1.1"
HOSPITALS, CASES, SEED = 9, 1_500, 5
HEADER = ("dimension", "key", "cases", "fund_before", "fund_after", "cleared_before", "cleared_after", "value")
DIMENSIONS = ("hospital", "tier", "insurance", "kind", "pool")
FOLDER = Path(__file__).resolve().parents[1] / "reference_tables" / "reforms"
OF_QUOTAS = "synthetic-quota-to-pool"
_OF_QUOTAS = ("hospital_id", "insurance_type", "fund_pay_fen")
DEFAULT_POLICY = "synthetic-city-drg-point"


def sample_city(folder: Path) -> MadeYear:
    """The sample's files."""
    return make_year(folder, pack=find_drg_pack(SCHEME), hospitals=HOSPITALS, cases=CASES, history=0, seed=SEED)


def run_example(name: str, city: MadeYear, scheme: Scheme | None = None) -> Simulation:
    """An example reform on the sample, under the policy that it is meant for, cleared; one that ends quotas begins
    from a policy that gives them."""
    reform = load_reform(name)
    policy = load_policy(reform.policies[0] if reform.policies else DEFAULT_POLICY)
    year = load_year_file(str(city.year_file))
    if name == OF_QUOTAS:
        (given,) = policy.all("hospital_budget")
        policy = policy.overlay([replace(given, value="quota", raw="quota")])
        year = load_year_file(str(_with_quotas(city)))
    request = SimulationRequest(
        tuple(str(path) for path in city.months), (reform,), year.year, hospitals=city.register, threads=1
    )
    return simulate(request, policy, scheme or open_scheme(SCHEME), year)


def _with_quotas(city: MadeYear) -> Path:
    """The year file with a part of each pool for every hospital: what the fund paid by item for its cases."""
    kinds = {"310": "职工", "390": "居民"}
    cases = pl.concat([pl.read_parquet(path).select(*_OF_QUOTAS) for path in city.months])
    sums = cases.group_by("hospital_id", "insurance_type").agg(pl.col("fund_pay_fen").sum())
    rows = [
        f'[[quota]]\nhospital = "{hospital}"\ninsurance = "{kinds[insurance]}"\npart = "{yuan_text(fen)}"\n'
        for hospital, insurance, fen in sums.sort("hospital_id", "insurance_type").iter_rows()
    ]
    path = city.year_file.with_name("year-quotas.toml")
    path.write_text(city.year_file.read_text(encoding="utf-8") + "\n" + "\n".join(rows), encoding="utf-8")
    return path


def expected_rows(done: Simulation) -> list[tuple[str, ...]]:
    """The rows of a result as HEADER."""
    rows: list[tuple[str, ...]] = []
    gain = done.tables["gain"].filter(pl.col("dimension").is_in(list(DIMENSIONS)))
    names = [f"{name}_fen" for name in HEADER[3:7]]
    for dimension, key, cases, *amounts in gain.select("dimension", "key", "cases", *names).iter_rows():
        rows.append((dimension, key, str(cases), *map(yuan_text, amounts), ""))
    if "solved" in done.tables:
        solved = done.tables["solved"].select("what", "value").iter_rows()
        rows += [("solved", what, "", "", "", "", "", value) for what, value in solved]
    return rows


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows as the file holds them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return text.getvalue()


def main() -> None:
    """Write the results of the reforms named, else of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reforms", nargs="*", default=list(find_reforms()))
    given = parser.parse_args()
    scheme = open_scheme(SCHEME)
    with tempfile.TemporaryDirectory() as folder:
        city = sample_city(Path(folder))
        for name in given.reforms:
            done = run_example(name, city, scheme)
            text = csv_text(expected_rows(done))
            (FOLDER / f"{name}.expect.csv").write_text(text, encoding="utf-8", newline="\n")
            print(name, done.tables["steps"].select("label", "fund_fen", "cleared_fen").rows())


if __name__ == "__main__":
    main()
