"""`drgdip group` and `validate` as a person types them: exit codes, messages, files left behind."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = "case_id,sex,age,age_days,weight,los_days,discharge_way,diagnoses,procedures\n"
GOOD = "1,2,88,,,12,1,K22.301|K11.901|E11.900,96.0800x005\n"


def run(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *words], cwd=folder, input=stdin, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "LANG": "C.UTF-8"}, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_text(HEADER + GOOD, encoding="utf-8")
    return tmp_path


def test_a_good_file_gives_its_groups_a_proof_and_an_empty_problem_list(folder: Path) -> None:
    (folder / "problems.csv").write_text("of another hospital", encoding="utf-8")
    done = run(folder, "group", "good.csv", "-o", "out.csv", "--problems", "problems.csv", "--json")
    assert done.returncode == 0
    assert [row["drg"] for row in rows(folder / "out.csv")] == ["GZ13"]
    assert (folder / "problems.csv").read_text(encoding="utf-8-sig").startswith("file,row,case_id,code")
    assert rows(folder / "problems.csv") == []
    proof = orjson.loads((folder / "out.csv.proof.json").read_bytes())
    assert proof["inputs"][0]["name"] == "good.csv"
    assert str(folder) not in (folder / "out.csv.proof.json").read_text(encoding="utf-8")
    assert orjson.loads(done.stdout)["status"] == {"GROUPED": 1}


def test_what_cannot_be_grouped_is_listed_with_its_row_and_remedy(folder: Path) -> None:
    bad = (
        "2,9,40,,,3,1,K35.800x001,\n3,1,,,,3,1,K35.800x001,\n4,1,0,,,3,1,P07.200,\n"
        "5,1,40,,,3,1,,\n6,1,40,,,3,1,K22.301,|34.0401\n"
    )
    (folder / "bad.csv").write_text(HEADER + GOOD + bad, encoding="utf-8")
    done = run(folder, "group", "bad.csv", "-o", "out.csv", "--problems", "problems.csv")
    assert done.returncode == 1
    listed = {(row["row"], row["case_id"], row["code"]) for row in rows(folder / "problems.csv")}
    assert listed == {
        ("3", "2", "SEX_INVALID"), ("4", "3", "AGE_UNKNOWN"), ("5", "4", "AGE_DAYS_UNKNOWN"),
        ("6", "5", "PRINCIPAL_MISSING"), ("7", "6", "GR07"),
    }  # fmt: skip
    assert all(row["fix"] for row in rows(folder / "problems.csv"))
    assert [row["case_id"] for row in rows(folder / "out.csv")] == list("123456")


def test_strict_says_why_and_keeps_the_exact_reason(folder: Path) -> None:
    bad = "1,2,50,,,3,1,C61.x00,\n7,9,50,,,3,1,K22.301,\n"
    (folder / "twice.csv").write_text(HEADER + GOOD + bad, encoding="utf-8")
    done = run(folder, "group", "twice.csv", "--strict", "-o", "out.csv", "--problems", "problems.csv")
    assert done.returncode == 1
    reasons = [row["reason"] for row in rows(folder / "out.csv")]
    assert reasons == ["QUALITY_REJECT", "QUALITY_REJECT", "SEX_INVALID"]
    assert {"A07", "G02", "A03", "SEX_INVALID"} <= {row["code"] for row in rows(folder / "problems.csv")}


def test_a_shifted_column_shows_neither_name_nor_identity_number(folder: Path) -> None:
    bad = "2,张小三,50,,,3,1,110101196606061234,11010119660606123X|130503670401001\n3,1,四十岁,,,3,1,K22.301,\n"
    (folder / "shifted.csv").write_text(HEADER + bad + f"4,1,50,,,3,1,{'A' * 20000}|王小五,\n", encoding="utf-8")
    for command in ("group", "validate"):
        place = "--problems" if command == "group" else "-o"
        done = run(folder, command, "shifted.csv", place, "list.csv")
        text = done.stdout + done.stderr + (folder / "list.csv").read_text(encoding="utf-8-sig")
        assert done.returncode == 1
        assert not any(secret in text for secret in ("张小三", "王小五", "19660606", "130503670401001", "A" * 200))
        assert "四十岁" in text


def test_a_broken_line_is_told_in_chinese(folder: Path) -> None:
    (folder / "half.csv").write_text("case_id,sex,age,diagnoses\n1,1,40,K22.301\n2,2,40\n", encoding="utf-8")
    done = run(folder, "group", "half.csv", "-o", "out.csv")
    assert done.returncode == 1
    assert [row["status"] for row in rows(folder / "out.csv")] == ["GROUPED", "INVALID"]
    reason = rows(folder / "out.csv")[1]["reason_zh"]
    assert reason
    assert not any(letter.isascii() and letter.isalpha() for letter in reason)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("group", "none.csv"), 2, "找不到文件：none.csv"),
        (("group", "."), 2, "文件夹"),
        (("group", "good.csv", "-o", "good.csv"), 2, "不能与输入文件相同"),
        (("group", "good.csv", "-o", "a.csv", "--problems", "./a.csv"), 2, "不能相同"),
        (("group", "good.csv", "-o", "a.xls"), 2, ".xlsx"),
        (("group", "good.csv", "-o", "-", "--json"), 2, "--json"),
        (("group", "good.csv", "-o", "nowhere/a.csv"), 4, "请换一个"),
        (("group", "good.csv", "--scheme", "nothing"), 3, "nothing"),
        (("validate", "good.csv", "-o", "-"), 2, ".xlsx"),
        (("validate", "good.csv", "-o", "nowhere/a.csv"), 4, "请换一个"),
    ],
)
def test_wrong_usage_says_what_and_how(folder: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = run(folder, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["good.csv"]


def test_one_unusable_file_does_not_stop_the_others(folder: Path) -> None:
    (folder / "empty.csv").write_bytes(b"")
    done = run(folder, "group", "empty.csv", "good.csv", "-o", "out.csv", "--json")
    assert done.returncode == 1
    assert orjson.loads(done.stdout)["unusable_files"] == ["empty.csv"]
    assert [row["file"] for row in rows(folder / "out.csv")] == ["good.csv"]


def test_standard_input_and_output(folder: Path) -> None:
    done = run(folder, "group", "-", "-o", "-", stdin=HEADER + GOOD)
    assert done.returncode == 0
    assert [row["drg"] for row in csv.DictReader(io.StringIO(done.stdout.removeprefix("\ufeff")))] == ["GZ13"]


def test_a_reader_that_has_seen_enough_ends_the_run_quietly(folder: Path) -> None:
    (folder / "many.csv").write_text(HEADER + GOOD * 20_000, encoding="utf-8")
    command = f'"{sys.executable}" -m api.cli.main group many.csv -o - | head -1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.stdout.startswith("\ufeffcase_id,")
    assert not any(word in done.stderr for word in ("Traceback", "Broken pipe", "Error")), done.stderr


def test_a_column_left_blank_is_a_problem_of_every_case_that_needs_it(folder: Path) -> None:
    cases = "1,1,0,5,,3,1,P07.200,\n2,2,30,,,3,1,O80.000|Z37.000,\n"
    found = []
    for name, more in (("a.csv", ""), ("b.csv", "3,1,0,5,3000,3,1,P07.200,\n")):
        (folder / name).write_text(HEADER + cases + more, encoding="utf-8")
        run(folder, "validate", name, "-o", f"{name}.list.csv")
        listed = rows(folder / f"{name}.list.csv")
        found.append([(row["病例号"], row["规则"]) for row in listed if row["病例号"] in {"1", "2"}])
    assert found[0] == found[1]
    assert {("1", "H02"), ("2", "H06")} <= set(found[0])
