"""How often each DRG of a pack occurs in the made cases: heavy-tailed inside its MDC, split by severity."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.draws import Draws, rank_weights
from benchmarks.plausible import case_mix
from reference_tables.packs import DrgPack

UNANSWERED = "0000"
_STREAM = 3
_FINE = 1000


def group_weights(pack: DrgPack, drgs: Sequence[str]) -> list[int]:
    """Whole weights of the DRGs that can be reached (UNANSWERED: no MDC answers).

    The order of frequency is drawn once for a scheme, so that two months of it have one case mix.
    """
    mix = case_mix()
    names = dict(pack.adrg.select("code", "name").iter_rows())
    adrg_of = dict(pack.drg.select("code", "adrg").iter_rows())
    mdc_of = dict(pack.adrg.select("code", "mdc").iter_rows())
    mdc_names = list(pack.mdc["code"])
    adrg_weight = _adrg_weights(pack)
    split: dict[str, int] = {}
    shares: dict[str, int] = {}
    for drg in drgs:
        if drg in adrg_of:
            severity = _severity(names[adrg_of[drg]], drg[-1])
            split[drg] = severity
            shares[adrg_of[drg]] = shares.get(adrg_of[drg], 0) + severity
    totals: dict[str, int] = {}
    for adrg in shares:
        totals[mdc_of[adrg]] = totals.get(mdc_of[adrg], 0) + adrg_weight[adrg]
    weights: list[int] = []
    for drg in drgs:
        if drg not in adrg_of:
            weights.append(mix["mdc"]["unanswered"] * _FINE * _FINE)
            continue
        adrg = adrg_of[drg]
        mdc = mdc_of[adrg]
        letter = mdc[-1] if mdc in mdc_names else ""
        share = mix["mdc"].get(letter, mix["mdc"]["default"]) * _FINE * _FINE
        weights.append(max(1, share * adrg_weight[adrg] * split[drg] // (totals[mdc] * shares[adrg])))
    return weights


def _severity(adrg_name: str, last: str) -> int:
    mix = case_mix()
    special: dict[str, int] = next((shares for words, shares in mix["severity_of"].items() if words in adrg_name), {})
    return int(special.get(last) or mix["severity"].get(last, mix["severity"]["default"]))


def _adrg_weights(pack: DrgPack) -> dict[str, int]:
    mix = case_mix()["group"]
    ordinary = rank_weights(pack.adrg.height, Draws(_STREAM), mix["scale"] * _FINE, mix["flattening"])
    weights: dict[str, int] = {}
    for (code, name), weight in zip(pack.adrg.select("code", "name").iter_rows(), ordinary.tolist(), strict=True):
        common = next((factor for words, factor in mix["common"] if words in name), 0)
        if code.endswith(("QY", "00")):
            common = mix["rare"]
        weights[code] = common * _FINE or weight
    return weights
