"""A policy that replaces another within the year: earlier months keep what they were settled by.

Under the first policy a weight is paid 1,000 yuan, under the dearer one 2,000; a case's patient paid 300 yuan.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from api.core.book import Book, BookRefused, new_book, open_book
from api.core.book_check import verify_book
from api.core.settle import InputFile, MonthInput, Settled, settle_month
from budget.group_values import GroupValues
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy, load_policy, parse_policy
from tests.unit.settlement_examples import VALUES, case, payable, policy_text, region_policy

FIRST = region_policy()
DEARER = region_policy(base_rate="2000")
JULY = region_policy(base_rate="2000", since=date(2026, 7, 1))
PACK = {"id": "small", "sha256": "a" * 64}
OTHER_PACK = {"id": "small-2", "sha256": "b" * 64}


def settle(
    book: Book, month: str, policy: Policy, values: GroupValues = VALUES, pack: dict[str, str] = PACK, **given: Any
) -> Settled:
    files = tuple(
        InputFile(name, frame.write_csv()) for name, frame in given.items() if isinstance(frame, pl.DataFrame)
    )
    asked = MonthInput(month, files=files, policy_text=policy_text(policy), made_with={"pack": pack}, **given)
    settled = settle_month(book, policy, values, asked)
    assert verify_book(open_book(settled.book.path)) == []
    return settled


def codes(settled: Settled) -> list[str]:
    return settled.problems["code"].to_list()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """January by the first policy (case 1: 700 yuan), February by the dearer one (case 2: 1,700 yuan)."""
    january = settle(new_book(tmp_path / "book", 2026), "2026-01", FIRST, cases=payable(case("1")))
    assert codes(january) == []
    february = payable(case("2", month="2026-02"))
    return settle(january.book, "2026-02", DEARER, cases=february, policy_reason="调整").book


def test_a_correction_goes_by_the_policy_of_the_case(book: Book) -> None:
    """Case 1 in group G2: 2 x 1,000 - 300; case 2 in group G2: 2 x 2,000 - 300."""
    both = payable(case("1", group="G2"), case("2", group="G2", month="2026-02"))
    settled = settle(open_book(book.path), "2026-03", DEARER, corrections=both, reason="编码更正")
    assert settled.details.select("case_id", "before_fen", "now_fen").rows() == [
        ("1", 70_000, 170_000),
        ("2", 170_000, 370_000),
    ]
    again = settle(settled.book, "2026-03", DEARER, corrections=payable(case("1")), reason="编码无误")
    assert again.details.select("before_fen", "now_fen").rows() == [(170_000, 70_000)]


def test_a_case_that_moves_to_another_month_goes_by_that_month(book: Book) -> None:
    moved = payable(case("1", month="2026-02"))
    settled = settle(book, "2026-03", DEARER, corrections=moved, reason="结算日期更正")
    assert settled.details["now_fen"].to_list() == [170_000]


def test_a_late_case_goes_by_the_policy_of_its_month(book: Book) -> None:
    late = payable(case("3"), case("4", month="2026-03"))
    settled = settle(book, "2026-03", DEARER, cases=late)
    assert settled.book.priced().filter(pl.col("book_month") == "2026-03").select("case_id", "fund_fen").rows() == [
        ("3", 70_000),
        ("4", 170_000),
    ]


def test_a_policy_that_begins_in_mid_year_corrects_earlier_months(tmp_path: Path) -> None:
    june = settle(new_book(tmp_path / "book", 2026), "2026-06", FIRST, cases=payable(case("1", month="2026-06")))
    july = payable(case("2", month="2026-07"), case("late", month="2026-06"))
    settled = settle(june.book, "2026-07", JULY, cases=july, policy_reason="下半年费率")
    assert codes(settled) == ["ST52"]
    assert "2026-07-01 以前各月仍按账册所记的当时政策定价" in settled.problems["message"][0]
    assert settled.statement["due_fen"].to_list() == [170_000 + 70_000]
    corrected = settle(
        settled.book, "2026-08", JULY, corrections=payable(case("1", month="2026-06", group="G2")), reason="更正"
    )
    assert corrected.details["now_fen"].to_list() == [170_000]
    assert codes(corrected) == []


def test_weights_that_change_need_a_reason_and_stay_with_their_months(book: Book) -> None:
    heavier = GroupValues.of_rows([{"group": "G1", "weight": "1.5"}, {"group": "G2", "weight": "2"}])
    march = payable(case("3", month="2026-03"))
    with pytest.raises(BookRefused) as refused:
        settle(book, "2026-03", DEARER, heavier, cases=march)
    (problem,) = refused.value.problems
    assert problem.code == "ST13"
    assert "权重（分值）与账册所记的不同" in problem.message
    settled = settle(book, "2026-03", DEARER, heavier, cases=march, policy_reason="新权重")
    assert settled.statement["due_fen"].to_list() == [270_000]
    dearer_case = payable(case("2", month="2026-02", patient_paid_fen=40_000))
    corrected = settle(settled.book, "2026-03", DEARER, heavier, corrections=dearer_case, reason="自付更正")
    assert corrected.details["now_fen"].to_list() == [160_000]


def test_corrections_are_grouped_by_the_scheme_of_their_month(book: Book) -> None:
    march = payable(case("3", month="2026-03"))
    settled = settle(book, "2026-03", DEARER, pack=OTHER_PACK, cases=march, policy_reason="新方案")
    change = payable(case("2", month="2026-02", group="G2"))
    refused = settle(settled.book, "2026-03", DEARER, pack=OTHER_PACK, corrections=change, reason="更正")
    assert (refused.run, codes(refused)) == (None, ["ST44"])
    assert "small" in refused.problems["message"][0]
    done = settle(settled.book, "2026-03", DEARER, pack=PACK, corrections=change, reason="更正")
    assert done.details["now_fen"].to_list() == [370_000]
    assert len(done.book.policies) == 3, "a correction brings no policy of its own"


def test_a_year_keeps_to_one_way_of_payment(book: Book) -> None:
    points = region_policy(method="drg-point", point_scale="100", point_value="10", base_rate=None,
                           normal_formula="N_POINT", low_formula="L_COST", high_formula="H_COST")  # fmt: skip
    with pytest.raises(BookRefused) as refused:
        settle(book, "2026-03", points, cases=payable(case("3", month="2026-03")), policy_reason="改点数")
    assert [problem.code for problem in refused.value.problems] == ["ST19"]


def test_a_year_keeps_to_its_pools(book: Book) -> None:
    merged = region_policy(base_rate="2000", pools="merged")
    with pytest.raises(BookRefused) as refused:
        settle(book, "2026-03", merged, cases=payable(case("3", month="2026-03")), policy_reason="统筹合并")
    assert [problem.code for problem in refused.value.problems] == ["ST22"]


def test_what_a_new_policy_means_for_clearing_is_told(book: Book, tmp_path: Path) -> None:
    ending = region_policy(until=date(2026, 10, 1))
    first = settle(new_book(tmp_path / "new", 2026), "2026-01", ending, cases=payable(case("1")))
    assert codes(first) == ["ST52"]
    assert "到 2026-10-01 不再执行" in first.problems["message"][0]
    cheaper = region_policy(base_rate="1500")
    march = settle(book, "2026-03", cheaper, cases=payable(case("3", month="2026-03")), policy_reason="再调整")
    assert "以前各月也按它重新定价" in march.problems["message"][0]


def test_a_weight_file_in_another_folder_is_kept_beside_the_policy(tmp_path: Path) -> None:
    (tmp_path / "rw").mkdir()
    (tmp_path / "rw" / "2026.csv").write_text("group,rw\nG1,1\nG2,2\n", encoding="utf-8")
    text = 'weights = "rw/2026.csv"  # 权重\n' + policy_text(FIRST)
    policy = parse_policy(text, "policy.toml", tmp_path)
    files = (InputFile("cases", "a"),)
    given = MonthInput("2026-01", cases=payable(case("1")), files=files, policy_text=text)
    book = settle_month(new_book(tmp_path / "book", 2026), policy, VALUES, given).book
    (kept,) = book.policies
    (tmp_path / "rw" / "2026.csv").unlink()
    found = load_policy(book.path / "policies" / kept.key / "policy.toml")
    assert found.sha256 == policy.sha256
    assert find_group_weights(found.weights).weight("G2") == 2
    with pytest.raises(ValueError, match="another policy"):
        settle_month(new_book(tmp_path / "other", 2026), DEARER, VALUES, replace(given, policy_text=policy_text(FIRST)))


def test_the_kept_policy_is_a_policy_file_and_its_change_shows(book: Book) -> None:
    first, second = book.policies
    kept = load_policy(book.path / "policies" / first.key / "policy.toml")
    assert kept.sha256 == FIRST.sha256 == first.sha256
    assert second.since == "2026-02"
    table = book.path / "policies" / first.key / "weights.csv"
    assert table.read_text(encoding="utf-8").splitlines()[1] == "G1,,,1,,"
    table.write_text(table.read_text(encoding="utf-8").replace("G1,,,1,,", "G1,,,3,,"), encoding="utf-8")
    with pytest.raises(BookRefused) as refused:
        settle(open_book(book.path), "2026-03", DEARER, corrections=payable(case("1", group="G2")), reason="x")
    assert [problem.code for problem in refused.value.problems] == ["ST66"]
    assert {problem.code for problem in verify_book(open_book(book.path))} == {"ST60"}


@pytest.mark.parametrize(
    ("name", "value", "code"), [("since", "2026-01", "ST67"), ("pack_sha256", "c" * 64, "ST66"), ("key", "x", "ST66")]
)
def test_a_changed_note_of_a_policy_shows(book: Book, name: str, value: str, code: str) -> None:
    place = book.path / "book.json"
    index = orjson.loads(place.read_bytes())
    index["policies"][1][name] = value
    place.write_bytes(orjson.dumps(index))
    assert code in {problem.code for problem in verify_book(open_book(book.path))}
