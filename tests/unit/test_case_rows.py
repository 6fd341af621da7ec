"""Cases of a request as rows: their lists come into columns as they are."""

from __future__ import annotations

from api.service.cases import case_frame

_LISTS = [None, [], ["A00.000"], ["A00.000", ""], ["A00.000", "I10.x00", " 脑 "], [""]]
_READ = [None, [], ["A00.000"], ["A00.000", ""], ["A00.000", "I10.x00", "脑"], [""]]


def test_lists_are_kept_as_given_without_blanks() -> None:
    frame = case_frame([{"diagnoses": item} if item is not None else {"sex": 1} for item in _LISTS])
    assert frame["diagnoses"].to_list() == _READ
    assert frame["sex"].to_list() == [1, None, None, None, None, None]
    assert case_frame([{"procedures": None}])["procedures"].to_list() == [None]
