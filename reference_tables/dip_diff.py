"""What changed between two DIP packs, told apart by whether it can change a group, a score, or only a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reference_tables.dip_cells import diagnosis_items, number_range, procedure_alternatives, spelled
from reference_tables.dip_pack import DipPack, dip_schema

_KEYS = {
    "layer": ("code",),
    "mixed": ("code",),
    "excluded_dx": ("code",),
    "excluded_px": ("code",),
    "nature": ("code",),
    "flag": ("flag", "role", "item"),
    "primary_care": ("principal_dx", "px"),
    "aux_level": ("dimension", "level"),
    "aux_set": ("set", "item"),
    "cci": ("disease", "item"),
    "aux_factor": ("code", "dimension", "level"),
}
_LABELS = frozenset({"name"})
_CODES = frozenset({"excluded_dx", "excluded_px", "nature"})
_SCORING = frozenset({"aux_level", "aux_set", "cci", "aux_factor"})
_LABELLING = frozenset({"primary_care"})
_NONE = "（无）"


@dataclass(frozen=True, slots=True)
class Group:
    """A core group that only one of the packs has; `text` its conditions as the cells state them."""

    code: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of another table that only one of the packs has; `key` joins the cells that name it."""

    table: str
    key: str


@dataclass(frozen=True, slots=True)
class Change:
    """One cell before and after; `key` names the row."""

    table: str
    key: str
    column: str
    old: str
    new: str


@dataclass(frozen=True)
class DipDiff:
    """Everything that differs between pack `old` and pack `new`.

    `conditions_changed` of core groups differ in meaning, `conditions_reworded` only in how the cell is written.
    `reordered`: layers in which the core groups of both packs follow in another order, with the first that differ;
    numbers that leave the order as it was are `renumbered`. `rows_*` are those of all other tables.
    `statistics_changed`: case counts and the like beside a score. Codes are compared as `spelled`.
    """

    old: str
    new: str
    groups_added: list[Group] = field(default_factory=list)
    groups_removed: list[Group] = field(default_factory=list)
    conditions_changed: list[Change] = field(default_factory=list)
    reordered: list[Change] = field(default_factory=list)
    rows_added: list[Row] = field(default_factory=list)
    rows_removed: list[Row] = field(default_factory=list)
    rows_changed: list[Change] = field(default_factory=list)
    settings_changed: list[Change] = field(default_factory=list)
    scores_changed: list[Change] = field(default_factory=list)
    statistics_changed: list[Change] = field(default_factory=list)
    renumbered: list[Change] = field(default_factory=list)
    conditions_reworded: list[Change] = field(default_factory=list)
    renamed: list[Change] = field(default_factory=list)

    @property
    def changes_grouping(self) -> bool:
        """Whether any difference can change the group of a case, or its mark 基层病种."""
        rows = (row.table for rows in (self.rows_added, self.rows_removed, self.rows_changed) for row in rows)
        changed = (
            self.groups_added,
            self.groups_removed,
            self.conditions_changed,
            self.reordered,
            self.settings_changed,
        )
        return any(changed) or any(table not in _SCORING for table in rows)

    @property
    def changes_scores(self) -> bool:
        """Whether any difference can change the score of a case that keeps its group."""
        return bool(self.scores_changed) or any(table in _SCORING for table in self._tables())

    def _tables(self) -> Iterator[str]:
        """The tables besides that of core groups in which rows differ."""
        for rows in (self.rows_added, self.rows_removed, self.rows_changed):
            yield from (row.table for row in rows)

    @property
    def empty(self) -> bool:
        return not any(value for name, value in vars(self).items() if name not in {"old", "new"})


_Rows = Mapping[tuple[str, ...], Mapping[str, str]]


def diff_dip_packs(old: DipPack, new: DipPack) -> DipDiff:
    """Compare two DIP packs by code: core groups, order, every other table, scores, settings."""
    diff = DipDiff(old.id, new.id)
    _compare_core(diff, _rows(old, "core", ("code",)), _rows(new, "core", ("code",)))
    _compare_order(diff, old, new)
    for table, key in _KEYS.items():
        _compare_rows(diff, table, _rows(old, table, key), _rows(new, table, key))
    _compare_scores(diff, _rows(old, "score", ("code",)), _rows(new, "score", ("code",)))
    for setting in dip_schema().meta:
        _note(diff.settings_changed, "meta", setting, "value", old.setting(setting), new.setting(setting))
    _note(diff.settings_changed, "meta", "newborn_weight", "value", old.newborn_weight, new.newborn_weight)
    return diff


