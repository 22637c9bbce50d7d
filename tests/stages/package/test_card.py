from __future__ import annotations

from instar.core.data import Preprocessing, Schema, Task, TaskKind
from instar.core.finding import Finding, Verdict
from instar.stages.package.card import write_card


def card(case, **changes) -> str:
    given = {
        "precision": "int8",
        "metrics": {"auroc": 0.91234},
        "rows": 169,
        "findings": [Finding("parity:fp32", Verdict.PASS, "35 µs", measured=1e-6, limit=1e-3)],
        "notes": {"strategy": "hybrid"},
    }
    return write_card("model_v1", case.task, case.schema, case.how, **(given | changes))


def test_card_tells_data_task_metrics_strategy_and_limits(case):
    text = card(case)
    for part in (
        "# model_v1",
        "`no`, `yes`",
        "INT8",
        "| strategy | hybrid |",
        "| auroc | 0.9123 |",
        "169 validation rows",
        "| `size` | category | 4 values |",
        "| `n0` | number | 6.981 to 28.11 |",
        "parity:fp32: pass, 1e-06 where 0.001 is allowed",
        "## Limits",
    ):
        assert part in text


def test_card_leaves_timings_out(case):
    assert "µs" not in card(case)


def test_card_of_a_regression_speaks_of_a_number():
    task = Task(TaskKind.REGRESSION, "price")
    text = write_card(
        "v",
        task,
        Schema(()),
        Preprocessing(),
        precision="fp32",
        metrics={},
        rows=1,
        findings=(),
        notes={},
    )
    assert "a number in the unit of `price`" in text
    assert "Adopted as it was." in text
