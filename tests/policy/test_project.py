from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest

from instar.core.data import Task, TaskKind
from instar.core.errors import PolicyError
from instar.core.policy import MetricRule, Policy, StepRule
from instar.core.records import Network
from instar.core.space import UnknownSetting
from instar.policy import Project, show

Write = Callable[..., Project]


def test_read_fills_in_the_defaults(write: Write) -> None:
    project = write()
    assert project.policy == Policy()
    assert project.model == "demand"
    assert project.task == Task(TaskKind.BINARY, "up")
    assert project.network == Network(build="nets:build")
    assert project.origin["policy.validate.flips.max"] == "default"


def test_read_takes_what_the_file_says(write: Write) -> None:
    project = write(
        """
data: {ignore: [dep_delay], scale: standard}
policy:
  admit: {split: {shares: [0.8, 0.1, 0.1]}, missing: 1e-1, impute: [no, on]}
  train: {lr: 1e-3, epochs: 3}
  validate:
    metrics:
      auroc: {min: 0.85, margin: 0.005}
      ece: {max: 1}
  release:
    steps:
      - {share: 0.05, requests: 200}
      - {share: 0.5, bake_s: 10}
"""
    )
    policy = project.policy
    assert (policy.data.ignore, policy.data.scale) == (("dep_delay",), "standard")
    assert policy.admit.split.shares == (0.8, 0.1, 0.1)
    assert (policy.admit.missing, policy.admit.impute) == (0.1, ("no", "on"))
    assert (policy.train.lr, policy.train.epochs) == (0.001, 3)
    assert policy.validate.metrics == {
        "auroc": MetricRule(min=0.85, margin=0.005),
        "ece": MetricRule(max=1.0),
    }
    assert policy.release.steps == (
        StepRule(share=0.05, requests=200),
        StepRule(share=0.5, bake_s=10.0),
    )
    assert policy.watch == Policy().watch


def test_read_tells_where_each_setting_is_from(write: Write) -> None:
    origin = write(
        "policy:\n  train:\n    lr: 0.1\n  release:\n    steps:\n      - {share: 1}\n",
        {"policy.train.epochs": "3", "policy.validate.metrics": "{f1: {min: 0.5}}"},
        {"INSTAR_POLICY__WATCH__WINDOW": "50"},
    ).origin
    assert origin["model"] == "file line 1"
    assert origin["task.target"] == "file line 2"
    assert origin["task.time"] == "default"
    assert origin["policy.train.lr"] == "file line 6"
    assert origin["policy.train.batch"] == "default"
    assert origin["policy.release.steps"] == "file line 8"
    assert origin["policy.train.epochs"] == "--set"
    assert origin["policy.validate.metrics.f1.min"] == "--set"
    assert origin["policy.validate.metrics.f1.max"] == "default"
    assert origin["policy.watch.window"] == "environment"


def test_command_line_wins_over_environment_over_file(write: Write) -> None:
    key, variable = "policy.validate.flips.max", "INSTAR_POLICY__VALIDATE__FLIPS__MAX"
    text = "policy: {validate: {flips: {max: 0.1, old_max: 0.5}}}\n"
    assert write(text).policy.validate.flips.max == 0.1
    assert write(text, env={variable: "0.2"}).policy.validate.flips.max == 0.2
    got = write(text, {key: "0.3"}, {variable: "0.2"})
    assert (got.policy.validate.flips.max, got.policy.validate.flips.old_max) == (0.3, 0.5)


def test_override_takes_lists_and_reaches_into_absent_sections(write: Write) -> None:
    project = write("", {"data.ignore": "[a, b]", "model": "price", "task.time": "when"})
    assert project.policy.data.ignore == ("a", "b")
    assert (project.model, project.task.time) == ("price", "when")


def test_variables_that_are_no_settings_are_left_alone(write: Write) -> None:
    assert write(env={"INSTAR_USER": "ana", "PATH__X": "1"}).policy == Policy()


def test_digest_names_the_values_not_the_writing(write: Write) -> None:
    plain = write().digest
    assert write("policy: {watch: {window: 1_000}}\n".replace("_", "")).digest == plain
    assert write("policy: {plan: {value_per_point: 1}}\n").digest == plain
    assert write("# a comment\n", {"policy.train.lr": "null"}).digest == plain
    assert write("data: {rare: 2}\n").digest != plain
    assert write("policy: {watch: {window: 999}}\n").digest != plain


