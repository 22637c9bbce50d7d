"""`instar diff`: what changed from one version to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from instar.cli.options import HERE, Json, Root, workspace

Version = Annotated[
    str, typer.Argument(help="A version, `champion`, or `champion~1`, the one before it.")
]


def command(
    one: Version,
    other: Version,
    layer: Annotated[
        str | None, typer.Option(help="Only the tensors of this name, or below it.")
    ] = None,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Say what changed from one version to another: weights, data, rules, figures, code."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root).diff(one, other, layer=layer, tell=tell)
    show.result(done, json, _drawn)


def _drawn(done: Mapping[str, Any]) -> None:
    from instar.cli.show import console

    kin = "its parent" if done["parent"] else "not its parent"
    console.print(f"[bold]{done['from']}[/bold] -> [bold]{done['to']}[/bold] ({kin})")
    _layers(done)
    for name in ("data", "holdout"):
        _data(name, done[name])
    _sets("features", done["features"])
    for name in ("preprocessing", "network", "training", "policy", "code"):
        _rows(name, done[name])
    _metrics(done["metrics"])


def _title(name: str, note: str = "") -> None:
    from rich.text import Text

    from instar.cli.show import console

    console.print(Text.assemble((name, "bold"), f"  {note}" if note else ""), soft_wrap=True)


def _layers(done: Mapping[str, Any]) -> None:
    from rich.table import Table

    from instar.cli.show import console

    untouched = len(done["untouched"])
    _title("weights", f"{untouched} untouched" if untouched else "")
    table = Table(box=None, pad_edge=False)
    for name in ("  tensor", "distance", "relative", "largest", "cosine", "changed"):
        table.add_column(name, justify="left" if name == "  tensor" else "right")
    moved = [row for row in done["layers"] if row["changed"]]
    for row in moved:
        size = "∞" if row["relative"] is None else f"{row['relative']:.1%}"
        figures = (f"{row['l2']:.4g}", size, f"{row['largest']:.4g}", f"{row['cosine']:.4f}")
        table.add_row(f"  {row['name']}", *figures, f"{row['changed']:.1%}")
    if moved:
        console.print(table)
    for name in ("added", "removed"):
        if done[name]:
            _title("", f"{name}: {', '.join(done[name])}")
    for row in done["reshaped"]:
        _title("", f"{row['name']}: {row['from']} -> {row['to']}")


def _data(name: str, found: Mapping[str, Any]) -> None:
    rows = found["rows"]
    _title(name, f"{rows['from']:,} -> {rows['to']:,} rows")
    for sign, parts in (("+", found["added"]), ("-", found["removed"])):
        for part in parts:
            span = f", {part['since']} to {part['until']}" if part["since"] else ""
            _title("", f"{sign} {part['source']}, {part['rows']:,} rows{span}")


def _sets(name: str, found: Mapping[str, Sequence[str]]) -> None:
    said = [f"+ {one}" for one in found["added"]] + [f"- {one}" for one in found["removed"]]
    _title(name, ", ".join(said) or "the same")


def _rows(name: str, rows: Sequence[Mapping[str, Any]] | None) -> None:
    if rows is None:
        _title(name, "one of the two is not recorded")
        return
    _title(name, "" if rows else "the same")
    for row in rows:
        _title("", f"{row['what']}: {_word(row['from'])} -> {_word(row['to'])}")


def _word(value: Any) -> str:
    from instar.core.digest import is_digest, short

    if isinstance(value, str) and is_digest(value):
        return short(value)
    return "none" if value is None else str(value)


def _metrics(rows: Sequence[Mapping[str, Any]]) -> None:
    _title("metrics", "" if rows else "none")
    for row in rows:
        values = ["none" if row[end] is None else f"{row[end]:.4f}" for end in ("from", "to")]
        _title("", f"{row['name']}: {' -> '.join(values)}")
