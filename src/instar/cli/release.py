"""The verbs of a release: begin it, steer it, go back."""

from __future__ import annotations

from typing import Annotated

import typer

from instar.cli.options import HERE, By, Json, Reason, Root, workspace

Why = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]

NOTHING = {"changed": False, "message": "nothing is in progress"}


def release(update: str, root: Root = HERE, by: By = None, json: Json = False) -> None:
    """Hand traffic over to an approved candidate, watching every step."""
    from instar.cli import show

    with show.progress(json) as tell:
        outcome = workspace(root, by).release(update, tell=tell)
    show.outcome(outcome, json)


def pause(
    update: str, reason: Reason, root: Root = HERE, by: By = None, json: Json = False
) -> None:
    """Stop a release where it is; its gates go on, and proof of harm still ends it."""
    from instar.cli import show

    outcome = workspace(root, by).pause(update, reason=reason)
    show.outcome(outcome, json, leave=False)


def resume(
    update: Annotated[
        str | None, typer.Argument(help="The update; without a name the one that is open.")
    ] = None,
    reason: Why = "",
    root: Root = HERE,
    by: By = None,
    json: Json = False,
) -> None:
    """Carry an open update on, after a crash or a word of people; let a paused release go on."""
    from instar.cli import show

    space = workspace(root, by)
    with show.progress(json) as tell:
        if update is None:
            outcome = space.resume_any(tell=tell)
        else:
            outcome = space.resume(update, reason=reason, tell=tell)
    if outcome is not None:
        show.outcome(outcome, json)
    show.result(NOTHING, json, show.nothing)


def promote(
    update: str,
    reason: Reason,
    step: Annotated[
        bool, typer.Option("--step", help="End this step only, not all that are left.")
    ] = False,
    override: Annotated[
        list[str] | None, typer.Option(help="Go over this gate, even where it fails.")
    ] = None,
    root: Root = HERE,
    by: By = None,
    json: Json = False,
) -> None:
    """End a release's remaining steps by a person's word; a gate that fails still rolls back."""
    from instar.cli import show

    with show.progress(json) as tell:
        outcome = workspace(root, by).promote(
            update, reason=reason, step=step, lets_pass=override or (), tell=tell
        )
    show.outcome(outcome, json)


def abort(
    reason: Reason,
    update: Annotated[
        str | None, typer.Argument(help="The update; without a name the one that is open.")
    ] = None,
    root: Root = HERE,
    by: By = None,
    json: Json = False,
) -> None:
    """Withdraw an open update; a release under way goes back first."""
    from instar.cli import show

    space = workspace(root, by)
    if update is None:
        outcome = space.abort_open(reason=reason)
    else:  # an empty name is a mistake, and means no update that is under way
        outcome = space.abort(update, reason=reason)
    if outcome is not None:
        show.outcome(outcome, json)
    show.result(NOTHING, json, show.nothing)


def rollback(reason: Reason, root: Root = HERE, by: By = None, json: Json = False) -> None:
    """Put the champion's predecessor back: traffic first, then the record."""
    from instar.cli import show

    show.result(workspace(root, by).rollback(reason=reason), json, show.rolled_back)
