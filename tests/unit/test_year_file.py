"""Year files: what is read, and every fault of a file at once with its line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from reference_tables.problems import Problem, TablesRefused
from reference_tables.year_file import find_year_files, load_year_file, parse_year_file

HEAD = 'year = 2026\nregion = "某市"\ndata_level = "local"\n'
FUND = '[[fund]]\ninsurance = "职工"\nincome = "100.00"\n'


def faults(text: str) -> list[tuple[str, int]]:
    with pytest.raises(TablesRefused) as refused:
        parse_year_file(text)
    return [(problem.code, problem.row) for problem in refused.value.problems]


def problem_of(text: str) -> Problem:
    with pytest.raises(TablesRefused) as refused:
        parse_year_file(text)
    [problem] = refused.value.problems
    return problem


def test_amounts_are_fen_and_numbers_exact() -> None:
    found = parse_year_file(
        HEAD + FUND + '[[history]]\ninsurance = "职工"\nyear = 2025\ntotal_cost = "12.34"\nunits = "0.125"\n'
        '[[hospital]]\nid = "A"\nscore = "88.5"\n'
    )
    assert found.row("fund", insurance="职工")["income"] == 10000  # type: ignore[index]
    assert found.tables["history"][0]["units"] == Fraction(1, 8)
    assert (found.score("A"), found.score("B")) == (Fraction(177, 2), None)
    assert (found.name("A"), found.insurances, found.tables["hospital"][0].line) == ("A", ("职工",), 12)


def test_every_fault_is_told_with_its_line() -> None:
    text = (
        'year = 1999\nregion = "某市"\nregion = "别市"\nlevel = "x"\n'  # 1 too early, 3 twice, 4 unknown; no data_level
        '[[fund]]\ninsurance = "职工"\nincome = 3.5\n'  # 7 a float
        '[[deduction]]\ninsurance = "职工"\nitem = "tax"\namount = "-1.00"\n'  # 10 unknown item, 11 negative
        '[[violation]]\nhospital = "A"\ninsurance = "职工"\namount = "1.005"\n'  # 12 no reason, 15 three decimals
    )
    assert faults(text) == [
        ("CL06", 0), ("PL09", 1), ("CL03", 3), ("CL04", 4), ("PL08", 7), ("PL10", 10), ("PL09", 11), ("CL06", 12),
        ("PL07", 15),
    ]  # fmt: skip


def test_rows_must_fit_together() -> None:
    text = HEAD + (
        '[[fund]]\ninsurance = "职工"\nincome = "1"\ninpatient_budget = "1"\n'  # line 4: both
        '[[fund]]\ninsurance = "职工"\nincome = "1"\n'  # line 8: twice
        '[[hospital]]\nid = "A"\n'
        '[[violation]]\nhospital = "B"\ninsurance = "居民"\namount = "1"\nreason = "x"\n'  # line 13: neither is known
        '[[quota]]\nhospital = "A"\ninsurance = "职工"\namount = "1"\npart = "1"\n'  # line 18: both
        '[[county_group]]\nid = "G"\nname = "G"\nlead = "A"\n'  # line 23: lead no member, no heads
    )
    assert faults(text) == [
        ("CL09", 4), ("CL07", 8), ("CL08", 13), ("CL08", 13), ("CL10", 18), ("CL12", 23), ("CL13", 23),
    ]  # fmt: skip


def test_a_row_with_a_fault_still_names_what_others_refer_to() -> None:
    text = HEAD + (
        '[[fund]]\ninsurance = "职工"\nincome = "1.005"\n'  # line 4: the income is the only fault of the file
        '[[hospital]]\nid = "A"\n'
        '[[violation]]\nhospital = "A"\ninsurance = "职工"\namount = "1"\nreason = "x"\n'
        '[[county_group]]\nid = "G"\nname = "G"\nlead = "A"\n'
        '[[member]]\ncounty_group = "G"\nhospital = "A"\nrole = ""\n'  # and the role
        '[[heads]]\ncounty_group = "G"\ninsurance = "职工"\nheads = -1\nper_head = "1"\n'  # and the heads
    )
    assert [(code, line) for code, line in faults(text) if code.startswith("CL")] == []
    assert [line for _, line in faults(text)] == [6, 21, 25]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TablesRefused) as refused:
        load_year_file(tmp_path / "none.toml")
    assert [problem.code for problem in refused.value.problems] == ["CL01"]
    (tmp_path / "gbk.toml").write_bytes("region = '某市'".encode("gbk"))
    with pytest.raises(TablesRefused) as refused:
        load_year_file(tmp_path / "gbk.toml")
    assert [problem.code for problem in refused.value.problems] == ["CL02"]
    assert problem_of("year = = 3").code == "CL02"
    assert problem_of(HEAD + "fund = 3").code == "CL05"
    missing = problem_of('decisions = "no.csv"\n' + HEAD)
    assert missing.code == "CL11"
    assert "PUT /v1/documents/decisions/no.csv" in missing.service_fix
    nothing = '[[violation]]\nhospital = "A"\ninsurance = "职工"\namount = "0.00"\nreason = "x"\n'
    assert problem_of(HEAD + FUND + nothing).code == "PL09"


def test_the_built_in_year_file_is_sound_and_says_it_is_synthetic() -> None:
    for name in find_year_files():
        assert load_year_file(name).data_level == "synthetic"
    assert "synthetic-city-2026" in find_year_files()
