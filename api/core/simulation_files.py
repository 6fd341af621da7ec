"""What a simulation leaves behind: the page, the tables, the reform as it was resolved, and the proof.

    simulation.html          the page of charts and tables, to be opened without a network
    tables.xlsx              every table on a sheet of its own
    tables/*.parquet         the same tables, amounts in fen
    resolved.toml            the reform with what was solved as plain changes (resolved-1.toml ... of several reforms)
    problems.csv             what was told: of the reforms, of both clearings, of reading the cases
    proof.json               checksums of all that decided the result, run_id over them, the command that repeats it,
                             every file that was read and those that must lie beside the ones the command names

The folder appears only when it is complete. The same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from api.core.clearing_files import csv_bytes, run_id_of
from api.core.resolved_reform import reform_toml
from api.core.simulate import Simulation
from api.core.simulate_inputs import Named, beside_text, input_files
from api.core.simulation_sheets import write_sheets
from api.core.whole_folder import write_proved
from api.web.simulation_tables import SimulationHead
from reference_tables.problems import Level, Problem

_SHOWN = 12
_TOLD = 12


def write_simulation(
    simulation: Simulation, folder: Path, recompute: str, named: Named = (), *, served: bool = False
) -> str:
    """Write everything into `folder`, which must not exist or be empty; the run's id. `recompute`: the command, `named`
    what it gives for policy, scheme, reforms and year file; `served`: it is asked for over HTTP.

    Raises OSError when the place cannot be written; then nothing is there.
    """
    run_id, files = run_id_of(simulation.deciding), input_files(simulation, named)

    def write(place: Path) -> Mapping[str, object]:
        (place / "tables").mkdir()
        again = {"复算命令": recompute, "复算还须备": beside_text(files)}
        _write(simulation, place, page_head(simulation, run_id, again, served=served))
        listed = [item.as_json() for item in files]
        return {"synthetic": simulation.synthetic, "files": listed, "beside": beside_text(files)}

    write_proved(folder, run_id, simulation.deciding, recompute, write)
    return run_id


def _write(simulation: Simulation, folder: Path, head: SimulationHead) -> None:
    # Charts take their time to import, and other commands reach this module without drawing any.
    from api.web.simulation_page import simulation_page

    for name, table in simulation.tables.items():
        table.write_parquet(folder / "tables" / f"{name}.parquet")
    write_sheets(folder / "tables.xlsx", simulation.tables)
    for name, text in resolved_files(simulation).items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    listed = pl.concat([simulation.problems, simulation.reading])
    (folder / "problems.csv").write_bytes(csv_bytes(listed.columns, listed.iter_rows()))
    page = simulation_page(head, simulation.tables)
    (folder / "simulation.html").write_text(page, encoding="utf-8", newline="\n")


def resolved_files(simulation: Simulation) -> dict[str, str]:
    """The reforms as resolved, by the name of the file: they reproduce the run without solving anything."""
    reforms = simulation.reforms
    names = ["resolved.toml"] if len(reforms) == 1 else [f"resolved-{at}.toml" for at in range(1, len(reforms) + 1)]
    given = {item.id: item.sha256 for item in simulation.request.reforms}
    comment = "由 drgdip simulate 写出：求解得到的数值已写成普通改动，不再求解即可复现。\n来自方案 {} {}"
    return {
        name: reform_toml(reform, comment.format(reform.id, given[reform.id]))
        for name, reform in zip(names, reforms, strict=True)
    }


def page_head(simulation: Simulation, run_id: str, again: Mapping[str, str], *, served: bool = False) -> SimulationHead:
    """The head of the page; `again`: how the run is repeated, by label ("" = nothing to say)."""
    before, after = simulation.before.policy, simulation.after.policy
    about = {"支付政策": f"{before.name}（{before.id}）"}
    if after.id != before.id:
        about["改革后的政策"] = f"{after.name}（{after.id}）"
    for reform in simulation.request.reforms:
        about[f"改革 {reform.id}"] = f"{reform.name}  校验值 {reform.sha256[:_SHOWN]}"
    year = simulation.year_file
    if year is not None:
        about["年度文件"] = f"{year.region} {year.year} 年  校验值 {year.sha256[:_SHOWN]}"
    if simulation.request.bootstrap:
        about["重抽样"] = f"{simulation.request.bootstrap:,} 次，种子 {simulation.request.seed}"
    about |= {"病例": f"{simulation.before.cases.height:,} 例", "模拟批次": run_id}
    about |= {label: text for label, text in again.items() if text}
    title = "政策模拟：" + "，".join(reform.name for reform in simulation.request.reforms)
    return SimulationHead(title, about, told_problems(simulation), simulation.synthetic, served)


def told_problems(simulation: Simulation) -> list[Problem]:
    """What the page and the console tell of the simulation itself: one line for each kind of problem of cases."""
    return list(simulation.told[:_TOLD])


def counted(problems: pl.DataFrame) -> Mapping[tuple[str, str], tuple[int, str]]:
    """Problems by code and level: how many, and the first message with file and line where it has both."""
    placed = (pl.col("file") != "") & (pl.col("row") > 0)
    shown = pl.when(placed).then(pl.format("{}:{} {}", "file", "row", "message")).otherwise("message")
    found = problems.group_by("code", "level", maintain_order=True).agg(pl.len(), shown.first().alias("message"))
    order = {level.value: at for at, level in enumerate(Level)}
    rows = sorted(found.iter_rows(), key=lambda row: (order[row[1]], row[0]))
    return {(code, level): (count, message) for code, level, count, message in rows}
