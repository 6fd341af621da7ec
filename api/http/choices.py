"""What requests for work over case files have in common: how the files are read, and what is taken in the place of what
is in force."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from api.core.file_names import LONGEST_NAME, is_short
from api.http.answers import Asked, CaseFormat, Edition


def _short(name: str) -> str:
    if not is_short(name):
        most = f"最多 {LONGEST_NAME} 字节（{LONGEST_NAME // 3} 个汉字）"
        raise ValueError(f"按 UTF-8 编码{most}，现有 {len(name.encode())} 字节")
    return name


_NAME = r"^[\w][\w.\-]*$"
StoredName = Annotated[str, Field(max_length=120, pattern=_NAME)]
"""What a document that is there may be called."""
DocumentName = Annotated[StoredName, AfterValidator(_short)]
"""What one may be called from now on: files are laid out under its name."""
PackId = Annotated[str, Field(min_length=1, max_length=60, pattern=_NAME), AfterValidator(_short)]
"""What a scheme that is made may be called: so is its folder."""
CaseFiles = Annotated[list[DocumentName], Field(min_length=1, max_length=60, description="病例文件名（kind=cases）")]
SCHEME = "分组方案：放入的文件名或内置编号；默认（或 current）为正在使用的"


class Reading(Asked):
    """How case files are read."""

    format: CaseFormat = Field(CaseFormat.AUTO, description="病例格式；auto 为自动识别")
    edition: Edition = Field(Edition.INSURANCE, description="编码版本：insurance 医保版 2.0、clinical 国临版")


class Choosing(Reading):
    """What cases are grouped and paid by, where it is not what is in force."""

    policy: DocumentName | None = Field(
        None,
        description="支付政策：放入的文件名（policy、policy_aside）或内置编号；不写（或 current）为正在使用的。"
        "写了政策而没有写分组方案、权重表的，用该政策所指的，与命令相同",
        examples=["synthetic-city-drg-point"],
    )
    scheme: str = Field(
        "", max_length=120,
        description="分组方案：放入的文件名或内置编号；current 为正在使用的；不写为所写政策所指的，"
        "没有写政策的为正在使用的",
    )  # fmt: skip
    weights: DocumentName | None = Field(
        None,
        description="权重（分值）表：放入的文件名（weights、weights_aside）或内置编号；current 为正在使用的；"
        "不写为所写政策所指的，没有写政策的为正在使用的",
        examples=["weights.csv"],
    )
    hospitals: DocumentName | None = Field(
        None, description="医疗机构名册的文件名；不写为正在使用的", examples=["hospitals.csv"]
    )
