"""The default auxiliary catalog (辅助目录): every level and every boundary, from the document's own words."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest

from reference_tables.auxiliary import default_auxiliary, read_auxiliary
from reference_tables.problems import TablesRefused
from tests.unit.auxiliary_pack import Catalog, pack

PACKS = Path(__file__).resolve().parents[2] / "reference_tables" / "packs"


@pytest.fixture(scope="module")
def default() -> Catalog:
    return Catalog(pack())


def of(catalog: Catalog, dimension: str, *, mean: int | None = None, **case: object) -> str:
    """The level of one case in one dimension, "" = none; principal A09.900 unless the case says otherwise."""
    case = {"diagnoses": ["A09.900"], **case}
    return catalog.levels(case, mean_cost_fen=mean)[0].get(dimension, "")


@pytest.mark.parametrize(
    ("others", "level"),
    [
        ([], "无"),
        (["I10.x00"], "无"),  # hypertension is no Charlson disease
        (["I21.900"], "一般"),  # myocardial infarction 1
        (["I21.900", "J44.900"], "一般"),  # and chronic lung disease: 2
        (["I21.900", "J44.900", "K25.900"], "严重"),  # and ulcer: 3
        (["G81.900", "N18.500"], "严重"),  # hemiplegia 2 + renal disease 2 = 4
        (["G81.900", "N18.500", "I21.900"], "极严重"),  # 5
        (["C78.000"], "极严重"),  # metastasis 6
        (["I21.900", "I22.900", "I25.200"], "一般"),  # one disease, counted once
        (["K73.900", "K72.900"], "严重"),  # severe liver disease 3 covers the mild one: 3, not 4
        (["E11.900", "E11.200"], "一般"),  # diabetes with complications 2 covers it without: 2, not 3
        (["C16.900", "C78.000"], "极严重"),  # metastasis covers the tumour: 6
        (["E11.900", "I21.900"], "一般"),  # uncovered: 1 + 1
        (["E85.416+I43.1*"], "一般"),  # the asterisk part is a cardiomyopathy of I43
        (["C44.900"], "无"),  # skin cancer is not counted
        (["B20.100"], "极严重"),  # AIDS 6
        (["K74.600x099"], "一般"),  # a code no book has, by its subcategory
    ],
)
def test_charlson_levels(default: Catalog, others: list[str], level: str) -> None:
    assert of(default, "CCI", diagnoses=["A09.900", *others]) == level


def test_the_principal_diagnosis_is_no_comorbidity(default: Catalog) -> None:
    assert of(default, "CCI", diagnoses=["C78.000"]) == "无"


@pytest.mark.parametrize(
    ("case", "level"),
    [
        ({"discharge_way": "5", "los_days": 2}, "IV-A"),
        ({"discharge_way": "5", "los_days": 3}, "IV-B"),
        ({"discharge_way": "1", "los_days": 3}, "轻度"),
        ({"discharge_way": "1", "los_days": 3, "diagnoses": ["A09.900", "J96.000"]}, "重度"),
        ({"discharge_way": "1", "los_days": 2, "diagnoses": ["A09.900", "J96.000"]}, "轻度"),
        ({"discharge_way": "5", "los_days": 9, "diagnoses": ["A09.900", "J96.000"]}, "IV-B"),
        ({"los_days": 3, "diagnoses": ["A09.900", "A41.900"]}, "重度"),  # sepsis
        ({"los_days": 3, "diagnoses": ["A09.900", "R57.200"]}, "重度"),  # septic shock
        ({"los_days": 3, "diagnoses": ["I50.900", "I50.907"]}, "重度"),  # any other diagnosis, the same category too
        ({"los_days": 3, "diagnoses": ["A09.900", "J06.900"]}, "轻度"),  # in neither list
        ({"los_days": 3, "diagnoses": ["A09.900", "I26.900"]}, "中度"),  # MCC: pulmonary embolism
        ({"los_days": 2, "diagnoses": ["A09.900", "I26.900"]}, "轻度"),
        ({"los_days": 3, "diagnoses": ["I26.901", "I26.900"]}, "轻度"),  # of the principal's own category
        ({"los_days": 3, "diagnoses": ["A09.900", "I26.900", "J96.000"]}, "重度"),
        (
            {"los_days": None, "discharge_way": "5", "diagnoses": ["A09.900"]},
            "轻度",
        ),  # days unknown: no comparison holds
        (
            {"los_days": 3, "diagnoses": ["A09.900", "E28.303"]},
            "中度",
        ),  # failure of the ovary is an MCC, no organ failure
    ],
)
def test_severity_of_other_than_malignant_disease(default: Catalog, case: dict[str, object], level: str) -> None:
    assert of(default, "疾病严重程度", **case) == level
    assert of(default, "肿瘤严重程度", **case) == ""


_TUMOUR = ["C34.900"]
_MEAN = 1_000_000


@pytest.mark.parametrize(
    ("case", "level"),
    [
        ({"discharge_way": "5", "los_days": 1}, "死亡"),
        ({"los_days": 3}, "其他"),
        ({"total_cost_fen": 3_000_000, "fee_treatment_fen": 1_500_000}, "高费用一"),
        ({"total_cost_fen": 2_999_999, "fee_treatment_fen": 2_000_000}, "其他"),
        ({"total_cost_fen": 3_000_000, "fee_treatment_fen": 1_499_999}, "其他"),
        ({"total_cost_fen": 3_000_001, "fee_treatment_fen": 1_500_000}, "其他"),  # 49.99998 % is not 50 %
        ({"total_cost_fen": 3_000_000, "fee_western_drug_fen": 1_500_000}, "高费用二"),
        (
            {
                "total_cost_fen": 4_000_000,
                "fee_western_drug_fen": 1_000_000,
                "fee_herbal_fen": 600_000,
                "fee_patent_drug_fen": 400_000,
            },
            "高费用二",
        ),
        (
            {"total_cost_fen": 4_000_000, "fee_treatment_fen": 2_000_000, "fee_western_drug_fen": 2_000_000},
            "高费用一",
        ),
        ({"total_cost_fen": 4_000_000, "fee_western_drug_fen": None}, "其他"),
        ({"los_days": 3, "diagnoses": ["C34.900", "C78.700"]}, "转移"),
        ({"los_days": 2, "diagnoses": ["C34.900", "C78.700"]}, "其他"),
        ({"los_days": 3, "diagnoses": ["C34.900", "C34.100"]}, "其他"),  # the same category
        ({"los_days": 3, "diagnoses": ["C34.900", "C97.x00"]}, "其他"),  # C97 is beyond C00 to C96
        ({"los_days": 3, "diagnoses": ["C34.900", "J96.000"]}, "功能衰竭"),
        ({"los_days": 3, "diagnoses": ["C34.900", "I26.900"]}, "重要器官"),
        ({"los_days": 3, "diagnoses": ["C34.900", "I26.900", "J96.000", "C78.700"]}, "转移"),
        ({"los_days": 9, "diagnoses": ["C97.x00"]}, "其他"),
    ],
)
def test_severity_of_tumours(default: Catalog, case: dict[str, object], level: str) -> None:
    case = {"diagnoses": _TUMOUR, **case}
    assert of(default, "肿瘤严重程度", mean=_MEAN, **case) == level
    assert of(default, "疾病严重程度", mean=_MEAN, **case) == ""


def test_no_mean_cost_or_no_total_no_level_by_cost(default: Catalog) -> None:
    costs = {"diagnoses": _TUMOUR, "total_cost_fen": 9_000_000, "fee_treatment_fen": 8_000_000}
    assert of(default, "肿瘤严重程度", mean=_MEAN, **costs) == "高费用一"
    assert of(default, "肿瘤严重程度", **costs) == "其他"
    assert of(default, "肿瘤严重程度", mean=0, **costs) == "其他"
    assert of(default, "肿瘤严重程度", mean=_MEAN, **{**costs, "total_cost_fen": None}) == "其他"
    assert of(default, "肿瘤严重程度", mean=_MEAN, diagnoses=_TUMOUR) == "其他"


def test_a_tumour_in_situ_is_not_malignant(default: Catalog) -> None:
    assert of(default, "疾病严重程度", diagnoses=["D05.900"]) == "轻度"


@pytest.mark.parametrize(
    ("years", "days", "level"),
    [
        (0, 0, "0-28天"), (0, 28, "0-28天"), (0, 29, "29天-1岁"), (0, 364, "29天-1岁"), (0, 365, "29天-1岁"),
        (0, None, ""), (None, 10, "0-28天"), (None, 40, "29天-1岁"), (None, None, ""), (1, None, "1-6岁"),
        (1, 0, "1-6岁"), (6, None, "1-6岁"), (7, None, "7-17岁"), (17, None, "7-17岁"), (18, None, ""), (40, 0, ""),
        (64, None, ""), (65, None, "65-69岁"), (69, None, "65-69岁"), (70, None, "70-79岁"), (79, None, "70-79岁"),
        (80, None, "80岁以上"), (104, None, "80岁以上"),
    ],
)  # fmt: skip
def test_age(default: Catalog, years: int | None, days: int | None, level: str) -> None:
    assert of(default, "年龄", age_years=years, age_days=days) == level


@pytest.mark.parametrize(
    ("hours", "level"),
    [
        (None, ""), (float("nan"), ""), (0, ""), (47.99, ""), (48, "2-7天"), (168, "2-7天"), (191.99, "2-7天"),
        (192, "8-14天"), (359.5, "8-14天"), (360, "15-30天"), (743.9, "15-30天"), (744, "31天以上"), (5000, "31天以上"),
    ],
)  # fmt: skip
def test_intensive_care(default: Catalog, hours: float | None, level: str) -> None:
    assert of(default, "重症监护", icu_hours=hours) == level


@pytest.mark.parametrize(
    ("diagnoses", "level"),
    [
        (["A09.900"], ""),
        (["A09.900", "I26.900"], "严重"),  # MCC
        (["A09.900", "J06.900"], ""),  # in neither list
        (["A09.900", "A01.000"], "一般"),  # CC
        (["A09.900", "A01.000", "I26.900"], "严重"),
        (["I26.901", "I26.900"], ""),
        (["A01.100", "A01.000", "I26.900"], "严重"),
        (["", "I26.900"], "严重"),  # no principal diagnosis: every other one is outside its category
        (["I26.900"], ""),
    ],
)
def test_secondary_diagnosis(default: Catalog, diagnoses: list[str], level: str) -> None:
    assert of(default, "次要诊断", diagnoses=diagnoses) == level


def test_the_complication_lists_are_those_of_the_national_scheme() -> None:
    with (PACKS / "chs-drg-1.1" / "cc.csv").open(encoding="utf-8", newline="") as lines:
        wanted = {(row["level"], row["code"]) for row in csv.DictReader(lines)}
    named = {"严重合并症": "MCC", "一般合并症": "CC"}
    sets = default_auxiliary()["aux_set"].filter(pl.col("set").is_in(list(named)))
    assert {(named[name], code) for name, code in sets.select("set", "item").iter_rows()} == wanted


def test_the_charlson_table_is_the_published_one() -> None:
    """Quan 2005, table 1: 17 diseases; the weights of Charlson 1987 add up to 33."""
    diseases = {disease.code: disease for disease in read_auxiliary(default_auxiliary()).diseases}
    assert len(diseases) == 17
    assert sum(disease.weight for disease in diseases.values()) == 10 + 2 * 4 + 3 + 6 * 2
    assert {code: covers for code, disease in diseases.items() if (covers := set(disease.covered_by))} == {
        "LIVER_MILD": {"LIVER_SEVERE"}, "DIABETES": {"DIABETES_COMPLICATED"}, "CANCER": {"METASTASIS"},
    }  # fmt: skip


def test_a_changed_default_file_is_refused(tmp_path: Path) -> None:
    source = PACKS.parent / "auxiliary"
    for name in ("aux_level.csv", "aux_set.csv", "cci.csv", "sources.toml"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    default_auxiliary(tmp_path)
    with (tmp_path / "cci.csv").open("a", encoding="utf-8") as file:
        file.write("X,别的,1,Z99,\n")
    with pytest.raises(TablesRefused) as refused:
        default_auxiliary(tmp_path)
    assert {problem.code for problem in refused.value.problems} == {"TB17", "TB18"}
