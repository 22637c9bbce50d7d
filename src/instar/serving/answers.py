"""Answers in the protocol's words: JSON or binary tensors. What never changes is made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from instar.serving.protocol import Infer, Rows, wanted

Scores = NDArray[np.float32]
Header = tuple[str, str]

BINARY = "application/octet-stream"
_encode = msgspec.json.Encoder().encode


class Writer:
    """Write the answers of one version.

    Args:
        model: The model line.
        version: The version's name.
        classes: What its scores are of; none for a regression.
        width: Scores of a row.
    """

    def __init__(self, model: str, version: str, classes: Sequence[str], width: int) -> None:
        self.classes, self.width = tuple(classes), width
        self._names = {"model_name": model, "model_version": version}
        self._head = _encode(self._names)[:-1]
        self._one = b'{"name":"scores","shape":[1,%d],"datatype":"FP32","data":' % width
        label = b'},{"name":"label","shape":[1],"datatype":"BYTES","data":[%b]}]}'
        self._labels = [label % _encode(name) for name in self.classes]
        self._offered = {"scores": "FP32"} | ({"label": "BYTES"} if self.classes else {})

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
            rows: Its rows as lists.
        Returns:
            Body, content type, headers.
        """
        if infer.outputs is None and infer.parameters is None and len(rows) == 1:
            return self._single(infer.id, rows[0]), "application/json", ()
        chosen = wanted(infer, self._offered)
        scores = scores[at : at + len(rows)]
        outputs, blobs = [], []
        for name, binary in chosen:
            output: dict[str, Any] = {
                "name": name,
                "shape": [len(rows), self.width] if name == "scores" else [len(rows)],
                "datatype": self._offered[name],
            }
            if binary:
                blob = self._raw(name, scores)
                blobs.append(blob)
                output["parameters"] = {"binary_data_size": len(blob)}
            else:
                output["data"] = self._listed(name, scores, rows)
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

    def _listed(self, name: str, scores: Scores, rows: list[list[float]]) -> list[Any]:
        if name == "scores":
            return [value for row in rows for value in row]
        return [self.classes[place] for place in scores.argmax(axis=1).tolist()]

    def _raw(self, name: str, scores: Scores) -> bytes:
        if name == "scores":
            return scores.astype("<f4", copy=False).tobytes()
        texts = [self.classes[place].encode() for place in scores.argmax(axis=1).tolist()]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)

    def rows(self, request: Rows, rows: list[list[float]]) -> bytes:
        """Write the answer to plain rows: per row a label with the scores by class, or a value."""
        identity = {"id": request.id} if request.id is not None else {}
        if classes := self.classes:
            predictions: list[dict[str, Any]] = [
                {
                    "label": classes[row.index(max(row))],
                    "scores": dict(zip(classes, row, strict=True)),
                }
                for row in rows
            ]
        else:
            predictions = [{"value": row[0]} for row in rows]
        return _encode({**self._names, **identity, "predictions": predictions})
