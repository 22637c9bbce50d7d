"""The messages of the protocol, made at start out of `inference.proto`.

There is no generated code, which would be tied to the version of protobuf that generated it, and
no entry in the pool that all of a process shares: a client of the same protocol may live here, too.
What is read is the part of proto3 that the file uses; anything else in it is refused.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError

from instar.serving.protocol import Malformed

FILE = "inference.proto"
SERVICE = "inference.GRPCInferenceService"

_Field = descriptor_pb2.FieldDescriptorProto
_TOKEN = re.compile(r'\s+|//[^\n]*|("[^"\n]*"|[A-Za-z_][\w.]*|[0-9]+|[{}=;<>,()])')
_SCALARS: Mapping[str, Any] = {
    "bool": _Field.TYPE_BOOL,
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


class _Reader:
    """Read one file, front to back."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._at = 0
        self.file = descriptor_pb2.FileDescriptorProto(name=FILE)

    def read(self) -> descriptor_pb2.FileDescriptorProto:
        while self._at < len(self._tokens):
            match self._next():
                case "syntax":
                    self._take("=")
                    self.file.syntax = self._next().strip('"')
                    self._take(";")
                case "package":
                    self.file.package = self._next()
                    self._take(";")
                case "service":
                    self._service()
                case "message":
                    self._message(self.file.message_type.add(), "")
                case other:
                    raise ValueError(other)
        return self.file

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, *wanted: str) -> None:
        for token in wanted:
            if (found := self._next()) != token:
                raise ValueError((token, found))

    def _goes_on(self) -> bool:
        """Tell whether a block holds more; its end is taken."""
        if self._tokens[self._at] != "}":
            return True
        self._at += 1
        return False

    def _service(self) -> None:
        service = self.file.service.add(name=self._next())
        self._take("{")
        while self._goes_on():
            self._take("rpc")
            method = service.method.add(name=self._next())
            self._take("(")
            method.input_type = f".{self.file.package}.{self._next()}"
            self._take(")", "returns", "(")
            method.output_type = f".{self.file.package}.{self._next()}"
            self._take(")", ";")

    def _message(self, message: descriptor_pb2.DescriptorProto, scope: str) -> None:
        message.name = self._next()
        scope = f"{scope}{message.name}."
        self._take("{")
        while self._goes_on():
            match self._next():
                case "message":
                    self._message(message.nested_type.add(), scope)
                case "oneof":
                    message.oneof_decl.add(name=self._next())
                    self._take("{")
                    while self._goes_on():
                        field = self._field(message, self._next(), scope)
                        field.oneof_index = len(message.oneof_decl) - 1
                case "map":
                    self._map(message, scope)
                case "repeated":
                    self._field(message, self._next(), scope, repeated=True)
                case kind:
                    self._field(message, kind, scope)

    def _map(self, message: descriptor_pb2.DescriptorProto, scope: str) -> None:
        """A map is a repeated message of a key and a value."""
        self._take("<", "string", ",")
        kind = self._next()
        self._take(">")
        name = "".join(part.title() for part in self._tokens[self._at].split("_")) + "Entry"
        entry = message.nested_type.add(name=name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
        self._typed(value, kind, "")
        self._field(message, name, scope, repeated=True)

    def _field(
        self,
        message: descriptor_pb2.DescriptorProto,
        kind: str,
        scope: str,
        *,
        repeated: bool = False,
    ) -> Any:
        label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
        field = message.field.add(name=self._next(), label=label)
        self._typed(field, kind, scope if _holds(message, kind) else "")
        self._take("=")
        field.number = int(self._next())
        self._take(";")
        return field

    def _typed(self, field: Any, kind: str, scope: str) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type = _Field.TYPE_MESSAGE
            field.type_name = f".{self.file.package}.{scope}{kind}"


def _holds(message: descriptor_pb2.DescriptorProto, name: str) -> bool:
    return any(nested.name == name for nested in message.nested_type)


def tokens(text: str) -> list[str]:
    """Cut a file into its words and signs, without spaces and comments.

    Raises:
        ValueError: a character belongs to neither.
    Example:
        >>> tokens("bool live = 1;  // always")
        ['bool', 'live', '=', '1', ';']
    """
    found, at = [], 0
    while at < len(text):
        if (match := _TOKEN.match(text, at)) is None:
            raise ValueError(text[at : at + 20])
        at = match.end()
        if match[1]:
            found.append(match[1])
    return found


def _pool() -> Any:
    text = pkgutil.get_data(__package__, FILE)
    if text is None:
        raise FileNotFoundError(FILE)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_Reader(text.decode()).read())
    return pool


POOL = _pool()
METHODS: Mapping[str, Any] = POOL.FindServiceByName(SERVICE).methods_by_name
"""The methods of the service by name, with the descriptors of what they take and give."""


def message(name: str) -> Any:
    """Return the class of a message by its name within the package."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))


def read(kind: Any, data: bytes) -> Any:
    """Read a message.

    Raises:
        Malformed: the bytes are none.
    """
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Malformed(f"a {kind.DESCRIPTOR.name}", "other bytes") from error


def filled(kind: Any, values: Mapping[str, Any]) -> bytes:
    """Write a message out of the JSON of the same names; names that it lacks are left out."""
    made: bytes = ParseDict(values, kind(), ignore_unknown_fields=True).SerializeToString()
    return made
