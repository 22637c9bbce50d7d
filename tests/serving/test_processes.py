from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from instar.serving.processes import exposed, usage


def test_usage_is_what_psutil_says() -> None:
    here, known = usage(os.getpid()), psutil.Process()
    assert here is not None
    assert here.memory_bytes == pytest.approx(known.memory_info().rss, rel=0.2)
    times = known.cpu_times()
    assert here.cpu_s == pytest.approx(times.user + times.system, abs=0.5)
    assert here.began_at == pytest.approx(known.create_time(), abs=2)


def test_process_that_is_gone_is_left_out() -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    lines = list(exposed("m", {"office": os.getpid(), "worker 0": gone.pid}))
    assert usage(gone.pid) is None
    assert sum("office" in line for line in lines) == 3
    assert not any("worker 0" in line for line in lines)
    assert float(next(x for x in lines if "start_time" in x and "office" in x).split()[-1]) < (
        time.time()
    )
