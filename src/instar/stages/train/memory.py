"""Keep a training within the memory there is: the batch that fits is found, then held to.

Before the first step a trial step is made; while it does not fit, the batch is halved, and the rate
lowered by the square root. If memory runs out all the same, the training begins once more with half
the batch; a second time, it ends in a finding. What was found is written down, so that a training
that is cut off goes on with it, on a fuller machine too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch

from instar.core.digest import digest_bytes
from instar.core.finding import Finding, Verdict
from instar.core.memory import ran_out
from instar.core.policy import TrainPolicy
from instar.core.records import Epoch
from instar.core.tools import Folder
from instar.models.strategies import Route
from instar.models.weights import State
from instar.stages.train import chart, workers
from instar.stages.train.attempt import Attempt, Ended, Given, end, ready
from instar.stages.train.run import Run

NAME = "memory.json"
CODE = "memory"
_LEAST = 2  # rows a step: some layers need more than one
_BESIDE = 4  # gradient, two moments and a copy of each weight lie beside a step
_ADVICE = (
    "a smaller train.batch, a smaller network, train.precision: bf16, fewer other programs, or "
    "more memory (run.memory_gb, run.device)"
)


@dataclass(frozen=True, slots=True)
class Note:
    """The rows a step that the training `key` is to make; `again` once it began anew for them."""

    key: str
    batch: int
    again: bool = False


def carry(
    given: Given, route: Route, policy: TrainPolicy, tell: Callable[[Epoch, Attempt], None]
) -> tuple[Attempt, Ended]:
    """Make a training ready and carry it out, with as many rows a step as there is memory for.

    `Ended.whole` is not set where memory ran out twice: nothing was trained, and the finding says
    what to do.

    Raises:
        What `attempt.ready` and `attempt.end` raise.
    """
    attempt = ready(given, route, policy)
    asked, wanted = attempt.keeper.key, _batch(attempt)
    folder = attempt.keeper.folder
    note = _read(folder, asked) or Note(asked, _found(attempt))
    while True:
        attempt = _shrunk(attempt, note.batch)
        _write(folder, note)
        try:
            return attempt, _said(_run(given, attempt, tell), note, wanted, attempt)
        except Exception as error:
            if not ran_out(error):
                raise
        if note.again or note.batch <= _LEAST:
            return attempt, _given_up(attempt, note, wanted)
        note = Note(asked, max(_LEAST, note.batch // 2), again=True)
        given.tools.progress("train", note=f"out of memory: again with {note.batch} rows a step")
        del attempt  # what it holds is to be free before the next one is made
        given.device.release()
        attempt = ready(given, route, policy)


def _run(given: Given, attempt: Attempt, tell: Callable[[Epoch, Attempt], None]) -> Ended:
    with workers.led(given, attempt) as crew:
        return end(attempt, lambda epoch: tell(epoch, attempt), crew)


def _batch(attempt: Attempt) -> int:
    return attempt.course.batch or attempt.start.rows


def _shrunk(attempt: Attempt, batch: int) -> Attempt:
    """Give a training smaller batches; noise grows as the root of the size falls, so does the rate.

    Source:
        Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", 5.
    """
    if batch >= _batch(attempt):
        return attempt
    recipe = attempt.route.recipe
    rate = recipe.lr * math.sqrt(batch / _batch(attempt))
    route = replace(attempt.route, recipe=replace(recipe, batch=batch, lr=rate))
    key = chart.key(attempt.origin, route)
    return replace(
        attempt,
        route=route,
        course=replace(attempt.course, batch=batch, lr=rate),
        keeper=replace(attempt.keeper, key=key),
    )


def _found(attempt: Attempt) -> int:
    """Halve the batch until a step over it fits."""
    batch, device = _batch(attempt), attempt.compute.device
    if attempt.route.fit != "steps":
        return batch
    while batch > _LEAST and not _fits(attempt, batch):
        device.release()
        batch = max(_LEAST, batch // 2)
    return batch


def _fits(attempt: Attempt, batch: int) -> bool:
    device, size = attempt.compute.device, attempt.rows.size
    weights = sum(tensor.nbytes for tensor in attempt.start.net.parameters())
    there = size if device.place.type != "cpu" and device.holds(size) else 0
    made = sum(part.augment.ratio for part in attempt.parts if part.augment)
    rows = batch + round(batch * attempt.course.replay_ratio) + math.ceil(batch * made)
    rows = math.ceil(rows / workers.members(attempt))  # each process computes its share
    try:
        return device.fits(lambda some: trial(attempt, some), rows, _BESIDE * weights + there)
    except Exception as error:
        if not ran_out(error):
            raise
        return False


def trial(attempt: Attempt, rows: int) -> None:
    """Go forward and back once over so many rows, and leave the network as it was."""
    net, compute = attempt.start.net, attempt.compute
    place, training = compute.device.place, net.training
    before = {name: tensor.clone() for name, tensor in net.named_buffers()}
    some = attempt.rows.take(torch.arange(rows) % len(attempt.rows)).to(place)
    try:
        with torch.random.fork_rng(devices=compute.device.seeds()):
            asked = attempt.course.lesson.asked(some.inputs, some.labels)
            out = compute.forward(net.train())(*asked)
            loss = attempt.course.loss(out, some.labels)
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    finally:
        net.train(training)
        for parameter in net.parameters():
            parameter.grad = None
        with torch.no_grad():
            for name, tensor in net.named_buffers():
                tensor.copy_(before[name])


def _said(ended: Ended, note: Note, wanted: int, attempt: Attempt) -> Ended:
    if note.batch >= wanted and not note.again:
        return ended
    why = "memory ran out in the midst" if note.again else "more did not fit into memory"
    finding = Finding(
        CODE,
        Verdict.PASS,
        f"{note.batch} rows a step instead of {wanted}, at a rate of {attempt.course.lr:.3g}, "
        f"since {why}",
        measured=float(note.batch),
        limit=float(wanted),
        unit="rows a step",
        enforced=False,
    )
    return replace(ended, findings=(*ended.findings, finding))


def _given_up(attempt: Attempt, note: Note, wanted: int) -> Ended:
    began = f"{wanted} rows a step" if not note.again else f"{wanted} rows a step, begun again"
    finding = Finding(
        CODE,
        Verdict.FAIL,
        f"memory ran out at {began}, and at {note.batch} too: nothing was trained",
        measured=float(note.batch),
        unit="rows a step",
        passes_if=_ADVICE,
    )
    state = _untouched(attempt)
    return Ended(Run(best=state), math.nan, state, (finding,), whole=False)


def _untouched(attempt: Attempt) -> State:
    ground = attempt.start.ground
    return ground.champion if attempt.route.start == "champion" else ground.anew()


def _read(folder: Folder, key: str) -> Note | None:
    """Read what was found for a training; None where nothing sound is there."""
    try:
        first, _, data = folder.read(NAME).partition(b"\n")
    except FileNotFoundError:
        return None
    if first != digest_bytes(data).encode():
        return None
    note = Note(**json.loads(data))
    return note if note.key == key else None


def _write(folder: Folder, note: Note) -> None:
    data = json.dumps(asdict(note)).encode()
    folder.keep(NAME, [f"{digest_bytes(data)}\n".encode(), data])
