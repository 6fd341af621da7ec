"""Cases as settlement lists, message 4101, with the full field names.

Hospitals differ in `diag_type`: those with an odd number send 1 西医, 2 中医主病, 3 中医主证; the others
1 西医主要诊断, 2 西医其他诊断, 3 中医主病, 4 中医主证. Every tenth record also bears a Chinese-medicine
diagnosis. Source: 医疗保障基金结算清单信息上传【4101】.
"""

from __future__ import annotations

import polars as pl

CHARGE_CATEGORIES = (
    "bed", "consultation", "examination", "laboratory", "treatment", "operation", "nursing", "material",
    "western_drug", "herbal", "patent_drug", "general_consultation", "registration", "other",
)  # fmt: skip
"""Categories 01 to 14 of med_chrgitm."""
_CHINESE = (("BNP120", "胸痹病"), ("ZYVXG0", "气虚血瘀证"))
_CHINESE_EVERY = 10
_FUNDS = {"310": "310100", "390": "390100"}


def settlement_lists(cases: pl.DataFrame) -> pl.DataFrame:
    """One message a case with details: columns infno and input (a struct of the seven nodes)."""
    four = (pl.col("hospital_id").str.tail(1).cast(pl.Int32) % 2 == 0).alias("four_types")
    numbered = cases.with_columns(four, pl.int_range(pl.len(), dtype=pl.UInt32).alias("at"))
    joined = numbered.join(_diagnoses(numbered), on="at", how="left", maintain_order="left").join(
        _procedures(numbered), on="at", how="left", maintain_order="left"
    )
    nodes = [
        _setlinfo(),
        _payinfo(),
        _nothing("opspdiseinfo"),
        _rows("diseinfo"),
        _iteminfo(),
        _rows("oprninfo"),
        _icuinfo(),
    ]
    return joined.select(pl.lit("4101").alias("infno"), pl.struct(nodes).alias("input"))


