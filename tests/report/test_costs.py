from __future__ import annotations

from instar.report.costs import costs, expected, methods
from tests.report.stories import good, refused


def test_costs_stand_beside_what_the_plan_expected() -> None:
    assert [name for name, _ in costs(good())] == ["Training", "Validation"]
    assert methods(good()) == ["CPU seconds x 10 W per core, an assumption"]
    assert expected(good()) == 12.9
    assert expected(refused()) is None
