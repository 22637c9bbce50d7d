"""The first `instar.yaml` of a model line: short, valid, and pointing to the rest."""

from __future__ import annotations

from pathlib import Path

from instar.core.errors import InputError

TEMPLATE = """\
model: {model}
# kind: see docs/tasks.md; time, id and classes (negative, positive) may follow
task: {{kind: {kind}, {target}}}
# a function that returns an nn.Module; or a family: {{family: mlp, hidden: [64, 64]}}
network: {{build: {build}}}

data:
  ignore: []                   # columns that are kept and read by nobody

policy:                        # every setting with its default: instar policy show
  approve: {{people: 1}}         # never the one who asked
"""


class PolicyExists(InputError):
    """Refuse to write over a policy file."""

    code = "input.policy_exists"

    def __init__(self, name: str) -> None:
        super().__init__("a folder without a policy file", f"{name}, which is there", "edit it")


def write(path: Path, *, model: str, kind: str, target: str, build: str) -> None:
    """Write a first policy file.

    Args:
        target: The column with the answer; for multilabel several, with commas between them.
    Raises:
        PolicyExists: there is one.
    """
    columns = f"targets: [{target}]" if kind == "multilabel" else f"target: {target}"
    text = TEMPLATE.format(model=model, kind=kind, target=columns, build=build)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PolicyExists(path.name) from error
