"""What work used is measured, and an estimate says that it is one."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from instar import metering, provenance
from instar.core.codec import decode
from instar.core.records import Cost
from instar.core.tools import Rates
from instar.metering import Processor, metered
from instar.testing.tools import FakeClock

RATES = Rates(cpu_hour=3600.0, gpu_hour=7200.0, watts_per_core=10.0)


@pytest.fixture(autouse=True)
def nothing_measures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metering, "POWERCAP", tmp_path)
    monkeypatch.setattr(provenance, "accelerators", tuple)


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cost]:
    """Do work of 3 CPU seconds in 2 seconds, by the clocks."""
    clock, cpu = FakeClock(), iter([5.0, 8.0])
    monkeypatch.setattr(metering.time, "process_time", lambda: next(cpu))

    def work() -> Cost:
        with metered(clock, RATES) as used:
            clock.sleep(2.0)
            return used()

    return work


def zone(root: Path, name: str, word: str, counter: int) -> Path:
    place = root / name
    place.mkdir()
    (place / "name").write_text(f"{word}\n")
    (place / "energy_uj").write_text(f"{counter}\n")
    (place / "max_energy_range_uj").write_text("262143328850\n")
    return place


def test_energy_is_cpu_seconds_times_an_assumed_power_where_nothing_measures_it(
    worked: Callable[[], Cost],
) -> None:
    cost = worked()
    assert (cost.cpu_s, cost.wall_s, cost.energy_j, cost.money) == (3.0, 2.0, 30.0, 3.0)
    assert cost.method == "CPU seconds x 10 W per core, an assumption"
    assert (cost.gpu_s, cost.gpu_peak_bytes) == (0.0, 0)
    assert cost.peak_bytes > 1 << 20


def test_processor_adds_packages_and_goes_on_where_a_counter_begins_again(tmp_path: Path) -> None:
    one = zone(tmp_path, "intel-rapl:0", "package-0", 262_143_328_000)
    two = zone(tmp_path, "intel-rapl:1", "package-1", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "dram", 7)
    zone(tmp_path, "intel-rapl:2", "psys", 7)
    seen = Processor(tmp_path)
    assert seen
    (one / "energy_uj").write_text("4999150")  # 850 uJ to the end of the range, then 4,999,150
    (two / "energy_uj").write_text("3000000")
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("9000000")
    (tmp_path / "intel-rapl:2" / "energy_uj").write_text("9000000")
    seen.read()
    assert seen.joules == pytest.approx(7.0)


def test_energy_comes_from_the_counters_where_they_can_be_read(
    worked: Callable[[], Cost], tmp_path: Path
) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    cost = worked()
    assert (cost.energy_j, "counters" in cost.method) == (0.0, True)
    assert not Processor(tmp_path / "not there")


def test_gpu_that_is_used_is_counted_with_its_power_and_its_price(
    worked: Callable[[], Cost], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = types.SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        reset_peak_memory_stats=lambda card: None,
        max_memory_allocated=lambda card: (1 << 30, 0)[card],
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    told = (provenance.Card("A", 1, 300.0), provenance.Card("B", 1, None))
    monkeypatch.setattr(provenance, "cards", lambda: told)
    cost = worked()
    assert (cost.gpu_s, cost.gpu_peak_bytes, cost.energy_j) == (2.0, 1 << 30, 30.0 + 600.0)
    assert cost.money == 3.0 + 2.0 * 2.0


def test_record_from_before_energy_was_measured_is_read() -> None:
    assert decode(Cost, {"cpu_s": 1.0, "wall_s": 2.0, "peak_bytes": 3}) == Cost(1.0, 2.0, 3)
