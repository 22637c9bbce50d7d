"""What our training loop costs beside a bare one: `python -m benchmarks.training.loop`.

Both train the same network on the same rows in the same batches with fused AdamW. The bare loop
does nothing else; ours also follows a schedule, clips gradients, keeps their norms and losses,
asks the validation rows and keeps the best weights. CPU time of one thread, rounds alternating.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from instar.core.data import InputSpec
from instar.ledger.safedir import SafeDir
from instar.models.families import NETWORKS
from instar.stages.train import loop
from instar.stages.train.course import Course, Group
from instar.stages.train.keeper import Keeper
from instar.stages.train.optimizers.adamw import adamw
from instar.stages.train.rows import Rows
from instar.stages.train.schedules.cosine import cosine

GOAL = 1.05
BATCH = 128
VALID = 64  # few rows: the claim is about steps, and an epoch here is short
CASES: dict[str, tuple[str, InputSpec, dict[str, object], int]] = {
    "tiny MLP, 12.9k parameters": (
        "mlp",
        InputSpec(numbers=32, outputs=1),
        {"hidden": [96, 96]},
        400,
    ),
    "small CNN, 105k parameters": (
        "cnn",
        InputSpec(image=(1, 28, 28), outputs=10),
        {"channels": [16, 32], "hidden": 64},
        40,
    ),
}


class Clock:
    def now(self) -> float:
        return time.time()

    def boot(self) -> tuple[str, float]:
        return "", time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def rows(spec: InputSpec, count: int) -> Rows:
    shape = spec.image or (spec.numbers,)
    x = torch.randn(count, *shape)
    if spec.outputs == 1:
        return Rows((x,), (x.flatten(1).sum(1, keepdim=True) > 0).float())
    return Rows((x,), torch.randint(0, spec.outputs, (count,)))


def bare(net: nn.Module, data: Rows, loss_of: Callable[..., torch.Tensor], steps: int) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    net.train()
    for i in torch.randperm(len(data)).tensor_split(steps):
        loss = loss_of(net(data.inputs[0][i]), data.labels[i])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()


def ours(net: nn.Module, data: Rows, loss_of: Callable[..., torch.Tensor], valid: Rows) -> None:
    course = Course(
        rule=adamw,
        schedule=cosine,
        loss=loss_of,
        terms=(),
        metric=lambda out, labels: float(out.mean()),
        lr=1e-3,
        batch=BATCH,
        epochs=1,
        replay_ratio=0.0,
        weight_decay=1e-2,
        patience=5,
        clip=1.0,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        loop.fit(
            net,
            data,
            len(data),
            valid,
            course,
            groups=[Group(list(net.parameters()))],
            keeper=Keeper(SafeDir(Path(folder)), "", Clock(), math.inf),
            tell=lambda _: None,
        )


def cpu_ms(run: Callable[[], None], steps: int) -> float:
    began = time.process_time()
    run()
    return 1e3 * (time.process_time() - began) / steps


def measure(name: str, rounds: int) -> dict[str, object]:
    family, spec, options, steps = CASES[name]
    data, valid = rows(spec, steps * BATCH), rows(spec, VALID)
    loss_of: Callable[..., torch.Tensor] = (
        functional.binary_cross_entropy_with_logits
        if spec.outputs == 1
        else functional.cross_entropy
    )
    took: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(rounds + 1):  # the first round warms up and is dropped
        net = NETWORKS[family](spec, **options)
        took["bare"].append(cpu_ms(partial(bare, net, data, loss_of, steps), steps))
        net = NETWORKS[family](spec, **options)
        took["ours"].append(cpu_ms(partial(ours, net, data, loss_of, valid), steps))
    pairs = list(zip(took["ours"][1:], took["bare"][1:], strict=True))
    ratios = sorted(a / b for a, b in pairs)
    return {
        "case": name,
        "bare_ms": statistics.median(b for _, b in pairs),
        "ours_ms": statistics.median(a for a, _ in pairs),
        "ratio": statistics.median(ratios),
        "ratio_low": ratios[0],
        "ratio_high": ratios[-1],
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"CPU ms a step, batch {BATCH}, median of {rounds} rounds; goal {GOAL}x\n")
    print(f"{'':28}{'bare':>8}{'ours':>8}{'ratio':>8}   lowest - highest")
    results = [measure(name, rounds) for name in CASES]
    for r in results:
        print(
            f"{r['case']:28}{r['bare_ms']:8.3f}{r['ours_ms']:8.3f}{r['ratio']:8.3f}"
            f"   {r['ratio_low']:.3f} - {r['ratio_high']:.3f}"
        )
    print(json.dumps({"benchmark": "training.loop", "goal": GOAL, "results": results}))


if __name__ == "__main__":
    main()
