"""The child process that reads what a stranger wrote: a pickle, or a graph with files beside it.

The file is open as standard input, the result is written into the working folder, and what there
is to say is one line of JSON on standard output. Everything is loaded first; then the process
gives its means up (`instar.foreign.jail`), and only then is the first byte looked at.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from instar.core.errors import InputError
from instar.foreign import jail

MEMORY, SECONDS, SIZE = 6 << 30, 120, 4 << 30
OUT = "out"

Convert = Callable[[BinaryIO], None]


class LegacyRefused(InputError):
    """Refuse a pickle that holds more than tensors by name, or is damaged."""

    code = "input.legacy_refused"

    def __init__(self, kind: str) -> None:
        super().__init__(
            "a torch file with a state_dict: tensors by name, and nothing else",
            f"{kind} while it was read without running anything",
            "load it where you trust it, and save its state_dict as safetensors",
        )


def main(what: str, beside: str) -> None:
    """Convert standard input; print how the process was locked in, and what went wrong, if so.

    Args:
        what: `legacy`, a torch pickle to safetensors; or `graph`, an ONNX file made whole.
        beside: Where a graph's other files lie.
    """
    done = jail.apart()
    convert = _legacy() if what == "legacy" else _graph(Path(beside))
    told: dict[str, Any] = {}
    with open(0, "rb", closefd=False) as file:
        try:
            done += jail.lock(
                Path.cwd(),
                memory=MEMORY,
                seconds=SECONDS,
                size=SIZE,
                beside=None if what == "legacy" else Path(beside),
            )
            told["jail"] = done
            convert(file)
        except jail.NoJailError:
            told["free"] = True
        except InputError as error:
            told |= {"code": error.code, "parts": [error.wanted, error.got, error.todo]}
    sys.stdout.write(json.dumps(told))


def _legacy() -> Convert:
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(1)

    def convert(file: BinaryIO) -> None:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a stranger's file decides which one
            raise LegacyRefused(type(error).__name__) from error
        save_file(tensors(state), OUT)

    # Reading and writing import parts of torch on the way. Something of our own, in both of torch's
    # forms, brings them here while files are still within reach.
    for zipped in (True, False):
        own = io.BytesIO()
        torch.save({"w": torch.zeros(1)}, own, _use_new_zipfile_serialization=zipped)
        own.seek(0)
        convert(own)
    Path(OUT).unlink()
    return convert


def tensors(value: Any) -> dict[str, Any]:
    """Find the state dict in what a file held: itself, or under `state_dict` or `model`.

    Raises:
        LegacyRefused: there is none.
    """
    import torch

    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
            break
    if not isinstance(value, dict) or not value:
        raise LegacyRefused(f"a {type(value).__name__}")
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise LegacyRefused(f"a {type(tensor).__name__} among the tensors")
    return {name: tensor.detach().contiguous().clone() for name, tensor in value.items()}


def _graph(beside: Path) -> Convert:
    from instar.foreign import graphs

    def convert(file: BinaryIO) -> None:
        model = graphs.parse(file.read())
        graphs.inline(model, beside)
        graphs.check(model)
        model.ClearField("metadata_props")  # texts that some tool may take for names of code
        Path(OUT).write_bytes(model.SerializeToString())

    return convert
