"""What can be wrong with a bundle, and with what is asked of it."""

from __future__ import annotations

from instar.core.errors import BackendError, InputError, IntegrityError


class BrokenBundle(IntegrityError):
    """Refuse a bundle whose bytes are not what its manifest says."""

    code = "integrity.broken_bundle"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"the sealed file {name}", problem, "restore the bundle from a backup")


class NewerBundle(IntegrityError):
    """Refuse a bundle written in a format that this version cannot read."""

    code = "integrity.newer_bundle"

    def __init__(self, known: str, got: str) -> None:
        super().__init__(f"a bundle in the format {known}", repr(got), "install a newer Instar")


class RefusedGraph(InputError):
    """Refuse an ONNX graph that cannot serve: the base of the reasons below."""

    code = "input.refused_graph"


class UnreadableGraph(RefusedGraph):
    """Refuse bytes that the runtime cannot load as one whole ONNX graph."""

    code = "input.unreadable_graph"

    def __init__(self, problem: str = "bytes that do not load") -> None:
        super().__init__("one ONNX file with all its weights", problem, "export the network again")


class ExternalData(RefusedGraph):
    """Refuse a graph that keeps weights in a file beside it."""

    code = "input.external_data"

    def __init__(self, tensor: str) -> None:
        super().__init__(
            "an ONNX file with all its weights inside",
            f"the tensor {tensor} in another file",
            "save it with external_data=False",
        )


class FixedBatch(RefusedGraph):
    """Refuse a graph that takes a fixed number of rows."""

    code = "input.fixed_batch"

    def __init__(self, name: str, shape: tuple[int | str | None, ...]) -> None:
        super().__init__(
            "a dynamic batch, the first dimension of every input,",
            f"the input {name} of shape {shape}",
            "export it with dynamic_shapes",
        )


class MissingColumns(InputError):
    """Refuse a request that names none of the columns the model reads, or lacks its image."""

    code = "input.missing_columns"

    def __init__(self, wanted: tuple[str, ...], got: tuple[str, ...]) -> None:
        super().__init__(
            f"the columns {', '.join(wanted)}", ", ".join(got) or "none", "send named columns"
        )


class BadValues(InputError):
    """Refuse values of the wrong type, shape, length or size in one column."""

    code = "input.bad_values"

    def __init__(self, column: str, wanted: str, got: str) -> None:
        super().__init__(f"{wanted} in {column}", got, "correct the request")


class PredictionFailed(BackendError):
    """Report a graph that failed on inputs it should have taken. The runtime's text stays out."""

    code = "backend.prediction_failed"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"scores from {version}", "a failure inside its graph", "send less at once"
        )
