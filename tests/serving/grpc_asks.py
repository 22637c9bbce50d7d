"""Ask a gateway over gRPC by Triton's own client; run as a process of its own, as it has threads.

python grpc_asks.py HOST:PORT WHAT: prints what it saw as JSON. WHAT is `everything`, `units`: who
answers whom, or `load`: ask until nobody answers any more.
"""

from __future__ import annotations

import json
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
Request = service_pb2.ModelInferRequest


def inputs(rows: int = 2) -> list[triton.InferInput]:
    x = triton.InferInput("x", [rows], "FP64")
    x.set_data_from_numpy(np.linspace(1.0, -1.0, rows))
    colour = triton.InferInput("colour", [rows], "BYTES")
    colour.set_data_from_numpy(np.array(["red", "grün"] * (rows // 2), object))
    return [x, colour]


def typed(datatype: str, field: str, values: list[Any], name: str = "x") -> Any:
    """One input by its values."""
    tensor = Request.InferInputTensor(name=name, datatype=datatype, shape=[len(values)])
    getattr(tensor.contents, field).extend(values)
    return tensor


def request(*tensors: Any, **more: Any) -> Any:
    return Request(model_name="m", inputs=tensors, **more)


def values(response: Any, name: str) -> list[Any]:
    """An output, raw or not; Triton's client reads raw ones only."""
    if response.raw_output_contents:
        return triton.InferResult(response).as_numpy(name).tolist()
    (output,) = (output for output in response.outputs if output.name == name)
    ((_, found),) = output.contents.ListFields()
    return np.array(found).reshape(output.shape).tolist()


def seen(result: triton.InferResult) -> dict[str, Any]:
    response = result.get_response()
    return {
        "scores": values(response, "scores"),
        "labels": [text.decode() for text in values(response, "label")],
        "id": response.id,
        "version": response.model_version,
        "raw": bool(response.raw_output_contents),
    }


X = typed("FP64", "fp64_contents", [1.0, -1.0])
COLOUR = typed("BYTES", "bytes_contents", [b"red", "grün".encode()], "colour")
BARE = Request.InferInputTensor(name="x", datatype="FP64", shape=[2])
RAW = struct.pack("<2d", 1.0, -1.0)


def flag(value: Any) -> Any:
    kind = "bool_param" if isinstance(value, bool) else "int64_param"
    return service_pb2.InferParameter(**{kind: value})


def shaped(*shape: int) -> Any:
    return Request.InferInputTensor(name="x", datatype="FP64", shape=shape, contents=X.contents)


ENCODED = {
    "values": {},
    "raw answer": {"parameters": {"binary_data_output": flag(True)}},
    "values of a raw request": {"parameters": {"binary_data_output": flag(False)}, "raw": True},
    "outputs": {"outputs": [{"name": "label"}, {"name": "scores"}]},
    "parameters": {"parameters": {"n": flag(7)}},
}
NUMBERS = {
    "INT8": ("int_contents", "<2b"),
    "INT16": ("int_contents", "<2h"),
    "INT32": ("int_contents", "<2i"),
    "INT64": ("int64_contents", "<2q"),
    "FP32": ("fp32_contents", "<2f"),
    "FP64": ("fp64_contents", "<2d"),
}
BAD: dict[str, Any] = {
    "no inputs": request(),
    "no values": request(BARE),
    "raw and values": request(X, raw_input_contents=[RAW]),
    "raw of another number": request(BARE, raw_input_contents=[RAW, RAW]),
    "raw too short": request(BARE, raw_input_contents=[RAW[:-1]]),
    "raw of nobody": request(raw_input_contents=[RAW]),
    "values of another type": request(typed("FP64", "fp32_contents", [1.0])),
    "values of two types": request(
        Request.InferInputTensor(
            name="x",
            datatype="FP64",
            shape=[1],
            contents={"fp32_contents": [1], "fp64_contents": [1]},
        )
    ),
    "fewer values": request(shaped(3)),
    "other dimensions": request(shaped(2, 1)),
    "negative dimension": request(shaped(-2)),
    "two negative dimensions": request(shaped(-2, -1)),
    "huge dimension": request(shaped(2**62)),
    "a million dimensions": request(shaped(*[2**62] * 1_000_000)),
    "no dimensions": request(shaped()),
    "input twice": request(X, X),
    "unknown column": request(typed("FP64", "fp64_contents", [1.0], "z")),
    "unknown datatype": request(typed("FP99", "fp64_contents", [1.0])),
    "half precision by value": request(typed("FP16", "fp32_contents", [1.0])),
    "number for a text": request(typed("INT64", "int64_contents", [1], "colour")),
    "text for a number": request(typed("BYTES", "bytes_contents", [b"1"])),
    "text that is no UTF-8": request(typed("BYTES", "bytes_contents", [b"\xff"], "colour")),
    "boolean for a number": request(typed("BOOL", "bool_contents", [True])),
    "out of range": request(typed("INT8", "int_contents", [300])),
    "negative unsigned": request(typed("UINT8", "uint_contents", [256])),
    "beyond float32": request(typed("FP64", "fp64_contents", [1e300])),
    "infinite": request(typed("FP32", "fp32_contents", [float("inf")])),
    "unknown output": request(X, outputs=[{"name": "nothing"}]),
    "output twice": request(X, outputs=[{"name": "label"}, {"name": "label"}]),
    "some outputs raw": request(
        X,
        outputs=[{"name": "label", "parameters": {"binary_data": flag(True)}}, {"name": "scores"}],
    ),
    "parameter without a value": request(X, parameters={"a": service_pb2.InferParameter()}),
    "flag that is a number": request(X, parameters={"binary_data_output": flag(1)}),
    "no message": b"\xff\xff\xff",
    "a group without an end": b"\x0b" * 10_000,
}


def failing(ask: Callable[[], Any]) -> list[Any]:
    """Return code, text and trailing metadata of a call that has to fail."""
    try:
        ask()
    except grpc.RpcError as error:
        return [error.code().name, error.details(), dict(error.trailing_metadata() or ())]
    except InferenceServerException as error:
        return [error.status().removeprefix("StatusCode."), error.message(), {}]
    return ["OK", "", {}]


def described() -> dict[str, dict[str, list[Any]]]:
    """The fields of every message of Triton's protocol, by number."""
    found = {}
    left = list(service_pb2.DESCRIPTOR.message_types_by_name.values())
    while left:
        message = left.pop()
        left += message.nested_types
        found[message.full_name] = {
            str(field.number): [
                field.name,
                field.type,
                field.message_type.full_name if field.message_type else "",
                field.is_repeated,
                field.containing_oneof.name if field.containing_oneof else "",
            ]
            for field in message.fields
        }
    return found


def units(address: str) -> dict[str, Any]:
    """Ask for a hundred units, and for one row that fails and one that is answered by NaN."""
    client = triton.InferenceServerClient(address)
    found = {}
    for number in range(100):
        name = f"unit {number}"
        result = client.infer("m", inputs(), request_id=f"r{number}", headers={"x-unit-id": name})
        found[name] = seen(result)["version"]
    found["by id"] = seen(client.infer("m", inputs(), request_id="unit 7"))["version"]
    x = triton.InferInput("x", [1], "FP64")
    wild = Counter()
    for value in (10.0, 100.0):
        x.set_data_from_numpy(np.array([value]))
        for number in range(20):
            result = client.infer("m", [x], request_id=f"wild {value} {number}")
            wild[result.get_response().model_version] += 1
    return {"versions": found, "wild": wild}


def load(address: str) -> dict[str, int]:
    """Ask from four clients until one is turned away; say so when many were answered."""
    outcomes: Counter[str] = Counter()
    busy = threading.Event()

    def client() -> None:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(
            grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),))
        )
        while not outcomes.keys() - {"OK"}:
            code, text, _ = failing(lambda: stub.ModelInfer(request(X), timeout=20))
            outcomes[code if code in ("OK", "UNAVAILABLE") else f"{code} {text}"] += 1
            if sum(outcomes.values()) > 100:
                busy.set()

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    busy.wait(60)
    print("busy", flush=True)
    for thread in threads:
        thread.join()
    return outcomes


