"""Another version under load, again and again; and one's way back."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.serving import cases
from benchmarks.serving.cases import PATH, VERSION
from benchmarks.serving.figures import OTHER, Figure, Given, House, instar
from benchmarks.serving.load import ask, asking, told

TURNS, PAUSE_S, CONNECTIONS = 60, 0.1, 16
BACK = 20


def swaps(given: Given) -> Iterator[Figure]:
    """Replace the version that serves 60 times in 6 s; each is loaded and verified anew."""
    case = cases.case("mlp")
    with instar({VERSION: "mlp", OTHER: "mlp"}, given.workers) as house:
        ask(house.url, case, CONNECTIONS, 1.0)
        calm = ask(house.url, case, CONNECTIONS, 6.0)
        traffic, taken = house.traffic, list[float]()
        # Load lasts longer than the moves are to take; what is over is cut off with its process.
        with asking(house.url, case, CONNECTIONS, 2 + TURNS * PAUSE_S) as process:
            began = time.monotonic()
            for turn in range(TURNS):
                due = began + turn * PAUSE_S
                time.sleep(max(0.0, due - time.monotonic()))
                name = OTHER if turn % 2 == 0 else VERSION
                taken.append(traffic.move(house.route(turn + 2, **{name: 1.0})))
            spent = time.monotonic() - began
            moved = told(process)
    yield Figure("failed requests", moved.failed, "", most=0, note=f"of {moved.good:,}")
    yield Figure("60 moves take", spent, "s", most=6.0)
    yield Figure("a move, median", 1000 * statistics.median(taken), "ms")
    ratio = moved.p99_ms / calm.p99_ms
    note = f"{moved.p99_ms:.1f} and {calm.p99_ms:.1f} ms"
    yield Figure("p99 while moving, of calm", ratio, "", most=1.2, note=note)


def back(given: Given) -> Iterator[Figure]:
    """Give all traffic back after a decision, with half of it at the candidate, under load."""
    case = cases.case("mlp")
    moves, late = [], []
    with instar({VERSION: "mlp", OTHER: "mlp"}, given.workers, warm=True) as house:
        number = 2
        with asking(house.url, case, CONNECTIONS, 2 + BACK * 0.4) as process:
            for _ in range(BACK):
                split = house.route(number, OTHER, **{VERSION: 0.5, OTHER: 0.5})
                house.traffic.move(split)
                witness = Witness(house)
                time.sleep(0.1)
                decided = time.monotonic()
                moves.append(house.traffic.move(house.route(number + 1, OTHER, **{VERSION: 1.0})))
                late.append(max(0.0, witness.last() - decided))
                number += 2
            found = told(process)
    yield Figure("failed requests", found.failed, "", most=0, note=f"of {found.good:,}")
    spread = f"median; most {1000 * max(late):.0f}"
    yield Figure("last answer of the candidate", 1000 * statistics.median(late), "ms", most=100,
                 note=spread)  # fmt: skip
    spread = f"median; most {1000 * max(moves):.0f}"
    yield Figure("every worker says so", 1000 * statistics.median(moves), "ms", most=100,
                 note=spread)  # fmt: skip


class Witness:
    """Somebody who asks one thing after the other and notes when the candidate last answered."""

    def __init__(self, house: House) -> None:
        self._place = urlsplit(house.url)
        self._seen, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        line = http.client.HTTPConnection(str(self._place.hostname), self._place.port, timeout=10)
        body = json.loads(cases.case("mlp").body)
        number = 0
        while not self._stop.is_set():
            number += 1
            asked = json.dumps({**body, "id": f"unit-{number}"})
            line.request("POST", PATH, asked)
            if json.loads(line.getresponse().read())["model_version"] == OTHER:
                self._seen = time.monotonic()
        line.close()

    def last(self) -> float:
        """Ask a little longer, end, and say when the candidate last answered."""
        time.sleep(0.05)
        self._stop.set()
        self._thread.join()
        return self._seen
