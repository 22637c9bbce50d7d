"""Preprocessing as ONNX nodes: raw columns in, what the network is called with out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from instar.core.data import CategoryColumn, ImageColumn, NumberColumn, Preprocessing
from instar.stages.package.export import CATEGORIES, IMAGE, NUMBERS

ML_OPSET = 3  # of the domain ai.onnx.ml: the first with LabelEncoder's default per key type


@dataclass
class Part:
    """Nodes and constants under construction; `inputs` are the graph's own."""

    prefix: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"{self.prefix}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, op: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        name = out or f"{self.prefix}/{op}_{len(self.nodes)}"
        domain = "ai.onnx.ml" if op == "LabelEncoder" else ""
        made = helper.make_node(op, list(inputs), [name], name, domain=domain, **attributes)
        self.nodes.append(made)
        return name

    def input(self, name: str, kind: int, *inner: int) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["n", *inner]))
        return name


def preprocess(how: Preprocessing) -> Part:
    """Write the preprocessing as nodes.

    Args:
        how: What was fitted on training rows.
    Returns:
        Nodes from `numbers` float32 (n, d) with NaN for missing, `strings` (n, c) with "" for
        missing, `image` uint8 (n, h, w) or (n, h, w, c), to the network's inputs.
    """
    part = Part("prepare")
    parts = [_numbers(part, how.numbers)] if how.numbers else []
    if how.categories:
        codes = _codes(part, how.categories)
        if how.onehot:
            parts += [
                _spread(part, code, len(column.values))
                for code, column in zip(codes, how.categories, strict=True)
            ]
        else:
            part.node("Concat", *codes, axis=1, out=CATEGORIES)
    if parts:
        part.node("Concat", *parts, axis=1, out=NUMBERS)
    if how.image:
        _image(part, how.image)
    return part


def _numbers(part: Part, columns: tuple[NumberColumn, ...]) -> str:
    raw = part.input("numbers", TensorProto.FLOAT, len(columns))
    fill = part.constant([column.fill for column in columns], np.float32)
    scale = part.constant([column.scale for column in columns], np.float32)
    shift = part.constant([column.shift for column in columns], np.float32)
    filled = part.node("Where", part.node("IsNaN", raw), fill, raw)
    return part.node("Add", part.node("Mul", filled, scale), shift)


def _codes(part: Part, columns: tuple[CategoryColumn, ...]) -> list[str]:
    """Code each column: int64, shape (n, 1) each."""
    raw = part.input("strings", TensorProto.STRING, len(columns))
    return [
        part.node(
            "LabelEncoder",
            part.node("Gather", raw, part.constant([place], np.int64), axis=1),
            keys_strings=list(column.values),
            values_int64s=list(range(1, len(column.values) + 1)),
            default_int64=0,
        )
        for place, column in enumerate(columns)
    ]


def _spread(part: Part, code: str, values: int) -> str:
    same = part.node("Equal", code, part.constant([list(range(1, values + 1))], np.int64))
    return part.node("Cast", same, to=TensorProto.FLOAT)


def _image(part: Part, image: ImageColumn) -> None:
    size = (image.height, image.width)
    inner = size if image.channels == 1 else (*size, image.channels)
    raw = part.input("image", TensorProto.UINT8, *inner)
    pixels = part.node("Cast", raw, to=TensorProto.FLOAT)
    if image.channels == 1:
        first = part.node("Unsqueeze", pixels, part.constant([1], np.int64))
    else:
        first = part.node("Transpose", pixels, perm=[0, 3, 1, 2])
    scaled = part.node("Mul", first, part.constant(image.scale, np.float32))
    part.node("Add", scaled, part.constant(image.shift, np.float32), out=IMAGE)