def _rows(pack: DipPack, table: str, key: Sequence[str]) -> dict[tuple[str, ...], dict[str, str]]:
    fold = spelled if table in _CODES else str
    return {tuple(fold(row[name]) for name in key): row for row in pack.table(table).iter_rows(named=True)}


def _note(changes: list[Change], table: str, key: str, column: str, old: str, new: str) -> None:
    if old != new:
        changes.append(Change(table, key, column, old, new))


def _compare_core(diff: DipDiff, old: _Rows, new: _Rows) -> None:
    diff.groups_removed.extend(_group(row) for key, row in old.items() if key not in new)
    for key, row in new.items():
        if key not in old:
            diff.groups_added.append(_group(row))
            continue
        before = old[key]
        _note(diff.renamed, "core", row["code"], "name", before["name"], row["name"])
        for column in dip_schema().tables["core"].columns:
            if column in {"code", "name", "number"}:
                continue
            same = _meaning(column, before[column]) == _meaning(column, row[column])
            changes = diff.conditions_reworded if same else diff.conditions_changed
            _note(changes, "core", row["code"], column, before[column], row[column])


def _group(row: Mapping[str, str]) -> Group:
    asked = {column: row[column] for column in dip_schema().tables["core"].columns if row[column]}
    text = " ".join(f"{name}={cell}" for name, cell in asked.items() if name not in {"code", "name", "number"})
    return Group(row["code"], row["name"], text)


def _meaning(column: str, cell: str) -> object:
    """What a cell of a core group says, however it is written."""
    kind = dip_schema().columns.cells["core"].get(column)
    if kind in {"any", "diagnosis"}:
        return frozenset(diagnosis_items(cell)), bool(cell)
    if kind == "procedure":
        return frozenset(procedure_alternatives(cell))
    return number_range(cell) if kind == "range" else cell


def _compare_order(diff: DipDiff, old: DipPack, new: DipPack) -> None:
    """The order of the core groups that stand in the same layer of both packs."""
    before, after = ({(row.layer.code, row.code): row for row in pack.rows} for pack in (old, new))
    for layer in new.layers:
        was = [key for key in before if key[0] == layer and key in after]
        now = [key for key in after if key[0] == layer and key in before]
        first = next((pair for pair in zip(was, now, strict=True) if pair[0] != pair[1]), None)
        if first is not None:
            diff.reordered.append(Change("core", layer, "number", first[0][1], first[1][1]))
        else:
            for key in now:
                _note(diff.renumbered, "core", key[1], "number", str(before[key].number), str(after[key].number))


def _compare_rows(diff: DipDiff, table: str, old: _Rows, new: _Rows) -> None:
    diff.rows_removed.extend(Row(table, " ".join(key)) for key in old if key not in new)
    for key, row in new.items():
        if key not in old:
            diff.rows_added.append(Row(table, " ".join(key)))
            continue
        for column in dip_schema().tables[table].columns:
            if column in _KEYS[table] or (table in _LABELLING and column == "number"):
                continue
            changes = diff.renamed if column in _LABELS else diff.rows_changed
            _note(changes, table, " ".join(key), column, old[key][column], row[column])


def _compare_scores(diff: DipDiff, old: _Rows, new: _Rows) -> None:
    """Scores, and for groups that both packs score the statistics beside them."""
    for key in dict.fromkeys([*old, *new]):
        before, after = old.get(key), new.get(key)
        scores = [row["score"] if row is not None else _NONE for row in (before, after)]
        _note(diff.scores_changed, "score", key[0], "score", *scores)
        if before is not None and after is not None:
            for column in dip_schema().tables["score"].columns:
                if column not in {"code", "score"}:
                    _note(diff.statistics_changed, "score", key[0], column, before[column], after[column])
