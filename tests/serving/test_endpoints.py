"""The error table, row by row, and what every endpoint answers."""

from __future__ import annotations

import copy
import gzip
import json
import struct
import zlib
from typing import Any

import httpx
import pytest

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
INFER = "/v2/models/m/infer"

ROW: dict[str, Any] = {
    "inputs": [
        {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.0, None]},
        {"name": "y", "shape": [2], "datatype": "INT64", "data": [1, 2]},
        {"name": "colour", "shape": [2], "datatype": "BYTES", "data": ["red", None]},
    ]
}


def changed(place: int | None, **fields: Any) -> bytes:
    body = copy.deepcopy(ROW)
    (body if place is None else body["inputs"][place]).update(fields)
    return json.dumps(body).encode()


def without(field: str, place: int | None = None) -> bytes:
    body = copy.deepcopy(ROW)
    del (body if place is None else body["inputs"][place])[field]
    return json.dumps(body).encode()


def extra(tensor: dict[str, Any]) -> bytes:
    body = copy.deepcopy(ROW)
    body["inputs"].append(tensor)
    return json.dumps(body).encode()


def matrix(shape: Any, data: Any) -> bytes:
    tensor = {"name": "numbers", "shape": shape, "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [tensor]}).encode()


BAD: dict[str, bytes] = {
    "broken JSON": b'{"inputs": [',
    "not UTF-8": b'{"id": "\xff"}',
    "not an object": b"[]",
    "missing inputs": b"{}",
    "no inputs": b'{"inputs": []}',
    "missing datatype": without("datatype", 0),
    "missing shape": without("shape", 0),
    "missing data": without("data", 0),
    "empty body": b"",
    "deep": b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": '
    + b"[" * 5_000
    + b"]" * 5_000
    + b"}]}",
    "deep and unread": b'{"junk": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "unknown column": extra({"name": "z", "shape": [2], "datatype": "FP64", "data": [1, 2]}),
    "column twice": extra({"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}),
    "other number of rows": changed(1, shape=[3], data=[1, 2, 3]),
    "wrong dimension": changed(0, shape=[2, 1]),
    "negative dimension": changed(0, shape=[-1]),
    "no rows": json.dumps(
        {"inputs": [{"name": "x", "shape": [0], "datatype": "FP64", "data": []}]}
    ).encode(),
    "no shape": changed(0, shape=[]),
    "huge shape": changed(0, shape=[2**62]),
    "data shorter than shape": changed(0, data=[1.0]),
    "data longer than shape": changed(0, data=[1.0, 2.0, 3.0]),
    "nested data for a column": changed(0, data=[[1.0], [2.0]]),
    "unknown output": changed(None, outputs=[{"name": "nothing"}]),
    "datatype of a text": changed(2, datatype="FP64", data=[1, 2]),
    "datatype of a number": changed(0, datatype="BYTES", data=["a", "b"]),
    "boolean for a number": changed(0, datatype="BOOL", data=[True, False]),
    "unknown datatype": changed(0, datatype="FP99"),
    "half precision in JSON": changed(0, datatype="FP16"),
    "text in numeric data": changed(0, data=["1.0", "2.0"]),
    "boolean in numeric data": changed(0, data=[True, False]),
    "fraction in whole numbers": changed(1, data=[1.5, 2.5]),
    "number out of range": changed(1, datatype="INT8", data=[1, 300]),
    "negative unsigned number": changed(1, datatype="UINT8", data=[-1, 3]),
    "number in text": changed(2, data=[1, 2]),
    "number that float32 cannot hold": changed(0, data=[1e300, 1.0]),
    "id that is no text": changed(None, id=7),
    "output twice": changed(None, outputs=[{"name": "label"}, {"name": "label"}]),
    "parameter that is an object": changed(None, parameters={"a": {}}),
    "binary output that is no boolean": changed(None, parameters={"binary_data_output": 1}),
    "binary size without a binary part": changed(0, parameters={"binary_data_size": 16}, data=[1]),
    "rows beyond what may be": json.dumps(
        {"inputs": [{"name": "x", "shape": [4 << 20], "datatype": "FP64", "data": []}]}
    ).encode(),
    "two negative dimensions": matrix([-1, -2], [1, 2]),
    "dimensions whose product overflows": matrix([2**32, 2**32], [1, 2]),
    "dimension beyond 64 bits": matrix([2**70, 2], [1, 2]),
    "a million dimensions": matrix([1] * 1_000_000, [1, 2]),
    "dimension that is a fraction": matrix([1.5, 2], [1, 2]),
    "dimension that is true": matrix([True, 2], [1, 2]),
    "shape that is a number": matrix(2, [1, 2]),
    "number beyond any": matrix([1, 2], [1, 2]).replace(b"[1, 2]}", b"[1, 1e999]}"),
    "number that is none": matrix([1, 2], [1, 2]).replace(b"[1, 2]}", b"[1, NaN]}"),
    "values in an object": matrix([1, 2], {"0": 1, "1": 2}),
    "deep parameters": b'{"inputs": [], "parameters": {"a": '
    + b"[" * 50_000
    + b"]" * 50_000
    + b"}}",
    "matrix and column": extra(
        {"name": "numbers", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_body_is_400_with_an_error_in_json(house: Any, case: str) -> None:
    answer = house.http.post(INFER, content=BAD[case])
    assert_error(answer, 400)


def assert_error(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"].startswith("wanted ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("GET", "/v2/models/m/versions/none/ready", 404),
        ("POST", "/v2/models/m/versions/none/infer", 404),
        ("GET", "/v2/models/m/versions/none", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/m/nowhere", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/health/live", 405),
        ("DELETE", "/v2/models/m", 405),
        ("GET", "/v2/models/m/versions/none/config", 404),
        ("GET", "/v2/models/m/versions/none/stats", 404),
        ("GET", "/v2/models/m/versions//ready", 404),
        ("POST", "/v2/repository/models/other/load", 404),
        ("POST", "/v2/repository/models/other/unload", 404),
        ("GET", "/v2/repository/index", 405),
        ("GET", "/v2/repository/models/m/load", 405),
        ("PUT", "/v2/models/m/infer", 405),
        ("GET", "/api/v1/served?since=x", 400),
        ("GET", "/api/v1/served?since=" + "9" * 400, 400),
    ],
)
def test_wrong_path_or_method(house: Any, method: str, path: str, status: int) -> None:
    answer = house.http.request(method, path, json=ROW if method == "POST" else None)
    assert_error(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("mebibytes", [16, 64])
def test_body_over_the_limit_is_413(house: Any, mebibytes: int) -> None:
    answer = house.http.post(INFER, content=b" " * ((mebibytes << 20) + 1))
    assert_error(answer, 413)


def test_body_over_the_limit_that_comes_in_chunks_is_413(house: Any) -> None:
    answer = house.http.post(INFER, content=(b" " * (1 << 20) for _ in range(65)))
    assert_error(answer, 413)


def test_chunked_body_is_read(house: Any) -> None:
    body = changed(None, id="chunks")
    answer = house.http.post(INFER, content=(body[at : at + 7] for at in range(0, len(body), 7)))
    assert answer.json()["id"] == "chunks"


def test_head_says_what_get_says_without_the_body(house: Any) -> None:
    full, head = house.http.get("/v2/models/m"), house.http.head("/v2/models/m")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == full.headers["content-length"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "GZIP"])
def test_compressed_body_is_unpacked(house: Any, encoding: str) -> None:
    pack = gzip.compress if encoding.lower() == "gzip" else zlib.compress
    headers = {"content-encoding": encoding}
    answer = house.http.post(INFER, content=pack(changed(None, id="z")), headers=headers)
    assert answer.json()["id"] == "z"


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("gzip", b"x", 400),
        ("gzip", gzip.compress(changed(None))[:-9], 400),
        ("deflate", zlib.compress(changed(None)) + b"x", 400),
        ("gzip", b"", 400),
        ("gzip", gzip.compress(b""), 400),
        ("gzip", gzip.compress(bytes(40 << 20)), 413),
        ("deflate", zlib.compress(b" " * (40 << 20)), 413),
    ],
    ids=[  # written down: the head of a gzip body bears the time
        "unknown",
        "twice",
        "no gzip",
        "cut off",
        "more behind it",
        "nothing",
        "of nothing",
        "gzip bomb",
        "deflate bomb",
    ],
)
def test_bad_compressed_body(house: Any, encoding: str, body: bytes, status: int) -> None:
    answer = house.http.post(INFER, content=body, headers={"content-encoding": encoding})
    assert_error(answer, status)


@pytest.mark.parametrize("accepted", ["gzip", "deflate", "br, gzip;q=0.5", "gzip;q=0", "br"])
def test_answer_is_compressed_as_asked_for(house: Any, accepted: str) -> None:
    rows = {"rows": [{"x": 0.001 * n} for n in range(100)]}
    asked = house.http.build_request(
        "POST", "/v2/models/m/predict", json=rows, headers={"accept-encoding": accepted}
    )
    answer = house.http.send(asked)
    expected = "gzip" if "gzip" in accepted and accepted[-3:] != "q=0" else None
    expected = "deflate" if accepted == "deflate" else expected
    assert answer.headers.get("content-encoding") == expected
    assert len(answer.json()["predictions"]) == 100


def binary(body: dict[str, Any], *tensors: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(body).encode()
    return head + b"".join(tensors), {"inference-header-content-length": str(len(head))}


def test_binary_tensors_both_ways(house: Any) -> None:
    size = {"binary_data_size": 16}
    content, headers = binary(
        {
            "id": "b",
            "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "parameters": size}],
            "outputs": [
                {"name": "scores", "parameters": {"binary_data": True}},
                {"name": "label"},
            ],
        },
        struct.pack("<2d", 1.0, 0.0),
    )
    answer = house.http.post(INFER, content=content, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    head = json.loads(answer.content[:length])
    assert (head["id"], head["outputs"][1]["data"]) == ("b", ["yes", "no"])
    assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
    scores = struct.unpack("<4f", answer.content[length:])
    assert scores == pytest.approx([0.26894, 0.73106, 0.5, 0.5], abs=1e-4)


def test_all_numbers_in_one_matrix(house: Any) -> None:
    inputs = [{"name": "numbers", "shape": [2, 2], "datatype": "FP32", "data": [1, 1, 2, None]}]
    answer = house.http.post(INFER, json={"inputs": inputs}).json()
    assert answer["outputs"][0]["data"] == pytest.approx([0.5, 0.5, 0.1192, 0.8808], abs=1e-4)


@pytest.mark.parametrize("header", ["-1", "x", "99999", "1", "0", "", "9" * 5000])
def test_impossible_length_of_the_head_is_400(house: Any, header: str) -> None:
    headers = {"inference-header-content-length": header}
    answer = house.http.post(INFER, content=changed(None), headers=headers)
    assert_error(answer, 400)


def test_refused_requests_are_counted(house: Any) -> None:
    def refused() -> float:
        lines = house.http.get("/metrics").text.splitlines()
        return float(next(li for li in lines if li.startswith("instar_refused")).split()[-1])

    before = refused()
    house.http.post(INFER, content=b"")
    assert refused() == before + 1


def test_infer_answers_every_row(house: Any) -> None:
    answer = house.http.post(INFER, content=changed(None, id="seven")).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("m", OLD, "seven")
    scores, label = answer["outputs"]
    assert (scores["datatype"], scores["shape"]) == ("FP32", [2, 2])
    # sigmoid(x - y + 0.5 if red), missing numbers are 0
    assert scores["data"] == pytest.approx([0.37754, 0.62246, 0.88080, 0.11920], abs=1e-4)
    assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [2], ["yes", "no"])


def test_infer_without_id_returns_none(house: Any) -> None:
    assert "id" not in house.http.post(INFER, content=changed(None)).json()


def test_infer_returns_the_outputs_that_are_asked_for(house: Any) -> None:
    answer = house.http.post(INFER, content=changed(None, outputs=[{"name": "label"}])).json()
    assert [output["name"] for output in answer["outputs"]] == ["label"]


def test_column_of_the_champions_data_is_let_pass(house: Any) -> None:
    answer = house.http.post(
        INFER,
        content=extra({"name": "answer", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}),
    )
    assert answer.status_code == 200


def test_rows_for_people(house: Any) -> None:
    rows = [{"x": 1, "colour": "red"}, {"y": 2.5}, {"x": None}]
    answer = house.http.post("/v2/models/m/predict", json={"rows": rows, "id": "p"}).json()
    assert answer["id"] == "p"
    assert [row["label"] for row in answer["predictions"]] == ["yes", "no", "no"]
    assert answer["predictions"][0]["scores"]["yes"] == pytest.approx(0.81757, abs=1e-4)


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"rows": []},
        {"rows": [{}]},
        {"rows": [7]},
        {"rows": [{"x": "1"}]},
        {"rows": [{"x": True}]},
        {"rows": [{"colour": 7}]},
        {"rows": [{"ex": 1}]},
    ],
)
def test_bad_rows_are_400(house: Any, rows: Any) -> None:
    assert_error(house.http.post("/v2/models/m/predict", json=rows), 400)


@pytest.mark.parametrize("items", [None, {}, {"items": [{"id": "a"}]}, {"items": [{"label": 1}]}])
def test_bad_feedback_is_400(house: Any, items: Any) -> None:
    assert_error(house.http.post("/api/v1/feedback", json=items), 400)


def test_metadata(house: Any) -> None:
    house.move({OLD: 0.5, NEW: 0.5})
    assert house.http.get("/v2").json()["name"] == "instar"
    assert house.http.get("/v2/health/live").json() == {"live": True}
    assert house.http.get("/v2/health/ready").json() == {"live": True, "ready": True}
    model = house.http.get("/v2/models/m").json()
    assert (model["name"], model["versions"]) == ("m", [OLD, NEW])
    assert model["platform"] == "onnx_onnxv1"
    assert {"name": "x", "datatype": "FP64", "shape": [-1]} in model["inputs"]
    assert model["outputs"][0] == {"name": "scores", "datatype": "FP32", "shape": [-1, 2]}
    assert house.http.get(f"/v2/models/m/versions/{NEW}").json()["name"] == "m"
    assert house.http.get(f"/v2/models/m/versions/{NEW}/ready").json()["ready"]


def test_version_in_the_path_pins_rows_for_people_too(house: Any) -> None:
    house.move({OLD: 1.0}, warm=(NEW,))
    path = f"/v2/models/m/versions/{NEW}/predict"
    assert house.http.post(path, json={"rows": [{"x": 1}]}).json()["model_version"] == NEW


def test_config_describes_the_model(house: Any) -> None:
    for path in ("/v2/models/m/config", f"/v2/models/m/versions/{OLD}/config"):
        found = house.http.get(path).json()
        assert (found["name"], found["platform"]) == ("m", "onnxruntime_onnx")
        assert found["max_batch_size"] > 1
        assert {"name": "colour", "data_type": "TYPE_STRING", "dims": [1]} in found["input"]
        assert {"name": "scores", "data_type": "TYPE_FP32", "dims": [2]} in found["output"]


def test_statistics_count_requests_and_rows(house: Any) -> None:
    def counted() -> tuple[int, int, int]:
        found = house.http.get(f"/v2/models/m/versions/{OLD}/stats").json()["model_stats"]
        (stats,) = [stats for stats in found if stats["version"] == OLD]
        ok = stats["inference_stats"]["success"]["count"]
        return ok, stats["inference_count"], stats["execution_count"]

    house.infer()
    before = counted()
    house.http.post(INFER, content=changed(None))
    assert counted() == (before[0] + 1, before[1] + 2, before[2] + 1)
    assert house.http.get("/v2/models/stats").json() == house.http.get("/v2/models/m/stats").json()


def test_warm_version_is_unloaded_and_loaded_again(house: Any) -> None:
    house.move({OLD: 1.0}, warm=(NEW,))

    def index(**asked: Any) -> dict[str, tuple[str, str]]:
        found = house.http.post("/v2/repository/index", json=asked).json()
        return {row["version"]: (row["state"], row["reason"]) for row in found}

    def change(what: str, version: str | None) -> httpx.Response:
        body = {"parameters": {"version": version}} if version else {}
        return house.http.post(f"/v2/repository/models/m/{what}", json=body)

    assert index() == {OLD: ("READY", ""), NEW: ("READY", "")}
    assert change("unload", NEW).status_code == 200
    assert index() == {OLD: ("READY", ""), NEW: ("UNAVAILABLE", "unloaded by request")}
    assert index(ready=True) == {OLD: ("READY", "")}
    answer = house.http.post(f"/v2/models/m/versions/{NEW}/infer", content=changed(None))
    assert_error(answer, 404)
    assert change("load", NEW).status_code == 200
    assert index() == {OLD: ("READY", ""), NEW: ("READY", "")}
    for version in (OLD, None):
        assert_error(change("unload", version), 400)
    assert_error(change("load", "nobody"), 404)
    assert change("load", None).status_code == 200


def test_traffic_that_moves_to_an_unloaded_version_loads_it(house: Any) -> None:
    house.move({OLD: 1.0}, warm=(NEW,))
    body = {"parameters": {"version": NEW}}
    assert house.http.post("/v2/repository/models/m/unload", json=body).status_code == 200
    house.move({NEW: 1.0})
    assert house.infer()["model_version"] == NEW
    house.http.post("/v2/repository/models/m/load", json={})


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 10])
def test_impossible_patience_is_400(house: Any, given: str) -> None:
    headers = {"x-timeout-ms": given}
    assert_error(house.http.post(INFER, content=changed(None), headers=headers), 400)
    headers = {"x-timeout-ms": "5000"}
    assert house.http.post(INFER, content=changed(None), headers=headers).status_code == 200