@pytest.mark.parametrize(
    ("written", "network"),
    [
        ("nets:build", Network(build="nets:build")),
        ("{build: 'pkg.nets:make_net'}", Network(build="pkg.nets:make_net")),
        ("{build: 'nets:build', head: top.2}", Network(build="nets:build", head="top.2")),
        ("{family: mlp, head: head}", Network(family="mlp", head="head")),
        (
            "{family: mlp, hidden: [64, 64], dropout: 0.1, act: relu, norm: true}",
            Network(
                family="mlp",
                options={"hidden": [64, 64], "dropout": 0.1, "act": "relu", "norm": True},
            ),
        ),
    ],
)
def test_network_is_a_function_or_a_family(write: Write, written: str, network: Network) -> None:
    least = f"model: m\ntask: {{kind: binary, target: up}}\nnetwork: {written}\n"
    assert write(least=least).network == network


def test_task_may_order_its_classes(write: Write) -> None:
    least = "model: m\ntask: {kind: binary, target: y, classes: [on, off]}\nnetwork: a:b\n"
    assert write(least=least).task.classes == ("on", "off")


def test_file_may_begin_with_a_byte_order_mark(write: Write) -> None:
    least = "\ufeffmodel: m\ntask: {kind: binary, target: up}\nnetwork: a:b\n"
    assert write(least=least).model == "m"


def test_show_lists_every_setting_with_its_meaning(write: Write) -> None:
    settings = {setting.key: setting for setting in show(write("", {"policy.train.epochs": "3"}))}
    assert settings["policy.train.epochs"] == (
        "policy.train.epochs",
        3,
        "--set",
        "passes over the fresh rows at most; empty: by strategy",
    )
    assert settings["data.scale"].value == "minmax"
    assert settings["network.build"].value == "nets:build"
    assert all(setting.doc for setting in settings.values())
    sections = {field.name for field in dataclasses.fields(Policy)} - {"data"}
    assert {key.split(".")[1] for key in settings if key.startswith("policy.")} == sections


def test_reader_loads_nothing_heavier_than_pydantic_and_yaml() -> None:
    heavy = {"torch", "numpy", "polars", "onnxruntime", "scipy", "sqlalchemy"}
    code = f"import sys, instar.policy; print(*(set(sys.modules) & {heavy!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


ADDRESS = "postgresql://ana:hunter2@db:5432/instar?sslpassword=hunter2"


@pytest.mark.parametrize("where", ["file", "environment", "--set"])
def test_show_puts_passwords_out(write: Write, where: str) -> None:
    text = f"store: {{journal: '{ADDRESS}', witnesses: ['{ADDRESS}']}}" if where == "file" else ""
    env = {"INSTAR_STORE__JOURNAL": ADDRESS} if where == "environment" else {}
    project = write(text, {"store.journal": ADDRESS} if where == "--set" else {}, env)
    assert project.store.journal == ADDRESS
    told = f"{show(project)} {project!r} {project.store} {project.policy!r}"
    assert "hunter2" not in told
    assert "postgresql://ana:***@db:5432/instar?sslpassword=***" in told


def test_password_of_the_cache_is_put_out(write: Write) -> None:
    project = write("serve: {redis: 'redis://:hunter2@cache:6379/1'}")
    assert project.serve.redis == "redis://:hunter2@cache:6379/1"
    told = f"{show(project)} {project!r} {project.serve}"
    assert "hunter2" not in told
    assert "redis://:***@cache:6379/1" in told


@pytest.mark.parametrize(
    "overrides",
    [
        {"store.keep": ADDRESS},
        {"store.journal.deeper": "1"},
        {"store": ADDRESS},
        {"store.journal": f"['{ADDRESS}']"},
    ],
)
def test_mistake_puts_passwords_out(write: Write, overrides: dict[str, str]) -> None:
    with pytest.raises(PolicyError) as caught:
        write(f"store: {{journal: '{ADDRESS}'}}", overrides)
    assert "hunter2" not in str(caught.value)


def test_read_takes_a_space_of_a_tuning_and_refuses_one_with_a_mistake(write: Write) -> None:
    text = "policy: {train: {tune: {trials: 9, space: {lr: 1e-4..1e-2 log, batch: [32, 64]}}}}"
    assert write(text).policy.train.tune.space == {"lr": "1e-4..1e-2 log", "batch": [32, 64]}
    with pytest.raises(UnknownSetting, match="did you mean 'lr'"):
        write("policy: {train: {tune: {space: {lrr: [1, 2]}}}}")
    with pytest.raises(PolicyError, match=r"more than 0 for policy\.train\.tune\.budget_s"):
        write("policy: {train: {tune: {budget_s: 0}}}")


def test_read_takes_several_targets_and_their_thresholds(write: Write) -> None:
    line = "task: {kind: multilabel, targets: [rain, wind], thresholds: [0.5, 0.2]}"
    project = write(least=f"model: sky\n{line}\nnetwork: nets:build\n")
    assert project.task.columns == ("rain", "wind")
    assert project.task.thresholds == (0.5, 0.2)
    told = {setting.key: setting.value for setting in show(project)}
    assert told["task.targets"] == ["rain", "wind"]
