"""Problems of submissions speak of routes and documents, not of a command's options."""

from __future__ import annotations

from api.service.batches import served
from reference_tables.problems import Problem, problem_frame


def test_options_of_commands_are_not_told() -> None:
    named = {"hospital": "H1", "case": "A1", "pack": "某方案", "given": "别的", "month": "2026-01"}
    told = served(problem_frame([
        Problem("PA05", {"value": "", "policy": "p"}, row=2, case_id="A1"), Problem("ST44", named, row=3, case_id="A2"),
        Problem("SV66", row=4),
    ]))  # fmt: skip
    assert not told["fix"].str.contains("--").any()
    assert told["fix"][1] == "更正当时的病例另行提交：先用 PUT /v1/documents/scheme/文件名 放回 某方案，再结算这些更正"
    assert told["fix"][2] == "补上病例编号后重新提交"
    assert told["case_id"].to_list() == ["A1", "A2", ""]
