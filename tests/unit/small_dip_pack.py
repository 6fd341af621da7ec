"""A DIP pack small enough to read at a glance, as file texts, for tests that break one thing at a time."""

from collections.abc import Mapping
from pathlib import Path

_CORE = "code,name,layer,number,principal_dx,other_dx,any_dx,flag,age_days,birth_weight_g,px_mode,px,related_px\n"
FILES = {
    "layer.csv": "code,name,order,precedence,ties\nXQ,先期分组,1,number,number\nBX,并项,2,specific,refuse\n",
    "core.csv": (
        _CORE
        + "XQ-1,呼吸机,XQ,1,*,,,,,,anywhere,96.7201,\n"
        + "XQ-2,极低体重,XQ,2,*,,P07,,0-28,1000-1499,any,,\n"
        + "BX-3,阑尾切除,BX,3,K35,,,,,,principal,47.0100|47.0901,\n"
        + "BX-4,剖宫产加修补,BX,4,O34,,,,,,principal,74.1x01,54.5904\n"
        + "BX-5,剖宫产,BX,5,O34,,,,,,principal,74.1x01,\n"
        + "BX-6,耐药结核,BX,6,A15-A16,,,耐药,,,none,,\n"
        + "BX-7,结核,BX,7,A15-A16,,,!耐药,,,none,,\n"
    ),
    "mixed.csv": (
        "code,name,level,scope,nature\n"
        "K35-1,急性阑尾炎,category,K35,1\n"
        "K35-4,急性阑尾炎,category,K35,4\n"
        "Z1-1,传染病,chapter,A00-B99,1\n"
        "Z2-1,肿瘤,chapter,C00-D48,1\n"
    ),
    "flag.csv": "flag,role,item\n耐药,principal,A15.000x010\n耐药,other,U84.300\n",
    "excluded_dx.csv": "code,name\nI10.x00,特发性高血压\n",
    "excluded_px.csv": (
        "code,name,rule,principal_dx\n00.0100,治疗性超声,conservative,\n45.1300,内镜检查,with_principal,K20-K93\n"
    ),
    "primary_care.csv": "number,principal_dx,px\n1,A09,\n",
    "nature.csv": "code,nature\n96.7201,3\n",
    "score.csv": (
        "code,score,cases,share,cv,mean_cost_fen\n"
        "XQ-1,5000,20,0.1,0.5,5000000\nXQ-2,4000.5,,,,\nBX-3,512.3456,100,0.5,0.31,512346\nBX-4,700,,,,\n"
        "BX-5,600,,,,\nBX-6,900,,,,\nBX-7,300,,,,\nK35-1,200,,,,\nK35-4,450,,,,\nZ1-1,100,,,,\nZ2-1,150,,,,\n"
    ),
    "meta.csv": "key,value\nunknown_nature,1\n",
}
Changes = Mapping[str, str | None]


def write_small_dip(folder: Path, changes: Changes | None = None) -> Path:
    """The small pack in `folder`; `changes` replaces file texts, None leaves a file out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **(changes or {})}.items():
        if text is not None:
            (folder / name).write_bytes(text.encode("utf-8"))
    return folder


def edited(name: str, *replacements: tuple[str, str]) -> dict[str, str | None]:
    """Replacements in one file; each old text must be there exactly once."""
    text = FILES[name]
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} must stand once in {name}"
        text = text.replace(old, new)
    return {name: text}