def everything(address: str) -> dict[str, Any]:
    client = triton.InferenceServerClient(address)
    channel = grpc.insecure_channel(address)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    infer = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )
    answers = {}
    for packing in (None, "gzip", "deflate"):
        for names in (None, ("scores", "label")):
            found = client.infer(
                "m",
                inputs(),
                outputs=names and [triton.InferRequestedOutput(name) for name in names],
                request_id="seven",
                headers={"x-unit-id": "one"},
                compression_algorithm=packing,
                client_timeout=5,
                timeout=5_000_000,
                parameters={"origin": "a test"},
            )
            answers[f"triton {packing} {names}"] = seen(found)
    for case, more in ENCODED.items():
        how = dict(more)
        if how.pop("raw", False):
            texts = b"".join(struct.pack("<I", len(t)) + t for t in (b"red", "grün".encode()))
            colour = Request.InferInputTensor(name="colour", datatype="BYTES", shape=[2])
            asked = request(BARE, colour, id="seven", raw_input_contents=[RAW, texts], **how)
        else:
            asked = request(X, COLOUR, id="seven", **how)
        answers[case] = seen(triton.InferResult(stub.ModelInfer(asked)))
    numbers = {}
    for datatype, (field, layout) in NUMBERS.items():
        by_value = stub.ModelInfer(request(typed(datatype, field, [1, -1])))
        bare = Request.InferInputTensor(name="x", datatype=datatype, shape=[2])
        raw = stub.ModelInfer(request(bare, raw_input_contents=[struct.pack(layout, 1, -1)]))
        numbers[datatype] = [values(found, "scores") for found in (by_value, raw)]
    half = Request.InferInputTensor(name="x", datatype="FP16", shape=[2])
    found = stub.ModelInfer(request(half, raw_input_contents=[struct.pack("<2e", 1, -1)]))
    numbers["FP16"] = [values(found, "scores")]
    matrix = Request.InferInputTensor(name="numbers", datatype="FP32", shape=[1, 2])
    found = stub.ModelInfer(request(matrix, raw_input_contents=[struct.pack("<2f", 2, 1)]))
    bad = {
        name: failing(
            lambda body=body: infer(body if isinstance(body, bytes) else body.SerializeToString())
        )
        for name, body in BAD.items()
    }
    other = Request(model_name="other", inputs=[X])
    pinned = Request(model_name="m", model_version="9", inputs=[X])
    mistakes = {
        "model": failing(lambda: stub.ModelInfer(other)),
        "version": failing(lambda: stub.ModelInfer(pinned)),
        "model ready": failing(lambda: client.is_model_ready("other")),
        "version ready": failing(lambda: client.is_model_ready("m", "9")),
        "metadata": failing(lambda: client.get_model_metadata("stats")),
        "statistics": failing(lambda: client.get_inference_statistics("other")),
        "unload": failing(lambda: client.unload_model("m")),
        "load": failing(lambda: client.load_model("other")),
        "config": failing(lambda: client.get_model_config("m")),
        "bomb": failing(
            lambda: infer(bytes((64 << 20) + 1), compression=grpc.Compression.Gzip),
        ),
        "too large": failing(lambda: infer(bytes((64 << 20) + 1))),
    }
    client.load_model("m")
    return {
        "described": described(),
        "answers": answers,
        "numbers": numbers,
        "matrix": values(found, "scores"),
        "large": len(seen(client.infer("m", inputs(600)))["labels"]),
        "pinned": seen(client.infer("m", inputs(), model_version=NEW))["version"],
        "bad": bad,
        "mistakes": mistakes,
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model ready": client.is_model_ready("m"),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata("m", as_json=True),
        "index": client.get_model_repository_index(as_json=True),
        "statistics": client.get_inference_statistics("m", as_json=True),
    }


if __name__ == "__main__":
    do = {"everything": everything, "units": units, "load": load}[sys.argv[2]]
    print(json.dumps(do(sys.argv[1])))
