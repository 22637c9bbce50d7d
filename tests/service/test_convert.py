"""Files from outside, converted by the real child process."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from instar.core.digest import digest_bytes
from instar.core.errors import InputError
from instar.foreign import graphs
from instar.models import weights
from instar.service import convert
from tests.badinput.test_formats import graph, node, outside

SECRET = "a-secret-of-the-environment"


def test_state_dict_becomes_safetensors_of_the_same_values(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = net.state_dict()
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.pt")
    done = convert.import_legacy(tmp_path / "w.pt", tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    assert done["digest"] == digest_bytes(data)
    assert set(done["jail"]) >= {"landlock", "seccomp", "limits", "audit"}
    found = weights.read(data)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class Call:
    """Reduce to a call, as hostile pickles do."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def named(module: str, name: str, *arguments: str) -> Callable[[Path], bytes]:
    said = "".join(f"S'{argument}'\n" for argument in arguments)
    return lambda trace: f"c{module}\n{name}\n({said}tR.".replace("TRACE", str(trace)).encode()


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "posix.system": named("posix", "system", "touch TRACE"),
    "eval by resolve_name": lambda trace: pickle.dumps(
        Call(__import__("pkgutil").resolve_name, "builtins:eval")
    ),
    "eval": named("builtins", "eval", 'open("TRACE","w")'),
    "exec by runpy": named("runpy", "run_path", "TRACE"),
    "a socket": lambda _: pickle.dumps(Call(socket.create_connection, ("127.0.0.1", 9))),
    "the environment": lambda _: pickle.dumps(Call(os.getenv, "SECRET")),
    "a file": named("builtins", "open", "/etc/passwd"),
    "a fork": named("os", "fork"),
    "memory": lambda _: pickle.dumps(Call(bytearray, 1 << 40)),
    "a network with its class": lambda trace: torched(torch.nn.Linear(1, 1), trace),
    "tensors beside a path": lambda trace: torched({"a": torch.ones(1), "b": Path("x")}, trace),
    "a tensor alone": lambda trace: torched(torch.ones(1), trace),
    "numbers": lambda trace: torched({"a": 7}, trace),
    "nothing": lambda trace: torched({}, trace),
}


def torched(what: Any, trace: Path) -> bytes:
    file = trace.with_name("made.pt")
    torch.save(what, file)
    data = file.read_bytes()
    file.unlink()
    return data


def test_hostile_pickle_is_refused_and_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "w.pt").write_bytes(HOSTILE["posix.system"](tmp_path / "trace"))
    with pytest.raises(InputError) as caught:
        convert.import_legacy(tmp_path / "w.pt", tmp_path / "out")
    assert caught.value.code == "input.legacy_refused"
    assert str(tmp_path) not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


IN_TURN = """
import json, os, sys
from pathlib import Path
from instar.core.errors import InputError
from instar.foreign import child, jail
os.chdir(sys.argv[1])
convert = child._legacy()
files = {path.name: open(path, "rb") for path in sorted(Path(sys.argv[2]).iterdir())}
jail.lock(Path(sys.argv[1]), memory=1 << 30, seconds=120, size=1 << 20)
said = {}
for name, file in files.items():
    try:
        convert(file)
        said[name] = "converted"
    except InputError as error:
        said[name] = str(error)
os.write(1, json.dumps(said).encode())
"""


def test_every_hostile_pickle_is_refused_and_none_has_an_effect(tmp_path: Path) -> None:
    """As the child process does it, one after the other: torch is loaded once."""
    (tmp_path / "scratch").mkdir()
    (tmp_path / "files").mkdir()
    for name, make in HOSTILE.items():
        (tmp_path / "files" / name).write_bytes(make(tmp_path / "trace"))
    done = subprocess.run(
        [sys.executable, "-c", IN_TURN, str(tmp_path / "scratch"), str(tmp_path / "files")],
        capture_output=True,
        env={**os.environ, "SECRET": SECRET},
        check=False,
    )
    said = json.loads(done.stdout)
    assert said.keys() == HOSTILE.keys()
    for name, text in said.items():
        assert "without running anything" in text, name
        assert SECRET not in text, name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["files", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "link", "folder", "taken", "no folder"])
