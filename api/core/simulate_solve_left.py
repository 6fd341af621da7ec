"""What clearing leaves of a solve that was done before it: it keeps neither a total nor a corridor of priced money."""

from __future__ import annotations

from fractions import Fraction

from api.core.simulate_stage import Stage, cleared_by_hospital
from api.core.simulate_task import MEASURES_ZH, Task
from api.core.solved import corridor_text, percent, signed, yuan
from budget.money import FEN, round_half_up
from reference_tables.problems import Problem

_PRICED = frozenset({"fund", "package"})


def left_by_clearing(task: Task) -> list[Problem]:
    """SO16, and SO17 of a corridor, for a solve of priced money, once all that its reform asks for holds. The stage is
    that of the reform, which is worked out anyway."""
    fields = task.solve.fields
    on = fields.get("on") or fields.get("measure")
    if on not in _PRICED:
        return []
    before, after = task.before, task.stage((), cleared=True)
    had, has = before.cleared_fen or 0, after.cleared_fen or 0
    of_value = task.solve.kind == "target"
    than = round_half_up(fields["value"] * FEN) if of_value else had
    told = [task.problem("SO16", {
        "measure": MEASURES_ZH[on], "cleared": yuan(Fraction(has)),
        "than": "目标" if of_value else "改革前清算后",
        "difference": signed(yuan(Fraction(has - than))),
        "balance": yuan(Fraction(after.balance_fen or 0)), "before": yuan(Fraction(before.balance_fen or 0)),
        "field": 'measure = "balance"' if of_value else 'on = "cleared"',
    })]  # fmt: skip
    if task.solve.kind == "corridor":
        told.append(_corridor(task, MEASURES_ZH[on], before, after))
    return told


def _corridor(task: Task, measure: str, before: Stage, after: Stage) -> Problem:
    """SO17: how many hospitals clearing leaves outside, and the one that it moves most."""
    assert before.clearing is not None, "cleared"
    assert after.clearing is not None, "cleared"
    low, high = task.solve.fields["low"], task.solve.fields["high"]
    had, has = cleared_by_hospital(before.clearing), cleared_by_hospital(after.clearing)
    moved = {name: Fraction(has.get(name, 0) - fen, fen or 1) for name, fen in had.items()}
    farthest = max(moved, key=lambda name: (abs(moved[name]), name))
    return task.problem("SO17", {
        "measure": measure, "all": len(moved), "count": sum(not low <= share <= high for share in moved.values()),
        "corridor": corridor_text(low, high), "hospital": farthest,
        "moved": signed(percent(moved[farthest])),
    })  # fmt: skip
