"""Names of files are told to be too long when they are given, and those that were taken before stop nobody."""

from __future__ import annotations

from small_service import SmallService
from test_documents import TEXT, WHY, put, told
from test_year import parts

from api.service.audit import Actor
from api.service.documents import put_document
from tests.unit.clearing_city import City


def test_names_that_no_file_can_have(lite: SmallService, city: City) -> None:
    """A name of a file has 255 bytes at most, a Chinese character three."""
    office, register = lite.client("office"), city.register.read_bytes()
    for path in ("documents/hospitals", "documents/cases", "documents/year_file", "documents/policy", "reforms"):
        for method, more in (("PUT", ""), ("POST", "/check")):
            if (path, more) != ("reforms", "/check"):
                answer = office.request(method, f"/v1/{path}/{'中' * 61}{more}", content=register)
                assert (answer.status_code, answer.json()["code"]) == (422, "SV04"), path
                assert answer.json()["args"]["reason"].endswith("最多 180 字节（60 个汉字），现有 183 字节")
    assert put(lite, "hospitals", "中" * 60, register).status_code == 200
    named = 'year = 2026\nregion = "合成市"\ndata_level = "synthetic"\nstatement = "虚构"\ndecisions = "{}"\n'
    assert told(put(lite, "year_file", "2026.toml", named.format("中" * 90))) == [("CL11", 5)]
    for key, code in (("scheme", "TB01"), ("weights", "SV41")):
        text = TEXT.replace(f"{key} = ", f'{key} = "{"中" * 90}" # ', 1)
        assert told(put(lite, "policy", "p.toml", text))[0][0] == code
    with lite.service.database.write() as connection:
        kept = lite.service.files.put(register + b"H9,H9,\n")
        put_document(connection, Actor("x", "office"), "hospitals", "中" * 90 + ".csv", kept, "text/csv", "")
    assert lite.client("nobody").get("/readyz").status_code == 200
    content = parts(city.months[0])["H1"]
    sent = lite.client("H1").post("/v1/submissions?month=2026-01", files={"f": ("中" * 200 + ".csv", content)}).json()
    assert sent["file_name"] == "中" * 58 + ".csv"
    lite.work()
    assert lite.client("H1").get(f"/v1/submissions/{sent['id']}").json()["state"] == "accepted"
    gone = office.delete(f"/v1/documents/hospitals/{'中' * 90}.csv", params={"reason": WHY}).json()
    assert gone["in_force"]["name"] == "中" * 60
