"""Answers in the protocol's words: JSON or binary tensors. What never changes is made once."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.core.data import Task
from instar.serving.protocol import Infer, Rows, wanted
from instar.tasks import form_of

Scores = NDArray[np.float32]
Header = tuple[str, str]

_PACKED = {"FP32": "<f4", "BOOL": "?", "UINT8": "u1", "INT64": "<i8"}
BINARY = "application/octet-stream"
_encode = msgspec.json.Encoder().encode


class Writer:
    """Write the answers of one version.

    Args:
        model: The model line.
        version: The version's name.
        task: What it answers.
    """

    def __init__(self, model: str, version: str, task: Task) -> None:
        self.task, self.form = task, form_of(task)
        self.classes = task.classes if task.exclusive else ()
        self._names = {"model_name": model, "model_version": version}
        self._head = _encode(self._names)[:-1]
        self._offered = {item["name"]: item["datatype"] for item in self.form.tensors(task)}
        # One class, or one value, a row: its JSON is put together out of pieces.
        self._plain = not task.classes or task.exclusive
        width = len(self.classes) or 1
        self._one = b'{"name":"scores","shape":[1,%d],"datatype":"FP32","data":' % width
        label = b'},{"name":"label","shape":[1],"datatype":"BYTES","data":[%b]}]}'
        self._labels = [label % _encode(name) for name in self.classes]

    @property
    def offered(self) -> dict[str, str]:
        """Give the datatypes of what an answer may hold, by name."""
        return self._offered

    def infer(
        self, infer: Infer, scores: Scores, at: int, rows: list[list[float]]
    ) -> tuple[bytes, str, tuple[Header, ...]]:
        """Write the answer to an inference request; its id only if it had one.

        Args:
            scores: Shape (n, k), those of other requests among them.
            at: The first row that is this request's.
            rows: What is kept of its rows, as lists: the scores themselves where they are few.
        Returns:
            Body, content type, headers.
        """
        if self._plain and infer.outputs is None and infer.parameters is None and len(rows) == 1:
            return self._single(infer.id, rows[0]), "application/json", ()
        chosen = wanted(infer, self._offered)
        scores = scores[at : at + len(rows)]
        outputs, blobs = [], []
        for name, binary in chosen:
            made, datatype = self.form.tensor(name, scores, self.task), self._offered[name]
            output: dict[str, Any] = {
                "name": name,
                "shape": list(made.shape),
                "datatype": datatype,
            }
            if binary:
                blob = packed(made, datatype)
                blobs.append(blob)
                output["parameters"] = {"binary_data_size": len(blob)}
            else:
                output["data"] = made.ravel().tolist()
            outputs.append(output)
        identity = {"id": infer.id} if infer.id is not None else {}
        head = _encode({**self._names, **identity, "outputs": outputs})
        if not blobs:
            return head, "application/json", ()
        header = ("inference-header-content-length", str(len(head)))
        return b"".join([head, *blobs]), BINARY, (header,)

    def _single(self, name: str | None, row: list[float]) -> bytes:
        """Write the answer to most requests: one row, everything, in JSON."""
        identity = b"" if name is None else b',"id":' + _encode(name)
        label = self._labels[row.index(max(row))] if self._labels else b"}]}"
        return b"".join((self._head, identity, b',"outputs":[', self._one, _encode(row), label))

    def rows(self, request: Rows, scores: Scores) -> bytes:
        """Write the answer to plain rows: per row a label with the scores by class, or a value."""
        identity = {"id": request.id} if request.id is not None else {}
        predictions = self.form.plain(scores, self.task)
        return _encode({**self._names, **identity, "predictions": predictions})


def packed(made: NDArray[Any], datatype: str) -> bytes:
    """Write a tensor as the binary extension wants it: little-endian, texts with their lengths."""
    if datatype != "BYTES":
        return made.astype(_PACKED[datatype], copy=False).tobytes()
    texts = [text.encode() for text in made.ravel().tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
