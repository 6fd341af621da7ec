"""The committed results of the example reforms, on a small made-up city: reference_tables/reforms/<id>.expect.csv.

    python -m benchmarks.expected_reforms --city sample         # the city's files, and the command of every example
    python -m benchmarks.expected_reforms --check sample/ID     # what such a command gave, against the committed result
    python -m benchmarks.expected_reforms --write [ID ...]      # all anew; look at the difference before committing it

    dimension, key, cases, fund_before, fund_after, cleared_before, cleared_after, value

Amounts in yuan; `value` is what was solved for (dimension solved). Some of them are worked out anew, one case at a
time, in tests/differential/test_expected_reforms.py.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from difflib import ndiff
from pathlib import Path

import polars as pl

from api.core.simulate import Simulation, simulate
from api.core.simulate_cases import SimulationRequest
from benchmarks.make_year import MadeYear, make_year
from budget.money import yuan_text
from grouper.schemes import Scheme, open_scheme
from reference_tables.packs import find_drg_pack
from reference_tables.policy import Policy, load_policy
from reference_tables.reform import Reform, find_reforms, load_reform
from reference_tables.year_file import load_year_file

SCHEME = "chs-drg-1.1"
HOSPITALS, CASES, SEED = 9, 1_500, 5
HEADER = ("dimension", "key", "cases", "fund_before", "fund_after", "cleared_before", "cleared_after", "value")
DIMENSIONS = ("hospital", "tier", "insurance", "kind", "pool")
FOLDER = Path(__file__).resolve().parents[1] / "reference_tables" / "reforms"
DEFAULT_POLICY = "synthetic-city-drg-point"


def sample_city(folder: Path) -> MadeYear:
    """The sample's files."""
    return make_year(folder, pack=find_drg_pack(SCHEME), hospitals=HOSPITALS, cases=CASES, history=0, seed=SEED)


def policy_of(reform: Reform) -> str:
    """The policy that an example begins from: the first one it is meant for."""
    return reform.policies[0] if reform.policies else DEFAULT_POLICY


def year_file_of(policy: Policy, city: MadeYear) -> Path:
    """The year file for a policy: one with quotas where it gives hospitals budgets of their own."""
    given = policy.get("hospital_budget")
    return city.quota_file if given is not None and given.value == "quota" else city.year_file


def run_example(name: str, city: MadeYear, scheme: Scheme | None = None) -> Simulation:
    """An example reform on the sample, cleared."""
    reform = load_reform(name)
    policy = load_policy(policy_of(reform))
    year = load_year_file(str(year_file_of(policy, city)))
    request = SimulationRequest(
        tuple(str(path) for path in city.months), (reform,), year.year, hospitals=city.register, threads=1
    )
    return simulate(request, policy, scheme or open_scheme(SCHEME), year)


def command(name: str, city: MadeYear) -> str:
    """The command that runs an example beside the sample's files, into a folder of its id."""
    policy = load_policy(policy_of(load_reform(name)))
    year = year_file_of(policy, city).name
    words = ["drgdip simulate cases/*.parquet", f"--policy {policy.id}", f"--reform {name}", f"--year-file {year}"]
    return " ".join([*words, f"--hospitals {city.register.name}", f"-o {name}"])


def expected_rows(tables: Mapping[str, pl.DataFrame]) -> list[tuple[str, ...]]:
    """The rows of a result as HEADER, from its tables."""
    rows: list[tuple[str, ...]] = []
    gain = tables["gain"].filter(pl.col("dimension").is_in(list(DIMENSIONS)))
    names = [f"{name}_fen" for name in HEADER[3:7]]
    for dimension, key, cases, *amounts in gain.select("dimension", "key", "cases", *names).iter_rows():
        rows.append((dimension, key, str(cases), *map(yuan_text, amounts), ""))
    if "solved" in tables:
        solved = tables["solved"].select("what", "value").iter_rows()
        rows += [("solved", what, "", "", "", "", "", value) for what, value in solved]
    return rows


def differences(folder: Path) -> list[str]:
    """Lines of a simulation's folder that differ from the committed result of its reform; none when it is the same."""
    proof = json.loads((folder / "proof.json").read_text(encoding="utf-8"))
    (name,) = (item["id"] for item in proof["reforms"])
    tables = {path.stem: pl.read_parquet(path) for path in (folder / "tables").glob("*.parquet")}
    wanted = (FOLDER / f"{name}.expect.csv").read_text(encoding="utf-8").splitlines()
    return [line for line in ndiff(wanted, csv_text(expected_rows(tables)).splitlines()) if line[0] in "+-"]


def csv_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows as the file holds them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows)
    return text.getvalue()


def main() -> int:
    """Write the sample's files, compare folders, or write the results of the reforms named, else of all, anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--city", type=Path, metavar="DIR")
    parser.add_argument("--check", type=Path, nargs="+", default=[], metavar="DIR")
    parser.add_argument("--write", nargs="*", metavar="ID")
    given = parser.parse_args()
    if given.city:
        city = sample_city(given.city)
        print(f"cd {given.city}", *(command(name, city) for name in find_reforms()), sep="\n")
    found = {folder: differences(folder) for folder in given.check}
    for folder, lines in found.items():
        print(folder, *(lines or ["as committed"]), sep="\n  ")
    if given.write is not None:
        _write(given.write or find_reforms())
    return int(any(found.values()))


def _write(names: Sequence[str]) -> None:
    scheme = open_scheme(SCHEME)
    with tempfile.TemporaryDirectory() as folder:
        city = sample_city(Path(folder))
        for name in names:
            done = run_example(name, city, scheme)
            text = csv_text(expected_rows(done.tables))
            (FOLDER / f"{name}.expect.csv").write_text(text, encoding="utf-8", newline="\n")
            print(name, done.tables["steps"].select("label", "fund_fen", "cleared_fen").rows())


if __name__ == "__main__":
    sys.exit(main())