def _yuan(fen: pl.Expr) -> pl.Expr:
    """Yuan as a number. By way of text: dividing by a hundred would show its rounding."""
    return ((fen // 100).cast(pl.String) + "." + (fen % 100).cast(pl.String).str.zfill(2)).cast(pl.Float64)


def _span(name: str) -> pl.Expr:
    """Minutes as days/hours/minutes."""
    minutes = pl.col(name)
    return pl.format("{}/{}/{}", minutes // 1440, minutes % 1440 // 60, minutes % 60)


def _time(value: pl.Expr) -> pl.Expr:
    return value.dt.to_string("%Y-%m-%d %H:%M:%S")


def _day(name: str) -> pl.Expr:
    return pl.col(name).dt.to_string("%Y-%m-%d")


def _setlinfo() -> pl.Expr:
    number = pl.col("record_no")
    infant = pl.col("age_years") == 0
    person = {
        "psn_name": pl.format("合成患者{}", number),
        "gend": pl.col("sex").cast(pl.String),
        "brdy": _day("birth_date"),
        "age": pl.when(~infant).then("age_years"),
        "ntly": pl.lit("CHN"),
        "nwb_age": pl.when(infant).then("age_days"),
        "naty": pl.lit("01"),
        "patn_cert_type": pl.lit("99"),
        "certno": pl.format("SYN{}", number),
        "prfs": pl.lit("90"),
        "curr_addr": pl.lit("合成市示例路1号"),
        "coner_name": pl.format("合成联系人{}", number),
        "patn_rlts": pl.lit("9"),
        "coner_addr": pl.lit("合成市示例路1号"),
        "coner_tel": pl.lit("00000000000"),
    }
    stay = {
        "hi_type": pl.col("insurance_type"),
        "insuplc": pl.col("insured_region"),
        "nwb_adm_type": pl.col("newborn_admission_type"),
        "nwb_bir_wt": pl.col("newborn_birth_weight_g"),
        "nwb_adm_wt": pl.col("newborn_admission_weight_g"),
        "ipt_med_type": pl.col("stay_type"),
        "adm_way": pl.col("admission_route"),
        "trt_type": pl.lit("1"),
        "adm_time": _time(pl.col("admission_time")),
        "adm_caty": pl.col("department"),
        "dscg_time": _time(pl.col("discharge_time")),
        "dscg_caty": pl.col("department"),
        "act_ipt_days": pl.col("los_days"),
        "diag_code_cnt": pl.col("diseinfo").list.len(),
        "oprn_oprt_code_cnt": pl.col("oprninfo").list.len().fill_null(0),
        "vent_used_dura": _span("ventilator_minutes"),
        "pwcry_bfadm_coma_dura": _span("coma_before_minutes"),
        "pwcry_afadm_coma_dura": _span("coma_after_minutes"),
        "spga_nurscare_days": pl.col("nursing_days_special"),
        "lv1_nurscare_days": pl.col("nursing_days_1"),
        "scd_nurscare_days": pl.col("nursing_days_2"),
        "lv3_nurscare_days": pl.col("nursing_days_3"),
        "dscg_way": pl.col("discharge_way"),
        "bill_code": pl.lit("SYN"),
        "bill_no": pl.format("P{}", number),
        "biz_sn": pl.format("S{}", number),
        "days_rinp_flag_31": pl.lit("1"),
        "chfpdr_code": pl.lit("D0000"),
    }
    money = {
        "setl_begn_date": _day("settlement_begin"),
        "setl_end_date": _day("settlement_end"),
        "psn_selfpay": _yuan(pl.col("self_pay_fen")),
        "psn_ownpay": _yuan(pl.col("own_pay_fen")),
        "acct_pay": _yuan(pl.col("account_pay_fen")),
        "psn_cashpay": _yuan(pl.col("cash_pay_fen")),
        "hi_paymtd": pl.col("payment_method"),
        "hsorg": pl.lit("合成市医疗保障局"),
        "hsorg_opter": pl.lit("合成经办人"),
        "medins_fill_dept": pl.lit("医保办"),
        "medins_fill_psn": pl.lit("合成填报人"),
    }
    head = {
        "mdtrt_id": pl.format("V{}", number),
        "setl_id": pl.col("settlement_id"),
        "fixmedins_name": pl.col("hospital_name"),
        "fixmedins_code": pl.col("hospital_id"),
        "hi_setl_lv": pl.col("hospital_level"),
        "hi_no": pl.format("SYN{}", number),
        "medcasno": number,
        "dcla_time": _time(pl.col("submitted_at")),
    }
    fields = {**head, **person, **stay, **money}
    return pl.struct([value.alias(name) for name, value in fields.items()]).alias("setlinfo")


def _payinfo() -> pl.Expr:
    kind = pl.col("insurance_type").replace_strict(_FUNDS, default="999900").alias("fund_pay_type")
    return pl.concat_list(pl.struct(kind, _yuan(pl.col("fund_pay_fen")).alias("fund_payamt"))).alias("payinfo")


def _iteminfo() -> pl.Expr:
    """A row for every category with an amount; its classes add up to it."""
    rows = []
    for number, name in enumerate(CHARGE_CATEGORIES, start=1):
        fee = pl.col(f"fee_{name}_fen")
        class_a, class_b = fee * 45 // 100, fee * 40 // 100
        rows.append(
            pl.struct(
                pl.lit(f"{number:02d}").alias("med_chrgitm"),
                _yuan(fee).alias("amt"),
                _yuan(class_a).alias("claa_sumfee"),
                _yuan(class_b).alias("clab_amt"),
                _yuan(fee - class_a - class_b).alias("fulamt_ownpay_amt"),
                pl.lit(0.0).alias("oth_amt"),
            )
        )
    charged = pl.element().filter(pl.element().struct.field("amt") > 0)
    return pl.concat_list(rows).list.eval(charged).alias("iteminfo")


def _icuinfo() -> pl.Expr:
    enters = pl.col("admission_time") + pl.duration(minutes=30)
    stay = pl.struct(
        pl.lit("SICU").alias("scs_cutd_ward_type"),
        _time(enters).alias("scs_cutd_inpool_time"),
        _time(enters + pl.duration(minutes="icu_minutes")).alias("scs_cutd_exit_time"),
        _span("icu_minutes").alias("scs_cutd_sum_dura"),
    )
    present = pl.col("icu_minutes").fill_null(0) > 0
    empty = pl.concat_list(stay).list.head(0)
    return pl.when(present).then(pl.concat_list(stay)).otherwise(empty).alias("icuinfo")


def _nothing(node: str) -> pl.Expr:
    return pl.lit([], dtype=pl.List(pl.String)).alias(node)


def _rows(node: str) -> pl.Expr:
    return pl.col(node).fill_null([])


def _diagnoses(cases: pl.DataFrame) -> pl.DataFrame:
    lists = ("diagnoses", "dx_names", "dx_on_admission")
    western = cases.select("at", "four_types", *lists).explode(*lists).filter(pl.col("diagnoses").fill_null("") != "")
    place = pl.int_range(pl.len()).over("at")
    heads = cases.select("at", pl.col("diagnoses").list.first().fill_null("").alias("head"))
    western = western.join(heads, on="at", maintain_order="left").with_columns(
        ((place == 0) & (pl.col("diagnoses") == pl.col("head"))).alias("principal")
    )
    rows = western.select(
        "at",
        pl.when(~pl.col("four_types") | pl.col("principal"))
        .then(pl.lit("1"))
        .otherwise(pl.lit("2"))
        .alias("diag_type"),
        pl.col("principal").cast(pl.Int8).cast(pl.String).alias("maindiag_flag"),
        pl.col("diagnoses").alias("diag_code"),
        pl.col("dx_names").alias("diag_name"),
        pl.col("dx_on_admission").alias("adm_cond_type"),
    )
    treated = cases.filter(pl.col("at") % _CHINESE_EVERY == 0)
    chinese = [
        treated.select(
            "at",
            (pl.lit(number) + pl.col("four_types").cast(pl.Int32)).cast(pl.String).alias("diag_type"),
            pl.lit("0").alias("maindiag_flag"),
            pl.lit(code).alias("diag_code"),
            pl.lit(name).alias("diag_name"),
            pl.lit("1").alias("adm_cond_type"),
        )
        for number, (code, name) in enumerate(_CHINESE, start=2)
    ]
    return _grouped(pl.concat([rows, *chinese]), "diseinfo")


def _procedures(cases: pl.DataFrame) -> pl.DataFrame:
    lists = ("procedures", "px_names", "px_begin", "px_surgeon", "px_anaesthesia", "px_anaesthetist")
    every = cases.select("at", *lists).filter(pl.col("procedures").list.len() > 0).explode(*lists)
    placed = every.with_columns((pl.int_range(pl.len()).over("at") == 0).alias("principal"))
    rows = placed.filter(pl.col("procedures") != "").select(
        "at",
        pl.when("principal").then(pl.lit("1")).otherwise(pl.lit("2")).alias("oprn_oprt_type"),
        pl.col("px_names").alias("oprn_oprt_name"),
        pl.col("procedures").alias("oprn_oprt_code"),
        _time(pl.col("px_begin")).alias("oprn_oprt_date"),
        pl.col("px_anaesthesia").alias("anst_way"),
        pl.format("合成医师{}", "px_surgeon").alias("oper_dr_name"),
        pl.col("px_surgeon").alias("oper_dr_code"),
        pl.format("合成医师{}", "px_anaesthetist").alias("anst_dr_name"),
        pl.col("px_anaesthetist").alias("anst_dr_code"),
    )
    return _grouped(rows, "oprninfo")


def _grouped(rows: pl.DataFrame, node: str) -> pl.DataFrame:
    """Rows of a node gathered in a list of structs for every case."""
    fields = [name for name in rows.columns if name != "at"]
    return rows.group_by("at", maintain_order=True).agg(pl.struct(fields).alias(node))
