"""The command line: parse, call the service, show. Nothing heavy is loaded to say `--help`."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from instar.cli import audit, bundle, convert, diff, doctor, due, entry, history, label, reproduce
from instar.cli import release as verbs
from instar.cli.log import log
from instar.cli.options import HERE, By, Json, Reason, Root, Seed, Set, workspace
from instar.cli.store import store
from instar.core.errors import BackendError, InputError, InstarError, IntegrityError, PolicyError

PASS, REFUSED, USAGE, WAITING, BROKEN, UNAVAILABLE = range(6)
"""Exit codes: passed; a gate refused; usage or input; waiting for people, data or a decision;
broken integrity; a store or server that does not answer."""

EXIT: tuple[tuple[type[InstarError], int], ...] = (
    (PolicyError, USAGE),
    (InputError, USAGE),
    (IntegrityError, BROKEN),
    (BackendError, UNAVAILABLE),
)

app = typer.Typer(
    name="instar",
    help="Update deep-learning models that already run in production.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


app.command("doctor")(doctor.command)


@app.command()
def init(
    model: str,
    target: Annotated[str, typer.Option(help="The column with the answer; multilabel: a,b,c.")],
    kind: Annotated[str, typer.Option(help="What is predicted: docs/tasks.md.")] = "binary",
    build: Annotated[str, typer.Option(help="The network: module:function.")] = "nets:build",
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Write a first instar.yaml here."""
    from instar.cli import show

    done = workspace(root).init(model=model, kind=kind, target=target, build=build)
    show.result(done, json, show.begun)


