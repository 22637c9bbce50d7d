from __future__ import annotations

from datetime import UTC, datetime

from instar.stages.package.names import version_name

MOMENT = datetime(2026, 3, 9, 7, 5, 59, tzinfo=UTC).timestamp()


def test_version_name_is_the_minute_in_utc():
    assert version_name(MOMENT) == "model_v20260309_0705"


def test_version_name_goes_on_counting_past_taken_names():
    taken = {"model_v20260309_0705", "model_v20260309_0705_2"}
    assert version_name(MOMENT, taken) == "model_v20260309_0705_3"
