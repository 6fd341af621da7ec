"""A pack small enough to read at a glance, as file texts, for tests that break one thing at a time."""

from pathlib import Path

FILES = {
    "mdc.csv": (
        "code,name,rule,order\nMDCA,先期,1,1\nMDCB,神经,ZYZD in DI_B00,2\nMDCP,新生儿,NL = 0 and XSRTL < 29,3\n"
    ),
    "adrg.csv": (
        "code,name,mdc,rule,order\n"
        "AA1,心脏移植,MDCA,ZYSS in OP_AA1,1\n"
        "BB1,开颅,MDCB,ZYSS in OP_BB1,1\n"
        "BR1,脑出血,MDCB,ZYZD in DI_BR1,2\n"
        "B00,未入组,MDCB,1,3\n"
        'PS1,极低体重,MDCP,"{ZYZD, QTZD} in DI_PS1 and XSRTZ < 1500",1\n'
    ),
    "drg.csv": (
        "code,name,adrg,rule,order\n"
        "AA19,心脏移植,AA1,1,1\n"
        "BB11,开颅 严重,BB1,QTZD in MCC,1\n"
        'BB13,开颅 一般,BB1,"QTZD in {MCC, CC}",2\n'
        "BB15,开颅,BB1,,3\n"
        "BR19,脑出血,BR1,1,1\n"
        "B000,未入组,B00,1,1\n"
        "PS19,极低体重,PS1,1,1\n"
    ),
    "sets.csv": (
        "set,code\n"
        "OP_AA1,33.6x00\n"
        "OP_BB1,01.2403\n"
        "OP_BB1,01.2400x005\n"
        "DI_B00,I61.000\n"
        "DI_B00,I61.100\n"
        "DI_BR1,I61.000\n"
        "DI_PS1,P07.000\n"
    ),
    "cc.csv": "code,level,exclusion\nA41.900,MCC,EX_1\nI10.x00,CC,\n",
    "exclusion.csv": "exclusion,code\nEX_1,A41.900\n",
    "meta.csv": "key,value\nnewborn_weight,birth\n",
}


def write_small(folder: Path, changes: dict[str, str | None] | None = None) -> Path:
    """The small pack in `folder`; `changes` replaces file texts, None leaves a file out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **(changes or {})}.items():
        if text is not None:
            (folder / name).write_bytes(text.encode("utf-8"))
    return folder


def edited(name: str, old: str, new: str) -> dict[str, str | None]:
    """One replacement in one file; the old text must be there exactly once."""
    assert FILES[name].count(old) == 1, f"{old!r} must stand once in {name}"
    return {name: FILES[name].replace(old, new)}