@app.command()
def adopt(
    weights: str,
    train: Annotated[str, typer.Option(help="The rows it learnt from.")],
    holdout: Annotated[str, typer.Option(help="The rows it was held against.")],
    preprocessing: Annotated[
        str | None, typer.Option(help="How raw columns became numbers: a JSON file.")
    ] = None,
    signature: Annotated[
        str | None, typer.Option(help="The signature of the weights, or of their folder.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="A public key that is trusted to have signed.")
    ] = None,
    root: Root = HERE,
    by: By = None,
    seed: Seed = 0,
    json: Json = False,
    settings: Set = None,
) -> None:
    """Take over a model that serves already, as the first champion."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, by, settings).adopt(
            weights,
            train=train,
            holdout=holdout,
            preprocessing=preprocessing,
            signature=signature,
            keys=key or (),
            seed=seed,
            tell=tell,
        )
    show.result(done, json, show.adopted)


@app.command()
def check(
    data: str, root: Root = HERE, seed: Seed = 0, json: Json = False, settings: Set = None
) -> None:
    """Hold fresh data against the data gate; nothing is recorded."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, None, settings).check(data, seed=seed, tell=tell)
    show.result(done, json, show.admission)
    raise SystemExit(show.exit_of(done["admission"]["verdict"]))


@app.command()
def plan(
    data: str, root: Root = HERE, seed: Seed = 0, json: Json = False, settings: Set = None
) -> None:
    """Say which strategy an update with these data would take; nothing is recorded."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root, None, settings).plan(data, seed=seed, tell=tell)
    show.result(done, json, show.plan)
    raise SystemExit(show.exit_of(done["admission"]["verdict"]))


app.command("label")(label.command)
app.command("due")(due.command)


@app.command()
def update(
    data: str,
    reason: Reason,
    root: Root = HERE,
    by: By = None,
    seed: Seed = 0,
    json: Json = False,
    settings: Set = None,
) -> None:
    """Ask for an update with fresh data and carry it to where people must speak."""
    from instar.cli import show

    space = workspace(root, by, settings)
    if (hasty := space.early()) is not None and hasty.only_told:
        print(f"instar: {hasty}", file=sys.stderr)
    with show.progress(json) as tell:
        outcome = space.update(data, reason=reason, seed=seed, tell=tell)
    show.outcome(outcome, json)


app.command("resume")(verbs.resume)


@app.command()
def approve(
    update: str,
    by: By = None,
    override: Annotated[
        str | None, typer.Option(help="Let this inconclusive finding pass; needs a reason.")
    ] = None,
    reason: Reason = "",
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Approve what was validated; nobody approves their own update."""
    from instar.cli import show

    space = workspace(root, by)
    with show.progress(json) as tell:
        if override:
            outcome = space.override(update, override, reason=reason, tell=tell)
        else:
            outcome = space.approve(update, reason=reason, tell=tell)
    show.outcome(outcome, json)


@app.command()
def reject(
    update: str, reason: Reason, by: By = None, root: Root = HERE, json: Json = False
) -> None:
    """Refuse a candidate, with a reason."""
    from instar.cli import show

    with show.progress(json) as tell:
        outcome = workspace(root, by).reject(update, reason=reason, tell=tell)
    show.outcome(outcome, json)


for verb in (verbs.release, verbs.pause, verbs.promote, verbs.abort, verbs.rollback):
    app.command(verb.__name__)(verb)


@app.command()
def status(
    update: Annotated[str | None, typer.Argument()] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Draw a release anew until it has ended.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two drawings.")] = 1.0,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Say what serves and where each update stands; with -w follow a release as it goes."""
    from instar.cli import show

    space = workspace(root)
    if watch:
        from instar.cli import watching

        raise SystemExit(watching.watch(space, update, every_s=every, as_json=json))
    if update is not None:
        show.outcome(space.outcome(update), json, leave=False)
        return
    show.result(space.status(), json, show.status)


app.command("history")(history.command)
app.command("show")(entry.command)
app.command("diff")(diff.command)
app.command("reproduce")(reproduce.command)


@app.command()
def report(
    update: str,
    out: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    root: Root = HERE,
    json: Json = False,
) -> None:
    """Write the update's page: one HTML file that needs no network."""
    from instar.cli import show

    page = workspace(root).report(update)
    file = out or Path(f"{update}.html")
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise FileExistsError(errno.EEXIST, "something else than a file is there")
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            "a file to write", f"{file.name!r}: {error.strerror}", "choose another: --out FILE"
        ) from error
    show.result({"file": str(file), "bytes": len(page)}, json, show.written)


@app.command()
def watch(root: Root = HERE, json: Json = False) -> None:
    """Judge production by the labels that have come: accuracy, drift, need of an update."""
    from instar.cli import show

    with show.progress(json) as tell:
        done = workspace(root).watch(tell=tell)
    show.result(done, json, show.watch)
    raise SystemExit(show.exit_of(done["watch"]["verdict"]))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 takes a free one.")] = 8400,
    pages: Annotated[int, typer.Option(help="Port of the dashboard; 0 takes a free one.")] = 8401,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that answer; 0 is one a core, at most 2.")
    ] = None,
    cache: Annotated[
        int | None, typer.Option(min=0, help="Answers that each process keeps; 0 keeps none.")
    ] = None,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve gRPC, too; 0 takes a free port.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Serve the champion and the dashboard on this machine until interrupted."""
    from instar.cli.serve import run

    run(workspace(root), port, pages, workers=workers, cache=cache, grpc=grpc_port)


app.command("import")(convert.import_graph)
app.command("import-legacy")(convert.import_legacy)
app.command()(bundle.sign)
app.add_typer(bundle.app, name="bundle")
app.add_typer(audit.group, name="audit")


app.add_typer(store, name="store")
app.add_typer(log, name="log")

policy = typer.Typer(help="What is allowed.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(policy, name="policy")


@policy.command("show")
def policy_show(root: Root = HERE, json: Json = False, settings: Set = None) -> None:
    """Print every setting in force, and where it comes from."""
    from instar.cli import show

    show.result({"settings": workspace(root, None, settings).policy()}, json, show.policy)


@app.command()
def demo(
    json: Json = False,
    keep: Annotated[bool, typer.Option(help="Leave the server up to look around.")] = False,
    seed: Seed = 0,
    folder: Annotated[Path | None, typer.Option(help="Where the demo's files go.")] = None,
) -> None:
    """Carry real updates of a real network through every stage, in four acts."""
    from instar.cli.demo import run

    raise SystemExit(run(as_json=json, keep=keep, seed=seed, folder=folder))


def main() -> None:
    """Run the command line; a mistake is one line on standard error and an exit code."""
    try:
        app()
    except InstarError as error:
        print(f"instar: {error}", file=sys.stderr)
        sys.exit(next((code for base, code in EXIT if isinstance(error, base)), BROKEN))
    except KeyboardInterrupt:
        print(
            "instar: no longer looking; work that was begun goes on, see instar status",
            file=sys.stderr,
        )
        sys.exit(130)
