"""What commands over priced cases ask for in the same words: policy, scheme, register, weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.console import Exit, fail

PolicyOption = Annotated[str, typer.Option("--policy", help="支付政策：内置编号或文件", metavar="NAME|FILE.toml")]
PolicySchemeOption = Annotated[
    str | None, typer.Option("--scheme", help="DRG 或 DIP 分组方案；默认为政策所指的", metavar="NAME|DIR|XLSX")
]
WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", help="权重（分值）表；默认为政策所指的或方案自带的", metavar="NAME|FILE.csv"),
]
HospitalsOption = Annotated[
    Path | None,
    typer.Option(
        "--hospitals",
        help="医疗机构名册，先于病例所填：首行列名 hospital_id,name,tier,county_group，后三列可缺",
        metavar="FILE.csv",
    ),
]
RegisterOption = Annotated[
    Path | None,
    typer.Option("--hospitals", help="医疗机构名册：hospital_id,name,tier,county_group", metavar="FILE.csv"),
]
SeparateOption = Annotated[
    Path | None, typer.Option("--separate", help="单列支付的药品、耗材：case_id,amount（元）", metavar="FILE.csv")
]
PolicyWeightsOption = Annotated[
    str | None, typer.Option("--weights", help="权重（分值）表；默认为政策所指的", metavar="NAME|FILE.csv")
]


def check_files(*paths: Path | None) -> None:
    """Leave with code 2 when a list given beside the cases is not there."""
    absent = [str(path) for path in paths if path is not None and not path.is_file()]
    if absent:
        fail("找不到文件：" + "、".join(absent), Exit.USAGE)
