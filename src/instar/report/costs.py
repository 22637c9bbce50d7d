"""What an update used, stage by stage, beside what the plan expected."""

from __future__ import annotations

from instar.core.records import Cost
from instar.report.story import Story


def costs(story: Story) -> list[tuple[str, Cost]]:
    """List the stages that measured their cost."""
    measured = (("Training", story.training), ("Validation", story.validation))
    return [(name, record.cost) for name, record in measured if record is not None]


def methods(story: Story) -> list[str]:
    """List how the energy of the stages was estimated, each way once."""
    return list(dict.fromkeys(cost.method for _, cost in costs(story) if cost.method))


def expected(story: Story) -> float | None:
    """Give the CPU seconds that the plan expected of the strategy it chose."""
    if story.plan is None:
        return None
    chosen = (f.cpu_s for f in story.plan.forecasts if f.strategy == story.plan.strategy)
    return next(chosen, None)
