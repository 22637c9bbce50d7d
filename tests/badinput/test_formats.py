"""Class B of bad input: archives and formats. Each is refused by a code, and nothing is written.

Each case goes through the Python side that reads it, and through the command line or the worker.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save as safetensors

from instar import intake
from instar.core.errors import InputError, InstarError
from instar.models import weights
from instar.stages.package import inspect
from tests.service import line

CANARY = "canary-8f1c"


class Poison:
    """A pickle that would leave a trace if anything ever opened it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.trace,))


# Safetensors with lying headers.

TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def framed(head: bytes, data: bytes = bytes(8)) -> bytes:
    return len(head).to_bytes(8, "little") + head + data


def headed(head: Mapping[str, Any], data: bytes = bytes(8)) -> bytes:
    return framed(json.dumps(head).encode(), data)


def one(**changes: Any) -> bytes:
    return headed({"w": {**TENSOR, **changes}})


def two(first: list[int], second: list[int], data: int = 8) -> bytes:
    tensors = {"a": first, "b": second}
    return headed(
        {
            name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
            for name, (begin, end) in tensors.items()
        },
        bytes(data),
    )


SAFETENSORS = {
    "empty": b"",
    "seven bytes": b"\0" * 7,
    "length beyond the file": (1 << 20).to_bytes(8, "little") + b"{}",
    "length of 2**64 - 1": b"\xff" * 8 + b"{}",
    "header is a list": framed(b"[]"),
    "header is cut": framed(b'{"w":{"dtype"'),
    "header is deep": framed(b'{"a":' * 100_000),
    "header is no UTF-8": framed(b'{"\xff":{}}'),
    "header is huge": framed(b"{" + b" " * (17 << 20) + b"}"),
    "header with NaN": framed(b'{"w":NaN}'),
    "same name twice": framed(b'{"w":%s,"w":%s}' % ((json.dumps(TENSOR).encode(),) * 2)),
    "same key twice": framed(
        b'{"w":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    ),
    "tensor is a list": headed({"w": []}),
    "no shape": headed({"w": {"dtype": "F32", "data_offsets": [0, 8]}}),
    "more than asked": headed({"w": {**TENSOR, "class": "os.system"}}),
    "unknown type": one(dtype="C128"),
    "type is no text": one(dtype=7),
    "negative shape": one(shape=[-2]),
    "two negative lengths": one(shape=[-2, -1]),
    "shape of floats": one(shape=[2.0]),
    "shape of truths": one(shape=[True, 2]),
    "shape that overflows": one(shape=[1 << 62, 1 << 62]),
    "shape that wraps to the size": one(shape=[(1 << 62) + 2]),
    "a thousand dimensions": one(shape=[1] * 999 + [2]),
    "shape larger than its place": one(shape=[3]),
    "shape smaller than its place": one(shape=[1]),
    "place beyond the file": headed({"w": {**TENSOR, "shape": [4], "data_offsets": [0, 16]}}),
    "place backwards": one(data_offsets=[8, 0]),
    "place before the file": one(data_offsets=[-8, 0]),
    "place of one number": one(data_offsets=[8]),
    "overlap": two([0, 8], [4, 8]),
    "the same place twice": two([0, 8], [0, 8]),
    "hole": two([0, 2], [4, 8]),
    "bytes behind": two([0, 2], [2, 4]),
    "cut": safetensors({"w": torch.zeros(100)})[:-4],
    "texts that name code": headed({"w": TENSOR, "__metadata__": {"_target_": "os.system"}}),
    "texts that are none": headed({"w": TENSOR, "__metadata__": {"format": 7}}),
    "texts in a list": headed({"w": TENSOR, "__metadata__": []}),
}


# Pickles in any disguise, and other files.


def zipped(inner: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", inner)
    return out.getvalue()


def tarred(inner: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        item = tarfile.TarInfo("../../pickle")
        item.size = len(inner)
        file.addfile(item, io.BytesIO(inner))
    return out.getvalue()


def objects(inner: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([inner], object), allow_pickle=True)
    return out.getvalue()


def torched(inner: Any, *, zipped: bool) -> bytes:
    out = io.BytesIO()
    torch.save({"w": inner}, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


PICKLES: Mapping[str, Callable[[Path], bytes]] = {
    "pickle, protocol 5": lambda trace: pickle.dumps(Poison(trace), 5),
    "pickle, protocol 2": lambda trace: pickle.dumps(Poison(trace), 2),
    "pickle as text": lambda trace: pickle.dumps({"w": Poison(trace)}, 0),
    "posix.system as text": lambda trace: f"cposix\nsystem\n(S'touch {trace}'\ntR.".encode(),
    "resolve_name as text": lambda trace: (
        b"cpkgutil\nresolve_name\n(S'builtins:eval'\ntR(S'open(\"%s\",\"w\")'\ntR." % bytes(trace)
    ),
    "torch zip": lambda trace: torched(Poison(trace), zipped=True),
    "torch before zip": lambda trace: torched(Poison(trace), zipped=False),
    "zip of a pickle": lambda trace: zipped(pickle.dumps(Poison(trace))),
    "tar of a pickle": lambda trace: tarred(pickle.dumps(Poison(trace))),
    "gzip of a pickle": lambda trace: gzip.compress(pickle.dumps(Poison(trace))),
    "bzip2 of a pickle": lambda trace: bz2.compress(pickle.dumps(Poison(trace))),
    "xz of a pickle": lambda trace: lzma.compress(pickle.dumps(Poison(trace))),
    "zlib of a pickle": lambda trace: zlib.compress(pickle.dumps(Poison(trace))),
    "NumPy of objects": lambda trace: objects(Poison(trace)),
    "HDF5": lambda trace: b"\x89HDF\r\n\x1a\n" + bytes(100),
    "YAML that names code": lambda trace: b"!!python/object/apply:os.system ['true']",
    "a page": lambda trace: b"<html>not found</html>",
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_lying_safetensors_is_refused(name: str) -> None:
    with pytest.raises(weights.NotSafetensors):
        weights.read(SAFETENSORS[name])


@pytest.mark.parametrize("name", PICKLES)
def test_pickle_in_disguise_is_refused_unopened(name: str, tmp_path: Path) -> None:
    trace = tmp_path / "opened"
    with pytest.raises((weights.PickleRefused, weights.NotSafetensors)):
        weights.read(PICKLES[name](trace))
    assert not trace.exists()


def test_weights_that_are_no_numbers_are_refused() -> None:
    net = torch.nn.Linear(1, 1)
    state = {"weight": torch.tensor([[float("nan")]]), "bias": torch.tensor([float("inf")])}
    with pytest.raises(weights.NotFinite):
        weights.load(net, safetensors(state))


def test_no_loader_is_tried_after_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for place in ("torch.load", "pickle.load", "pickle.loads", "numpy.load", "zipfile.ZipFile"):
        monkeypatch.setattr(place, lambda *_, **__: pytest.fail("an unsafe loader was tried"))
    for make in (lambda _: b"\x80\x05.", lambda _: b"PK\x03\x04", lambda _: SAFETENSORS["overlap"]):
        with pytest.raises(InputError):
            weights.read(make(tmp_path))


# ONNX.

FLOAT, INT = TensorProto.FLOAT, TensorProto.INT64


def graph(
    nodes: list[Any],
    constants: Mapping[str, Any] | None = None,
    domain: str = "",
    tensors: list[onnx.TensorProto] | None = None,
) -> bytes:
    kept = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [*kept, *(tensors or [])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(made, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def node(kind: str, *inputs: str, out: str = "y", **more: Any) -> Any:
    return helper.make_node(kind, list(inputs), [out], **more)


def doubling() -> bytes:
    nodes = [node("Concat", "seed", "seed", out="t0", axis=0)]
    nodes += [node("Concat", f"t{i}", f"t{i}", out=f"t{i + 1}", axis=0) for i in range(40)]
    return graph([*nodes, node("Add", "x", "t40")], {"seed": np.zeros((2, 2), np.float32)})


def nested(depth: int) -> Any:
    """Put a graph in a graph; the other branch is flat, or they would double at each depth."""
    result = [helper.make_tensor_value_info("r", FLOAT, None)]
    flat = [node("Identity", "x", out="r")]
    deep = helper.make_graph([nested(depth - 1)] if depth else flat, "b", [], result)
    out = "y" if depth == 20 else "r"
    other = helper.make_graph(flat, "o", [], result)
    return helper.make_node("If", ["c"], [out], then_branch=deep, else_branch=other)


def loop(rounds: int) -> bytes:
    body = helper.make_graph(
        [node("Identity", "c", out="d"), node("Add", "s", "s", out="e")],
        "b",
        [
            helper.make_tensor_value_info("i", INT, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("d", TensorProto.BOOL, []),
            helper.make_tensor_value_info("e", FLOAT, None),
        ],
    )
    given = {"m": np.array(rounds, np.int64), "go": np.array(True)}
    return graph([node("Loop", "m", "go", "x", body=body)], given)


def lying(dims: list[int], raw: bytes = bytes(8), kind: int = FLOAT) -> bytes:
    tensor = TensorProto(name="w", data_type=kind, dims=dims, raw_data=raw)
    return graph([node("Add", "x", "w")], tensors=[tensor])


def outside(location: str, **more: str) -> bytes:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return graph([node("Add", "x", "w")], tensors=[tensor])


def hidden_outside() -> bytes:
    """External data in a constant, where only the list of weights is looked at."""
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../w.bin")
    return graph([node("Constant", out="w", value=tensor), node("Add", "x", "w")])


BIG = np.array([1 << 20, 1 << 20], np.int64)
ONNX: Mapping[str, tuple[bytes, str]] = {
    "bytes": (b"\xff" * 100, "input.unreadable_graph"),
    "empty": (b"", "input.unreadable_graph"),
    "cut": (graph([node("Identity", "x")])[:-20], "input.unreadable_graph"),
    "no nodes": (graph([]), "input.unreadable_graph"),
    "data elsewhere": (outside("w.bin"), "input.external_data"),
    "data elsewhere in a constant": (hidden_outside(), "input.external_data"),
    "operator of nobody": (
        graph([node("Evil", "x", domain="org.example")], domain="org.example"),
        "input.strange_operator",
    ),
    "operator of Python": (
        graph([node("PyOp", "x", domain="ai.onnx.contrib")], domain="ai.onnx.contrib"),
        "input.strange_operator",
    ),
    "shape from nothing": (
        graph([node("ConstantOfShape", "s", out="t"), node("Add", "x", "t")], {"s": BIG}),
        "input.graph_too_large",
    ),
    "expanded": (graph([node("Expand", "x", "s")], {"s": BIG}), "input.graph_too_large"),
    "tiled": (graph([node("Tile", "x", "s")], {"s": BIG}), "input.graph_too_large"),
    "range without end": (
        graph(
            [node("Range", "a", "b", "d", out="r"), node("Add", "x", "r")],
            {"a": np.float32(0), "b": np.float32(1e30), "d": np.float32(1)},
        ),
        "input.graph_too_large",
    ),
    "doubled forty times": (doubling(), "input.graph_too_large"),
    "loop without end": (loop(1 << 62), "input.graph_too_large"),
    "graphs in graphs": (graph([nested(20)], {"c": np.array(True)}), "input.graph_too_large"),
    "too many nodes": (
        graph([node("Identity", "x", out=f"t{i}") for i in range(50_001)]),
        "input.graph_too_large",
    ),
    "declared beyond memory": (lying([1 << 40]), "input.graph_too_large"),
    "declared beyond a number": (lying([1 << 62, 1 << 62]), "input.graph_too_large"),
    "negative length": (lying([-2]), "input.unreadable_graph"),
    "fewer bytes than it says": (lying([3]), "input.unreadable_graph"),
    "more bytes than it says": (lying([1]), "input.unreadable_graph"),
    "unknown type": (lying([2], kind=999), "input.unreadable_graph"),
}


@pytest.mark.parametrize("name", ONNX)
def test_graph_from_outside_is_refused(name: str) -> None:
    data, code = ONNX[name]
    with pytest.raises(InputError) as caught:
        inspect(data)
    assert caught.value.code == code


# Files that hold nothing wrong, under names that lead elsewhere; and preprocessing.


@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "folder"])
def test_preprocessing_that_is_no_plain_file_is_refused(kind: str, tmp_path: Path) -> None:
    place, real = tmp_path / CANARY, tmp_path / "real.json"
    real.write_text('{"numbers": [{"name": "x", "fill": 0, "scale": 1, "shift": 0}]}')
    {
        "link": lambda: place.symlink_to(real),
        "second name": lambda: place.hardlink_to(real),
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
    }[kind]()
    with pytest.raises(intake.BadPreprocessing) as caught:
        intake.read_preprocessing(place, line.SCHEMA)
    assert str(tmp_path) not in str(caught.value)


PREPROCESSING = {
    "deep": "[" * 100_000,
    "the same key twice": '{"numbers": [], "numbers": []}',
    "code in the place of a column": '{"numbers": [{"_target_": "os.system"}]}',
    "a list for a text": '{"numbers": [{"name": ["x"], "fill": 0, "scale": 1, "shift": 0}]}',
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_preprocessing_against_the_form_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "how.json"
    file.write_text(PREPROCESSING[name])
    with pytest.raises(intake.BadPreprocessing) as caught:
        intake.read_preprocessing(file, line.SCHEMA)
    assert str(tmp_path) not in str(caught.value)


# The same from outside: one line, the right exit code, and nothing written.


def instar(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instar", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / CANARY
    folder.mkdir()
    (folder / "instar.yaml").write_text(line.YAML)
    for name in ("train.csv", "holdout.csv"):
        (folder / name).write_text("x,shop,up\n0.5,north,yes\n")
    return folder


SAID = {
    "adopt a pickle": ("w.safetensors", PICKLES["torch zip"], ("adopt", "w.safetensors")),
    "adopt a huge graph": ("w.onnx", ONNX["expanded"][0], ("adopt", "w.onnx")),
    "import a pickle": ("g.onnx", PICKLES["torch zip"], ("import", "g.onnx", "out")),
    "import a huge graph": ("g.onnx", ONNX["doubled forty times"][0], ("import", "g.onnx", "out")),
    "import data of a parent": ("g.onnx", outside("../w.bin"), ("import", "g.onnx", "out")),
    "convert a graph": ("w.pt", ONNX["expanded"][0], ("import-legacy", "w.pt", "out")),
    "convert poison": ("w.pt", PICKLES["torch zip"], ("import-legacy", "w.pt", "out")),
}


@pytest.mark.parametrize("name", SAID)
def test_command_says_one_line_and_writes_nothing(name: str, workspace: Path) -> None:
    file, make, words = SAID[name]
    trace = workspace.parent / "opened"
    (workspace / file).write_bytes(make(trace) if callable(make) else make)
    more = ("--train", "train.csv", "--holdout", "holdout.csv") if words[0] == "adopt" else ()
    before = sorted(workspace.rglob("*"))
    done = instar(workspace, *words, *more)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert CANARY not in done.stderr
    assert sorted(workspace.rglob("*")) == before
    assert not trace.exists()


def test_every_refusal_has_a_code_of_its_own() -> None:
    codes = [error.code for error in _below(InstarError) if _ours(error)]
    assert len(codes) == len(set(codes))


def _ours(error: type[InstarError]) -> bool:
    """Fakes report what the real thing does, under its code."""
    return error.__module__.startswith("instar.") and "testing" not in error.__module__


def _below(error: type[InstarError]) -> list[type[InstarError]]:
    return [one for sub in error.__subclasses__() for one in (sub, *_below(sub))]
