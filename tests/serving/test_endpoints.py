"""The error table, row by row, and what every endpoint answers."""

from __future__ import annotations

import copy
import json
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
        ("GET", "/api/v1/served?since=x", 400),
    ],
)
def test_wrong_path_or_method(house: Any, method: str, path: str, status: int) -> None:
    answer = house.http.request(method, path, json=ROW if method == "POST" else None)
    assert_error(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


def test_body_over_the_limit_is_413(house: Any) -> None:
    answer = house.http.post(INFER, content=b" " * (64 * 1024 * 1024 + 1))
    assert_error(answer, 413)


def test_compressed_body_is_415(house: Any) -> None:
    assert_error(house.http.post(INFER, content=b"x", headers={"content-encoding": "gzip"}), 415)


def test_binary_tensors_are_refused_in_words(house: Any) -> None:
    headers = {"inference-header-content-length": "10"}
    answer = house.http.post(INFER, content=changed(None), headers=headers)
    assert_error(answer, 400)
    assert "binary" in answer.json()["error"]


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
