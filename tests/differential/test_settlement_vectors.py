"""Every worked settlement example, every field, answered by the product's own functions."""

from __future__ import annotations

import pytest

from tests.differential import settlement_book, settlement_clearing, settlement_pricing, settlement_weights
from tests.differential.settlement_vectors import Example, examples

KINDS = {**settlement_clearing.KINDS, **settlement_book.KINDS, **settlement_pricing.KINDS, **settlement_weights.KINDS}


@pytest.mark.parametrize("example", examples(), ids=lambda item: item.name)
def test_example(example: Example) -> None:
    assert example.kind in KINDS, f"no answer to examples of kind {example.kind}"
    found = KINDS[example.kind](example.inputs)
    assert {name: found.get(name) for name in example.expected} == dict(example.expected)


def test_every_example_is_there() -> None:
    own = [example for example in examples() if example.name.startswith("settlement_examples-S")]
    assert len(own) == 92