def test_file_that_cannot_be_converted_is_told(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "w.pt", tmp_path / "out"
    if kind == "link":
        (tmp_path / "real").write_bytes(b"x")
        source.symlink_to(tmp_path / "real")
    if kind == "folder":
        source.mkdir()
    if kind == "taken":
        out.write_bytes(b"mine")
    if kind == "no folder":
        out = tmp_path / "nowhere" / "out"
    with pytest.raises(InputError) as caught:
        convert.import_legacy(source, out)
    assert str(tmp_path) not in str(caught.value)
    assert kind != "taken" or out.read_bytes() == b"mine"


# ONNX with data beside it.


def test_data_beside_a_graph_are_put_in(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "w.bin").write_bytes(b"skip" + np.array([1, 2], np.float32).tobytes())
    (tmp_path / "g.onnx").write_bytes(outside("sub/w.bin", offset="4", length="8"))
    convert.import_graph(tmp_path / "g.onnx", tmp_path / "out.onnx")
    model = onnx.load_model_from_string((tmp_path / "out.onnx").read_bytes())
    (tensor,) = model.graph.initializer
    assert tensor.data_location == TensorProto.DEFAULT
    assert not tensor.external_data
    assert numpy_helper.to_array(tensor).tolist() == [1, 2]


def test_whole_graph_stays_as_it_is_but_for_texts(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(graph([node("Identity", "x")]))
    model.metadata_props.add(key="_target_", value="os.system")
    (tmp_path / "g.onnx").write_bytes(model.SerializeToString())
    convert.import_graph(tmp_path / "g.onnx", tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_bytes() == graph([node("Identity", "x")])


def linked(folder: Path) -> None:
    (folder / "model" / "w.bin").symlink_to(folder / "secret")


def twice_named(folder: Path) -> None:
    (folder / "model" / "w.bin").hardlink_to(folder / "secret")


def linked_folder(folder: Path) -> None:
    (folder / "model" / "sub").symlink_to(folder)


def short(folder: Path) -> None:
    (folder / "model" / "w.bin").write_bytes(b"1234")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "model" / "w.bin")


ELSEWHERE: dict[str, tuple[bytes, Callable[[Path], None]]] = {
    "parent": (outside("../secret"), lambda _: None),
    "inner parent": (outside("sub/../../secret"), lambda f: (f / "model" / "sub").mkdir()),
    "absolute": (outside("/etc/hostname"), lambda _: None),
    "backslash": (outside("..\\secret"), lambda _: None),
    "nothing": (outside(""), lambda _: None),
    "the folder": (outside("."), lambda _: None),
    "missing": (outside("w.bin"), lambda _: None),
    "link": (outside("w.bin"), linked),
    "second name": (outside("w.bin"), twice_named),
    "linked folder": (outside("sub/secret"), linked_folder),
    "pipe": (outside("w.bin"), pipe),
    "short": (outside("w.bin"), short),
    "far offset": (outside("w.bin", offset=str(1 << 70)), short),
    "negative offset": (outside("w.bin", offset="-4"), short),
    "length that is none": (outside("w.bin", length="8 "), short),
    "another length": (outside("w.bin", length="4"), short),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_data_elsewhere_are_never_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"8 bytes!")
    (tmp_path / "model").mkdir()
    data, prepare = ELSEWHERE[name]
    prepare(tmp_path)
    with pytest.raises(InputError) as caught:
        graphs.inline(graphs.parse(data), tmp_path / "model")
    assert str(tmp_path) not in str(caught.value)


def test_command_never_reads_data_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_bytes(b"8 bytes!")
    (tmp_path / "model" / "g.onnx").write_bytes(outside("../secret"))
    with pytest.raises(InputError, match="leads out") as caught:
        convert.import_graph(tmp_path / "model" / "g.onnx", tmp_path / "out.onnx")
    assert caught.value.code == "input.lost_data"
    assert not (tmp_path / "out.onnx").exists()
