"""What a clearing tells of the year file itself: scores above the full score, names that the register has otherwise."""

from __future__ import annotations

from fractions import Fraction

import polars as pl
import pytest

from api.core.clearing_notes import other_names, wrong_scores
from budget.year_terms import YearTerms
from reference_tables.policy import Policy, load_policy
from reference_tables.policy_bands import ScoreBand
from reference_tables.year_file import YearFile, parse_year_file


def _year(*scores: str, name: str = "甲医院") -> YearFile:
    rows = "".join(
        f'[[hospital]]\nid = "H{at}"\nname = "{name}"\nscore = "{score}"\n' for at, score in enumerate(scores, 1)
    )
    return parse_year_file(f'year = 2026\nregion = "合成市"\ndata_level = "synthetic"\n{rows}')


class _Terms(YearTerms):
    """Bands that begin at a score."""

    top = Fraction(95)

    def look(self, key: str, **scope: str) -> tuple[ScoreBand, ...]:
        assert key == "assessment_bands", scope
        return (ScoreBand(self.top, Fraction(1)), ScoreBand(Fraction(0), None))


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("synthetic-city-drg-point")


def test_scores_are_held_to_the_full_score(policy: Policy) -> None:
    found = list(wrong_scores(YearTerms(policy, 2026, "clear"), _year("96.5", "100", "100.01", "196.5")))
    assert [(item.code, item.row, item.value) for item in found] == [("CL63", 12, "100.01"), ("CL63", 16, "196.5")]
    assert found[1].args["full"] == "100"


@pytest.mark.parametrize(("top", "refused"), [("95", 1), ("100", 1), ("950", 0)])
def test_bands_that_begin_higher_say_that_the_scale_is_another(policy: Policy, top: str, refused: int) -> None:
    terms = _Terms(policy, 2026, "clear")
    terms.__class__.top = Fraction(top)
    assert len(list(wrong_scores(terms, _year("90", "960")))) == refused


def test_names_that_differ_are_told(policy: Policy) -> None:
    register = pl.DataFrame({"hospital_id": ["H1", "H2", "H3"], "name": ["甲医院", "乙医院", None]})
    found = list(other_names(_year("1", "1", "1", "1"), register))
    assert [(item.code, item.value) for item in found] == [("CL64", "甲医院")]
    assert found[0].args == {"hospital": "H2", "year_name": "甲医院", "name": "乙医院"}
    assert not list(other_names(_year("1"), None))
