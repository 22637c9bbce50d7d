"""What keeps a network from being packaged at all."""

from __future__ import annotations

from instar.core.errors import InputError


class NotExportable(InputError):
    """Refuse a network that ONNX cannot say, or only for one number of rows."""

    code = "input.not_exportable"

    def __init__(self, problem: str) -> None:
        super().__init__(
            "a network that exports to ONNX with a dynamic batch",
            problem,
            "write its forward with tensor operations only, without branches on values",
        )


class NotQuantisable(InputError):
    """Report a network that the quantiser cannot turn into INT8."""

    code = "input.not_quantisable"

    def __init__(self, problem: str) -> None:
        super().__init__("a network that quantises", problem, "set package.int8 to never")


class NoRowsToMeasure(InputError):
    """Refuse to seal a bundle that nothing was measured on."""

    code = "input.no_rows_to_measure"

    def __init__(self, what: str) -> None:
        super().__init__(f"labelled {what} rows", "none", "provide some")
