# ruff: noqa: E501 - a table: one mistake a line
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from instar.core.errors import PolicyError
from instar.policy import Project, read
from instar.policy.document import DuplicateKey, InTheWay, NoPolicy, NotYaml
from instar.policy.schema import ImpossibleValue, MissingKey, UnknownKey, WrongType

Write = Callable[..., Project]
LEAST = "model: demand\ntask: {kind: binary, target: up}\nnetwork: nets:build\n"
NETWORK = "model: m\ntask: {kind: binary, target: up}\nnetwork: "
BOXES = "model: m\ntask: {kind: detection, target: boxes}\nnetwork: a:b\n"
DEEP = "policy: " + "{a: " * 15 + "1" + "}" * 15

REFUSED: list[tuple[str, type[PolicyError], str, dict[str, Any]]] = [
    # what is wrong, error, what the message says
    ("empty", NoPolicy, "empty file", {"least": ""}),
    ("comments only", NoPolicy, "empty file", {"least": "# nothing\n"}),
    ("not UTF-8", NoPolicy, "byte 7", {"least": b"model: \xff\xfe"}),
    ("UTF-16", NoPolicy, "UTF-8", {"least": LEAST.encode("utf-16")}),
    ("too large", NoPolicy, "bytes", {"more": "#" * (1 << 20)}),
    ("list at the top", NotYaml, "no mapping", {"least": "- a\n"}),
    ("text at the top", NotYaml, "no mapping", {"least": "hello\n"}),
    ("broken YAML", NotYaml, "line 4", {"more": "a: b: c\n"}),
    ("unclosed", NotYaml, "line", {"more": "data: {ignore: [a\n"}),
    ("tab", NotYaml, "line 5", {"more": "data:\n\trare: 1\n"}),
    ("anchor", NotYaml, "an anchor in line 4", {"more": "data: &d {rare: 1}\n"}),
    ("alias", NotYaml, "an alias in line 4", {"more": "data: *d\n"}),
    ("tag", NotYaml, "a tag in line 4", {"more": "data: !!python/object:os.system {}\n"}),
    ("harmless tag", NotYaml, "a tag", {"more": "data: {rare: !!int 1}\n"}),
    ("two documents", NotYaml, "another document", {"more": "---\nmodel: b\n"}),
    ("control character", NotYaml, "character", {"more": "data: \x00\n"}),
    ("list as key", NotYaml, "as a key", {"more": "? [a]\n: 1\n"}),
    ("too deep", NotYaml, "levels", {"more": DEEP}),
    ("duplicate key", DuplicateKey, "line 4.*line 1", {"more": "model: b\n"}),
    ("duplicate inside", DuplicateKey, "'rare'", {"more": "data: {rare: 1, rare: 2}\n"}),
    ("merge key", UnknownKey, "'<<'", {"more": "data: {<<: {rare: 1}}\n"}),
    ("unknown top key", UnknownKey, "'policy'", {"more": "polcy: {}\n"}),
    ("unknown section", UnknownKey, "'validate'", {"more": "policy: {validat: {}}\n"}),
    ("unknown setting", UnknownKey, "line 4.*'old_max'", {"more": "policy: {validate: {flips: {oldmax: 1}}}\n"}),
    ("unknown in a step", UnknownKey, "steps.0", {"more": "policy: {release: {steps: [{shar: 1}]}}\n"}),
    ("unknown in a metric", UnknownKey, "'margin'", {"more": "policy: {validate: {metrics: {f1: {margn: 1}}}}\n"}),
    ("data below policy", UnknownKey, "'data'", {"more": "policy: {data: {}}\n"}),
    ("no model", MissingKey, "model", {"least": "task: {kind: binary, target: up}\nnetwork: a:b\n"}),
    ("no target", MissingKey, "task.target", {"least": "model: m\ntask: {kind: binary}\nnetwork: a:b\n"}),
    ("no targets", MissingKey, "task.targets", {"least": "model: m\ntask: {kind: multilabel}\nnetwork: a:b\n"}),
    ("one target", ImpossibleValue, "at least two", {"least": "model: m\ntask: {kind: multilabel, targets: [a]}\nnetwork: a:b\n"}),
    ("target twice", ImpossibleValue, "different columns", {"least": "model: m\ntask: {kind: multilabel, targets: [a, a]}\nnetwork: a:b\n"}),
    ("target beside targets", ImpossibleValue, "task.target", {"least": "model: m\ntask: {kind: multilabel, targets: [a, b], target: c}\nnetwork: a:b\n"}),
    ("classes beside targets", ImpossibleValue, "task.classes", {"least": "model: m\ntask: {kind: multilabel, targets: [a, b], classes: [c, d]}\nnetwork: a:b\n"}),
    ("threshold too few", ImpossibleValue, "one for each of 2", {"least": "model: m\ntask: {kind: multilabel, targets: [a, b], thresholds: [0.5]}\nnetwork: a:b\n"}),
    ("threshold too high", ImpossibleValue, "below 1", {"least": "model: m\ntask: {kind: multilabel, targets: [a, b], thresholds: [0.5, 1]}\nnetwork: a:b\n"}),
    ("targets of a binary task", ImpossibleValue, "multilabel", {"least": "model: m\ntask: {kind: binary, target: a, targets: [b, c]}\nnetwork: a:b\n"}),
    ("threshold of a binary task", ImpossibleValue, "multilabel and detection", {"least": "model: m\ntask: {kind: binary, target: a, thresholds: [0.5]}\nnetwork: a:b\n"}),
    ("thresholds without classes", ImpossibleValue, "one for each of 0 task.classes", {"least": "model: m\ntask: {kind: detection, target: a, thresholds: [0.5]}\nnetwork: a:b\n"}),
    ("detector with another loss", ImpossibleValue, "train.loss", {"least": BOXES, "more": "policy: {train: {loss: 'mine:loss'}}\n"}),
    ("detector with smoothed labels", ImpossibleValue, "label_smoothing", {"least": BOXES, "more": "policy: {train: {label_smoothing: 0.1}}\n"}),
    ("detectors together", ImpossibleValue, "ensemble", {"least": BOXES, "more": "policy: {train: {ensemble: {kind: soft_vote}}}\n"}),
    ("detector turned", ImpossibleValue, "turned boxes", {"least": BOXES, "more": "policy: {train: {augment: {kinds: [flip, rotate]}}}\n"}),
    ("unknown augmentation", ImpossibleValue, "kinds.0.*did you mean 'rotate'", {"more": "policy: {train: {augment: {kinds: [rotat]}}}\n"}),
    ("augmentation as a text", WrongType, "a list", {"more": "policy: {train: {augment: {kinds: flip}}}\n"}),
    ("flip askew", ImpossibleValue, "vertical", {"more": "policy: {train: {augment: {flip: diagonal}}}\n"}),
    ("turned more than round", ImpossibleValue, "at most 180", {"more": "policy: {train: {augment: {rotate: 181}}}\n"}),
    ("all cropped away", ImpossibleValue, "less than 1", {"more": "policy: {train: {augment: {crop: 1.0}}}\n"}),
    ("scaled to nothing", ImpossibleValue, "less than 1", {"more": "policy: {train: {augment: {scale: 1.0}}}\n"}),
    ("no copies", ImpossibleValue, "at least 1", {"more": "policy: {train: {augment: {copies: 0}}}\n"}),
    ("no augmented share", ImpossibleValue, "more than 0", {"more": "policy: {train: {augment: {share: 0}}}\n"}),
    ("rare values", ImpossibleValue, "augment.who", {"least": "model: m\ntask: {kind: regression, target: a}\nnetwork: a:b\n", "more": "policy: {train: {augment: {kinds: [flip]}}}\n"}),
    ("values synthesised", ImpossibleValue, "no label", {"least": "model: m\ntask: {kind: regression, target: a}\nnetwork: a:b\n", "more": "policy: {train: {augment: {kinds: [synthesise], who: all}}}\n"}),
    ("detector tuned", ImpossibleValue, "tune.trials", {"least": BOXES, "more": "policy: {train: {tune: {trials: 3}}}\n"}),
    ("detector taught", ImpossibleValue, "distill", {"least": BOXES, "more": "policy: {train: {methods: [replay, distill]}}\n"}),
    ("detector by its head", ImpossibleValue, "plan.strategy", {"least": BOXES, "more": "policy: {plan: {strategy: head}}\n"}),
    ("detector in INT8", ImpossibleValue, "package.int8", {"least": BOXES, "more": "policy: {package: {int8: require}}\n"}),
    ("no network", MissingKey, "network", {"least": "model: m\ntask: {kind: binary, target: a}\n"}),
    ("text for a number", WrongType, "a number.*line 4", {"more": "policy: {watch: {drop: '0.1'}}\n"}),
    ("boolean for a number", WrongType, "true", {"more": "policy: {watch: {drop: true}}\n"}),
    ("fraction for a count", WrongType, "whole number", {"more": "policy: {watch: {window: 50.5}}\n"}),
    ("huge count", WrongType, "whole", {"more": f"policy: {{watch: {{window: {'9' * 30}}}}}\n"}),
    ("boolean for a count", WrongType, "whole", {"more": "policy: {watch: {window: true}}\n"}),
    ("yes for a boolean", WrongType, "true or false", {"more": "policy: {train: {interpolate: yes}}\n"}),
    ("number for a text", WrongType, "quotes", {"more": "policy: {train: {loss: 1}}\n"}),
    ("text for a list", WrongType, "a list", {"more": "data: {ignore: dep_delay}\n"}),
    ("number in a list", WrongType, "ignore.1", {"more": "data: {ignore: [a, 1]}\n"}),
    ("number for a section", WrongType, "a section", {"more": "policy: {watch: 3}\n"}),
    ("nothing for a section", WrongType, "a section", {"more": "policy:\n"}),
    ("list for a metric", WrongType, "a section", {"more": "policy: {validate: {metrics: [f1]}}\n"}),
    ("null for a number", WrongType, "null", {"more": "policy: {watch: {drop: null}}\n"}),
    ("below its bound", ImpossibleValue, "at least 0", {"more": "policy: {watch: {drop: -0.1}}\n"}),
    ("above its bound", ImpossibleValue, "at most 1", {"more": "policy: {watch: {drop: 1.1}}\n"}),
    ("least days above most", ImpossibleValue, "at most max_days, 30", {"more": "policy: {cadence: {min_days: 31}}\n"}),
    ("at an open bound", ImpossibleValue, "more than 0", {"more": "policy: {train: {lr: 0}}\n"}),
    ("at an open end", ImpossibleValue, "less than 1", {"more": "policy: {validate: {confidence: 1.0}}\n"}),
    ("infinite", ImpossibleValue, "finite", {"more": "policy: {train: {lr: 1e999}}\n"}),
    ("unknown choice", ImpossibleValue, "did you mean 'other'", {"more": "policy: {admit: {unknown_category: othr}}\n"}),
    ("unknown kind", ImpossibleValue, "multiclass", {"least": "model: m\ntask: {kind: multi, target: a}\nnetwork: a:b\n"}),
    ("empty text", ImpossibleValue, "not empty", {"least": "model: m\ntask: {kind: binary, target: ''}\nnetwork: a:b\n"}),
    ("path as a name", ImpossibleValue, "for model", {"least": LEAST.replace("demand", "../demand")}),
    ("endless name", ImpossibleValue, "for model", {"least": LEAST.replace("demand", "d" * 65)}),
    ("target as time", ImpossibleValue, "different columns", {"overrides": {"task.time": "up"}}),
    ("target ignored", ImpossibleValue, "other than 'up'", {"more": "data: {ignore: [up]}\n"}),
    ("ignored feature", ImpossibleValue, "no features", {"more": "data: {ignore: [a], features: [a]}\n"}),
    ("shares above 1", ImpossibleValue, "sum to 1", {"more": "policy: {admit: {split: {shares: [0.7, 0.2, 0.2]}}}\n"}),
    ("two shares", ImpossibleValue, "three shares", {"more": "policy: {admit: {split: {shares: [0.5, 0.5]}}}\n"}),
    ("empty share", ImpossibleValue, "above 0", {"more": "policy: {admit: {split: {shares: [1, 0, 0]}}}\n"}),
    ("time without one", ImpossibleValue, "task.time", {"more": "policy: {admit: {split: {how: time}}}\n"}),
    ("group without one", ImpossibleValue, "group", {"more": "policy: {admit: {split: {how: group}}}\n"}),
    ("group unused", ImpossibleValue, "group", {"more": "policy: {admit: {split: {group: a}}}\n"}),
    ("loss of a path", ImpossibleValue, "module:function", {"more": "policy: {train: {loss: '../mine.py:loss'}}\n"}),
    ("values smoothed", ImpossibleValue, "no classes", {"least": "model: m\ntask: {kind: regression, target: a}\nnetwork: a:b\n", "more": "policy: {train: {label_smoothing: 0.1}}\n"}),
    ("plateau never met", ImpossibleValue, "at least 3", {"more": "policy: {train: {schedule: plateau, patience: 2}}\n"}),
    ("no restart at all", ImpossibleValue, "at most the 4", {"more": "policy: {train: {schedule: cosine_restarts, epochs: 4}}\n"}),
    ("negative L1", ImpossibleValue, "at least 0", {"more": "policy: {train: {l1: -1}}\n"}),
    ("negative L2", ImpossibleValue, "at least 0", {"more": "policy: {train: {l2: -0.1}}\n"}),
    ("negative decay", ImpossibleValue, "at least 0", {"more": "policy: {train: {weight_decay: -1}}\n"}),
    ("no gradient left", ImpossibleValue, "more than 0", {"more": "policy: {train: {clip: 0}}\n"}),
    ("all smoothed", ImpossibleValue, "less than 1", {"more": "policy: {train: {label_smoothing: 1}}\n"}),
    ("no period", ImpossibleValue, "at least 1", {"more": "policy: {train: {period: 0}}\n"}),
    ("half an epoch", WrongType, "whole number", {"more": "policy: {train: {period: 0.5}}\n"}),
    ("negative batch", ImpossibleValue, "at least 0", {"more": "policy: {train: {batch: -1}}\n"}),
    ("AUC below chance", ImpossibleValue, "at least 0.5", {"more": "policy: {train: {auc: 0.4}}\n"}),
    ("optimizer as number", WrongType, "text", {"more": "policy: {train: {optimizer: 3}}\n"}),
    ("min above max", ImpossibleValue, "max", {"more": "policy: {validate: {metrics: {f1: {min: 1, max: 0}}}}\n"}),
    ("steps that shrink", ImpossibleValue, "grow", {"more": "policy: {release: {steps: [{share: 0.5}, {share: 0.1}]}}\n"}),
    ("steps that stand", ImpossibleValue, "grow", {"more": "policy: {release: {steps: [{share: 0.5}, {share: 0.5}]}}\n"}),
    ("no network at all", ImpossibleValue, "build or family", {"least": NETWORK + "{hidden: [1]}\n"}),
    ("two networks", ImpossibleValue, "build or family", {"least": NETWORK + "{build: 'a:b', family: mlp}\n"}),
    ("path as function", ImpossibleValue, "module:function", {"least": NETWORK + "../nets.py:build\n"}),
    ("options of a function", UnknownKey, "hidden", {"least": NETWORK + "{build: 'a:b', hidden: 3}\n"}),
    ("number as network", WrongType, "a text or a section", {"least": NETWORK + "3\n"}),
    ("section as option", WrongType, "beside family", {"least": NETWORK + "{family: mlp, x: {a: 1}}\n"}),
    ("number as family", WrongType, "a text", {"least": NETWORK + "{family: 3}\n"}),
    ("bad --set", ImpossibleValue, "--set", {"overrides": {"policy.watch.drop": "2"}}),
    ("unknown --set", UnknownKey, r"--set.*'drop'", {"overrides": {"policy.watch.drp": "0.1"}}),
    ("--set no YAML", NotYaml, "--set policy.watch.drop", {"overrides": {"policy.watch.drop": "[1"}}),
    ("--set below a text", InTheWay, "section model", {"overrides": {"model.x": "1"}}),
    ("bad variable", WrongType, "environment", {"env": {"INSTAR_POLICY__WATCH__DROP": "much"}}),
    ("unknown variable", UnknownKey, "environment", {"env": {"INSTAR_POLCY__WATCH__DROP": "1"}}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "says", "given"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_read_refuses_in_one_line(
    write: Write, tmp_path: Path, error: type[PolicyError], says: str, given: dict[str, Any]
) -> None:
    with pytest.raises(error, match=says) as caught:
        write(**given)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert str(tmp_path) not in message


def test_read_reports_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoPolicy, match=r"instar\.yaml; got nothing"):
        read(tmp_path / "instar.yaml", env={})
    with pytest.raises(NoPolicy, match="directory"):
        read(tmp_path, env={})


def test_every_error_has_a_code_of_its_own() -> None:
    errors = {row[1] for row in REFUSED}
    codes = {error.code for error in errors}
    assert len(codes) == len(errors)
    assert all(code.startswith("policy.") for code in codes)
