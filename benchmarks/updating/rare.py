"""A rare class: `python -m benchmarks.updating.rare`.

scikit-learn's 1,797 digits, as images for a small convolutional network and as tables of 64 numbers
for a dense one. Of the thousand rows to learn from ten are an 8, of 120 to choose on three; the
others are tested on, with all their eights. Each way to augment is held against none: the same
strategy from the same champion.
"""

from __future__ import annotations

import argparse
import io
import statistics
from dataclasses import replace

import numpy as np
import polars as pl
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks.updating.line import Line, Result, World, finish
from instar.core.data import Task, TaskKind
from instar.core.policy import AugmentRule, DataSettings, TrainPolicy
from instar.core.records import Network

TASK = Task(TaskKind.MULTICLASS, "digit", tuple("0123456789"))
RARE = "8"
MOVED = AugmentRule(kinds=("rotate", "scale", "crop"), copies=100)
WAYS = {
    "images": {
        "none": AugmentRule(),
        "resample": AugmentRule(kinds=("resample",), copies=100),
        "rotate, scale, crop": MOVED,
        "the same, who: all": replace(MOVED, who="all"),
    },
    "tables": {
        "none": AugmentRule(),
        "resample": AugmentRule(kinds=("resample",), copies=100),
        "synthesise": AugmentRule(kinds=("synthesise",), copies=100),
    },
}
NETWORKS = {
    "images": Network(family="cnn", options={"channels": [16, 32], "hidden": 64}),
    "tables": Network(family="mlp", options={"hidden": [64]}),
}


def digits(sort: str) -> pl.DataFrame:
    """Read the digits as images, or as numbers."""
    bunch = load_digits()
    if sort == "images":
        columns = {"image": [png(one * 15) for one in bunch.images]}
    else:
        columns = {f"p{i}": bunch.data[:, i] for i in range(64)}
    return pl.DataFrame({**columns, "digit": bunch.target.astype(str)})


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()


def world(sort: str, seed: int) -> World:
    """Cut rows off at random: 300 old ones with three eights, 700 fresh ones with seven."""
    mixed = digits(sort).sample(fraction=1.0, shuffle=True, seed=seed)
    common, rare = mixed.filter(pl.col("digit") != RARE), mixed.filter(digit=RARE)
    parts, at, of = [], 0, 0
    for rows, few in ((297, 3), (693, 7), (117, 3), (common.height - 1_107, rare.height - 13)):
        parts.append(pl.concat([common[at : at + rows], rare[of : of + few]]))
        at, of = at + rows, of + few
    return World(
        task=TASK,
        network=NETWORKS[sort],
        old=parts[0],
        fresh=parts[1],
        valid=parts[2],
        tests={"test": parts[3]},
        settings=DataSettings(scale="minmax"),
        lr=3e-3,
        epochs=12,
    )


def score(line: Line, result: Result) -> dict[str, float]:
    """Take the recall of the rare class, and that of the others, in per cent."""
    labels, answers = line.labels("test"), result.scores["test"].argmax(1)
    rare, right = labels == TASK.classes.index(RARE), labels == answers
    return {"recall of 8": 100 * right[rare].mean(), "of others": 100 * right[~rare].mean()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    given, figures = parser.parse_args(), {}
    gains = {}
    for sort, ways in WAYS.items():
        lines = [Line(world(sort, seed), seed) for seed in range(given.seeds)]
        for strategy in ("full", "warm", "incremental"):
            for way, rule in ways.items():
                policy = TrainPolicy(augment=rule, checkpoint_s=1e9)
                made = [line.ours(strategy, train_policy=policy) for line in lines]
                seen = [score(line, one) for line, one in zip(lines, made, strict=True)]
                row = {name: [one[name] for one in seen] for name in seen[0]}
                row |= {
                    "passes": [one.passes for one in made],
                    "CPU s": [one.cpu_s for one in made],
                }
                figures[f"{sort}, {strategy}: {way}"] = row
                gains[sort, strategy, way] = statistics.fmean(row["recall of 8"])
                told = (
                    f"{k} {statistics.fmean(v):8.1f} ± {statistics.pstdev(v):.1f}"
                    for k, v in row.items()
                )
                print(f"{sort:8}{strategy:13}{way:22}", *told, sep="  ")
    finish(
        figures,
        rare_images=gains["images", "full", "rotate, scale, crop"]
        > gains["images", "full", "none"],
        rare_tables=gains["tables", "full", "synthesise"] > gains["tables", "full", "none"],
    )


if __name__ == "__main__":
    main()
