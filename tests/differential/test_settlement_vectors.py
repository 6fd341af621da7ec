"""Every worked settlement example, every field, answered by the product's own functions."""

from __future__ import annotations

import pytest

from tests.differential import settlement_book, settlement_clearing, settlement_pricing
from tests.differential.settlement_vectors import Example, examples

KINDS = settlement_clearing.KINDS | settlement_book.KINDS | settlement_pricing.KINDS


@pytest.mark.parametrize("example", [item for item in examples() if item.kind in KINDS], ids=lambda item: item.name)
def test_example(example: Example) -> None:
    found = KINDS[example.kind](example.inputs)
    assert {name: found.get(name) for name in example.expected} == dict(example.expected)
