"""What the real gateway's tests do not reach: images, matrices, binary tensors, regressions."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from instar.bundle.columns import NUMBERS, STRINGS
from instar.core.data import Task, TaskKind
from instar.core.errors import UnknownName
from instar.serving import protocol, tensors
from instar.serving.answers import Writer
from instar.serving.desk import truth
from instar.serving.models import Version
from instar.serving.protocol import Malformed, TooLarge
from instar.tasks import WrongLabel

IMAGE = {"image": {"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2]}}
TABLE = {
    "x": {"name": "x", "datatype": "FP64", "shape": [-1]},
    "y": {"name": "y", "datatype": "FP64", "shape": [-1]},
    "colour": {"name": "colour", "datatype": "BYTES", "shape": [-1]},
}
PACKED = {
    "numbers": {"name": "numbers", "datatype": "FP32", "shape": [-1, 2]},
    "strings": {"name": "strings", "datatype": "BYTES", "shape": [-1, 1]},
}


def asked(*given: dict[str, Any], **more: Any) -> protocol.Asked:
    return protocol.read_infer(json.dumps({"inputs": given, **more}).encode())


def image(shape: list[int], data: Any) -> protocol.Asked:
    return asked({"name": "image", "datatype": "UINT8", "shape": shape, "data": data})


def binary(*given: tuple[dict[str, Any], bytes], rest: bytes = b"", **more: Any) -> protocol.Asked:
    """An inference request whose inputs lie behind its JSON."""
    inputs = [{**head, "parameters": {"binary_data_size": len(data)}} for head, data in given]
    head = json.dumps({"inputs": inputs, **more}).encode()
    body = head + b"".join(data for _, data in given) + rest
    return protocol.read_infer(body, str(len(head)).encode())


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[[1, 2], [3, 4]]]])
def test_image_is_read_flat_or_nested(data: Any) -> None:
    found = tensors.columns(image([1, 2, 2], data), IMAGE, ())["image"]
    assert found.tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([1, 2, 2], [1, 2, 3]),
        ([1, 2, 2], [[1, 2], [3, 4]]),
        ([1, 2, 2], [[[1, 2], [3]]]),
        ([1, 2, 3], [1, 2, 3, 4, 5, 6]),
        ([4], [1, 2, 3, 4]),
        ([-1, 2, 2], [1, 2, 3, 4]),
        ([0, 2, 2], []),
        ([2**62, 2, 2], [1]),
    ],
)
def test_image_of_another_shape_is_refused(shape: list[int], data: Any) -> None:
    with pytest.raises(Malformed):
        tensors.columns(image(shape, data), IMAGE, ())


def test_binary_image_is_read() -> None:
    head = {"name": "image", "datatype": "UINT8", "shape": [2, 2, 2]}
    found = tensors.columns(binary((head, bytes(range(8)))), IMAGE, ())["image"]
    assert found.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


@pytest.mark.parametrize(
    ("datatype", "kind"),
    [
        ("INT8", "<i1"),
        ("INT16", "<i2"),
        ("INT32", "<i4"),
        ("INT64", "<i8"),
        ("UINT8", "<u1"),
        ("UINT16", "<u2"),
        ("UINT32", "<u4"),
        ("UINT64", "<u8"),
        ("FP16", "<f2"),
        ("FP32", "<f4"),
        ("FP64", "<f8"),
    ],
)
def test_binary_numbers_of_every_type_fit_a_column(datatype: str, kind: str) -> None:
    data = np.array([1, 2, 100], kind).tobytes()
    found = tensors.columns(
        binary(({"name": "x", "datatype": datatype, "shape": [3]}, data)), TABLE, ()
    )
    assert np.asarray(found["x"], float).tolist() == [1, 2, 100]


def test_bf16_is_the_upper_half_of_a_float() -> None:
    data = (np.array([1.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    found = tensors.columns(
        binary(({"name": "x", "datatype": "BF16", "shape": [2]}, data)), TABLE, ()
    )
    assert found["x"].tolist() == [1.5, -2.0]


def texts(*given: bytes) -> bytes:
    return b"".join(len(text).to_bytes(4, "little") + text for text in given)


def test_binary_and_json_inputs_may_be_mixed() -> None:
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.0, None]},
                {
                    "name": "colour",
                    "shape": [2],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": 15},
                },
            ]
        }
    ).encode()
    body = head + texts("größe"[:4].encode(), b"x")
    request = protocol.read_infer(body, str(len(head)).encode())
    found = tensors.columns(request, TABLE, ())
    assert found == {"x": [1.0, None], "colour": ["größ", "x"]}


COLOUR = {"name": "colour", "datatype": "BYTES", "shape": [2]}
NUMBER = {"name": "x", "datatype": "FP64", "shape": [2]}


@pytest.mark.parametrize(
    ("head", "data"),
    [
        (NUMBER, bytes(15)),
        (NUMBER, bytes(17)),
        (NUMBER, b""),
        ({**NUMBER, "shape": [2**40]}, bytes(16)),
        ({**NUMBER, "shape": [-2]}, bytes(16)),
        ({**NUMBER, "shape": [2, 1]}, bytes(16)),
        ({**NUMBER, "datatype": "BOOL"}, bytes(2)),
        ({**NUMBER, "datatype": "FP99"}, bytes(16)),
        (COLOUR, texts(b"a")),
        (COLOUR, texts(b"a", b"b", b"c")),
        (COLOUR, texts(b"a", b"b") + b"\0"),
        (COLOUR, texts(b"a") + (2**32 - 1).to_bytes(4, "little") + b"b"),
        (COLOUR, texts(b"a", b"\xff")),
        ({**COLOUR, "shape": [2**30]}, texts(b"a", b"b")),
    ],
)
def test_binary_data_that_do_not_fit_are_refused(head: dict[str, Any], data: bytes) -> None:
    with pytest.raises(Malformed):
        tensors.columns(binary((head, data)), TABLE, ())


@pytest.mark.parametrize("header", [b"", b"-1", b"+1", b"1e1", b"x", b"9" * 400, b"100000", b"1"])
def test_head_of_an_impossible_length_is_refused(header: bytes) -> None:
    with pytest.raises(Malformed):
        protocol.read_infer(b'{"inputs": []}', header)


def test_bytes_behind_the_json_must_be_asked_for() -> None:
    with pytest.raises(Malformed):
        binary((NUMBER, bytes(16)), rest=b"\0")
    with pytest.raises(Malformed, match="data in x"):
        tensors.columns(asked(NUMBER), TABLE, ())
    for size in (True, -1, 1.5, "16"):
        head = json.dumps({"inputs": [{**NUMBER, "parameters": {"binary_data_size": size}}]})
        with pytest.raises(Malformed):
            protocol.read_infer(head.encode() + bytes(16), str(len(head)).encode())


def test_data_and_binary_data_size_together_are_refused() -> None:
    with pytest.raises(Malformed, match="both"):
        binary(({**NUMBER, "data": [1.0, 2.0]}, bytes(16)))


def test_raw_tensor_is_a_batch_of_one() -> None:
    request = protocol.read_infer(bytes([1, 2, 3, 4]), b"0")
    assert tensors.columns(request, IMAGE, ())["image"].tolist() == [[[1, 2], [3, 4]]]
    with pytest.raises(Malformed):
        tensors.columns(protocol.read_infer(bytes(5), b"0"), IMAGE, ())
    with pytest.raises(Malformed, match="one input"):
        tensors.columns(request, TABLE, ())


@pytest.mark.parametrize("data", [[1.0, None, 3.0, 4.0], [[1.0, None], [3.0, 4.0]]])
def test_all_numbers_may_come_as_a_matrix(data: Any) -> None:
    tensor = {"name": "numbers", "datatype": "FP32", "shape": [2, 2], "data": data}
    found = tensors.columns(asked(tensor), TABLE, (), PACKED)
    assert found == {NUMBERS: [[1.0, None], [3.0, 4.0]]}


def test_all_texts_may_come_as_a_binary_matrix() -> None:
    head = {"name": "strings", "datatype": "BYTES", "shape": [2, 1]}
    found = tensors.columns(binary((head, texts(b"a", b"b"))), TABLE, (), PACKED)
    assert found == {STRINGS: [["a"], ["b"]]}


@pytest.mark.parametrize(
    "data", [[1.0, 2.0, 3.0], [[1.0], [2.0]], [[1.0, 2.0], 3.0], [[1.0, "2"], [3.0, 4.0]], 7]
)
def test_matrix_of_another_shape_is_refused(data: Any) -> None:
    tensor = {"name": "numbers", "datatype": "FP32", "shape": [2, 2], "data": data}
    with pytest.raises(Malformed):
        tensors.columns(asked(tensor), TABLE, (), PACKED)


def test_matrix_beside_one_of_its_columns_is_refused() -> None:
    matrix = {"name": "numbers", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    column = {"name": "y", "datatype": "FP64", "shape": [1], "data": [1]}
    with pytest.raises(Malformed, match="each column once"):
        tensors.columns(asked(matrix, column), TABLE, (), PACKED)


def test_column_of_the_data_comes_before_a_matrix_of_its_name() -> None:
    tensor = {"name": "numbers", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    with pytest.raises(UnknownName):
        tensors.columns(asked(tensor), TABLE, (), {})
    column = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}
    assert tensors.columns(asked(column, tensor), TABLE, ("numbers",), PACKED) == {"x": [1.0]}


def test_request_cannot_grow_to_more_values_than_allowed() -> None:
    rows = tensors.MOST_VALUES // len(TABLE) + 1
    with pytest.raises(Malformed, match="at most"):
        tensors.columns(
            asked({"name": "x", "datatype": "FP64", "shape": [rows], "data": []}), TABLE, ()
        )
    with pytest.raises(Malformed, match="at most"):
        tensors.columns_of_rows(protocol.Rows([{"x": 1}] * rows), TABLE, ())


def test_json_is_bounded() -> None:
    with pytest.raises(TooLarge):
        protocol.read_infer(b" " * (protocol.MOST_JSON + 1))
    with pytest.raises(TooLarge):
        protocol.read_rows(b" " * (protocol.MOST_JSON + 1))
    size = protocol.MOST_JSON + 1
    with pytest.raises(TooLarge):
        protocol.read_infer(b" " * size, str(size).encode())


def version(task: Task) -> Version:
    bundle = SimpleNamespace(task=task)
    return Version("v", "sha256:0", cast("Any", bundle), {})


def answered(writer: Writer, infer: protocol.Infer, scores: Any) -> tuple[Any, bytes, Any]:
    """Answer, and take the binary part off."""
    body, _, headers = writer.infer(infer, scores, 0, scores.tolist())
    length = int(dict(headers).get("inference-header-content-length", len(body)))
    return json.loads(body[:length]), body[length:], dict(headers)


ANY = protocol.Infer([])


def test_regression_answers_a_value_and_no_label() -> None:
    made = version(Task(TaskKind.REGRESSION, "y"))
    assert [output["name"] for output in made.outputs] == ["scores"]
    scores = np.array([[1.5], [2.5]], np.float32)
    writer = Writer("m", "v", made.bundle.task)
    for some in (scores, scores[:1]):
        found, _, _ = answered(writer, ANY, some)
        data = some.ravel().tolist()
        shape = [len(some), 1]
        assert found["outputs"] == [
            {"name": "scores", "shape": shape, "datatype": "FP32", "data": data}
        ]
    rows = json.loads(writer.rows(protocol.read_rows(b'{"rows": [{}, {}]}'), scores))
    assert rows["predictions"] == [{"value": 1.5}, {"value": 2.5}]


MULTI = Writer("m", "v", Task(TaskKind.MULTICLASS, "y", ("a", "ü", "c")))
SCORES = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]], np.float32)


def test_multiclass_answers_the_likeliest_class() -> None:
    assert answered(MULTI, ANY, SCORES)[0]["outputs"][1]["data"] == ["c", "a"]
    assert answered(MULTI, ANY, SCORES[:1])[0]["outputs"][1]["data"] == ["c"]


@pytest.mark.parametrize("name", [None, "", 'a "quoted" ü'])
def test_answer_to_one_row_says_what_the_long_way_says(name: str | None) -> None:
    """Most answers are put together of parts made before: they must be the same JSON."""
    short = answered(MULTI, protocol.Infer([], id=name), SCORES[1:])[0]
    everything = [protocol.Wanted("scores"), protocol.Wanted("label")]
    assert short == answered(MULTI, protocol.Infer([], name, everything), SCORES[1:])[0]
    assert ("id" in short) == (name is not None)


def test_binary_answer_lies_behind_its_json() -> None:
    head, rest, headers = answered(
        MULTI, protocol.Infer([], parameters={"binary_data_output": True}), SCORES
    )
    sizes = [output["parameters"]["binary_data_size"] for output in head["outputs"]]
    assert sizes == [24, 10]
    assert np.frombuffer(rest[:24], "<f4").tolist() == SCORES.ravel().tolist()
    assert rest[24:] == texts(b"c", b"a")
    assert "data" not in head["outputs"][0]
    assert headers


def test_output_decides_for_itself_whether_it_is_binary() -> None:
    outputs = [protocol.Wanted("label", {"binary_data": True}), protocol.Wanted("scores")]
    head, rest, _ = answered(MULTI, protocol.Infer([], outputs=outputs), SCORES[:1])
    assert [output["name"] for output in head["outputs"]] == ["label", "scores"]
    assert (rest, len(head["outputs"][1]["data"])) == (texts(b"c"), 3)
    outputs = [protocol.Wanted("scores", {"binary_data": False})]
    infer = protocol.Infer([], outputs=outputs, parameters={"binary_data_output": True})
    assert answered(MULTI, infer, SCORES)[1:] == (b"", {})


@pytest.mark.parametrize(
    "infer",
    [
        protocol.Infer([], outputs=[protocol.Wanted("nothing")]),
        protocol.Infer([], outputs=[protocol.Wanted("scores"), protocol.Wanted("scores")]),
        protocol.Infer([], parameters={"binary_data_output": 1}),
        protocol.Infer([], outputs=[protocol.Wanted("scores", {"binary_data": "yes"})]),
    ],
)
def test_impossible_outputs_are_refused(infer: protocol.Infer) -> None:
    with pytest.raises((UnknownName, Malformed)):
        protocol.wanted(infer, MULTI.offered)


@pytest.mark.parametrize(
    ("label", "expected"), [("1", 0.0), (1, 0.0), (1.0, 0.0), ("true", 1.0), (True, 1.0)]
)
def test_truth_reads_a_label_however_it_is_written(label: Any, expected: float) -> None:
    assert truth(label, Task(TaskKind.BINARY, "y", ("1", "true"))) == expected


def test_truth_refuses_what_is_no_label() -> None:
    with pytest.raises(UnknownName):
        truth(1.5, Task(TaskKind.BINARY, "y", ("0", "1")))
    for label in ("7", True, float("inf")):
        with pytest.raises(WrongLabel):
            truth(label, Task(TaskKind.REGRESSION, "y"))
    assert truth(7, Task(TaskKind.REGRESSION, "y")) == 7.0
