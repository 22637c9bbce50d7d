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


class BadSignature(IntegrityError):
    """Refuse a signature, or what it should vouch for: the base of the reasons below."""

    code = "integrity.bad_signature"


class MalformedSignature(BadSignature):
    """Refuse a file that is no signature by the rules of `instar.bundle.signature`."""

    code = "integrity.malformed_signature"

    def __init__(self, problem: str) -> None:
        super().__init__(
            "a model signature (OMS 1.0) of whole files, made with a key",
            problem,
            "sign the files again, all of them",
        )


class UntrustedSignature(BadSignature):
    """Refuse a signature that no trusted key made, or whose text was changed afterwards."""

    code = "integrity.untrusted_signature"

    def __init__(self) -> None:
        super().__init__(
            "a signature by a trusted key",
            "one by another key, or one that was changed",
            "see docs/bundles.md for how to trust a key",
        )


class SignatureMismatch(BadSignature):
    """Refuse files that are not those that were signed."""

    code = "integrity.signature_mismatch"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            "the files that were signed",
            f"{name[:200]!r}, {problem}",
            "get the files again from who signed them",
        )


class UnsignedBundle(BadSignature):
    """Refuse a bundle that nobody signed, where there is a key to sign with."""

    code = "integrity.unsigned_bundle"

    def __init__(self, version: str) -> None:
        super().__init__(f"a signature of {version}", "none", "sign what serves: instar sign")


class OddFile(InputError):
    """Refuse what is no regular file with one name: it could be another one a moment later."""

    code = "input.odd_file"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(
            "a regular file with one name",
            f"{name[:200]!r}, {problem}",
            "copy the file itself to this place",
        )


class TooManyFiles(InputError):
    """Refuse a folder that is too large to look at."""

    code = "input.too_many_files"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"at most {most:,} files", "more, or deeper ones", "name the folder itself"
        )


class NotAKey(InputError):
    """Refuse a file that is no public key; its content is never shown."""

    code = "input.not_a_key"

    def __init__(self, problem: str) -> None:
        super().__init__("a public key on P-256, P-384 or P-521, as PEM", problem, "give the .pub")


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
            "save it with external_data=False, or put them in: instar import FILE OUT.onnx",
        )


class LostData(RefusedGraph):
    """Refuse a graph whose weights are not in the file that it names, beside it."""

    code = "input.lost_data"

    def __init__(self, tensor: str, problem: str) -> None:
        super().__init__(
            f"the weights of {tensor} in a file beside the graph, or below it",
            problem,
            "put the file there, and name it without .. or /",
        )


class GraphTooLarge(RefusedGraph):
    """Refuse a graph that asks for more memory or time than any that serves needs."""

    code = "input.graph_too_large"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "export a smaller network")


class StrangeOperator(RefusedGraph):
    """Refuse a graph with operators that the ONNX standard does not have."""

    code = "input.strange_operator"

    def __init__(self, name: str) -> None:
        super().__init__("operators of ONNX alone", name, "export with standard operators")


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
