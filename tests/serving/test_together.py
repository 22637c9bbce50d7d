"""Many clients at once over two versions: no answer is wrong, mixed up, or another version's."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any
from urllib.parse import urlsplit

import numpy as np

OLD, NEW = "model_v20260101_0000", "model_v20260102_0000"
BIAS = {OLD: 0.0, NEW: 1.0}


def logistic(x: list[float], bias: float) -> list[float]:
    return (1 / (1 + np.exp(-(np.array(x) + bias)))).tolist()


async def client(place: Any, seed: int, count: int, seen: dict[str, set[str]]) -> list[str]:
    """Ask on one connection, some requests behind one another; return what was wrong."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    wrong = []
    for turn in range(count // 4):
        asked = []
        for number in range(4):
            rows = chance.choice([1, 1, 1, 2, 4, 40])
            x = [round(chance.uniform(-3, 3), 3) for _ in range(rows)]
            unit = f"unit {chance.randrange(200)}"
            name = f"{seed}/{turn}/{number}"
            tensor = {"name": "x", "shape": [rows], "datatype": "FP64", "data": x}
            body = json.dumps({"id": name, "inputs": [tensor]}).encode()
            head = "POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\nx-unit-id: "
            head += f"{unit}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            asked.append((name, unit, x))
        for name, unit, x in asked:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            if " 200 " not in head:
                wrong.append(str(answer))
                continue
            seen.setdefault(unit, set()).add(answer["model_version"])
            scores = answer["outputs"][0]["data"][1::2]
            expected = logistic(x, BIAS[answer["model_version"]])
            if answer["id"] != name or not np.allclose(scores, expected, atol=1e-5):
                wrong.append(f"{name}: {answer}")
    writer.close()
    return wrong


def test_every_answer_is_right_and_stays_with_its_unit(house: Any) -> None:
    house.move({OLD: 0.5, NEW: 0.5}, salt="together")
    seen: dict[str, set[str]] = {}

    async def act() -> list[list[str]]:
        place = urlsplit(house.gateway.url)
        return await asyncio.gather(*(client(place, seed, 80, seen) for seed in range(24)))

    assert [text for part in asyncio.run(act()) for text in part] == []
    assert all(len(versions) == 1 for versions in seen.values())
    assert {version for versions in seen.values() for version in versions} == {OLD, NEW}
    text = house.http.get("/metrics").text
    runs = sum(
        int(line.split()[-1]) for line in text.splitlines() if line.startswith("instar_runs_total")
    )
    requests = sum(served.requests for served in house.traffic.served().values())
    assert runs < requests  # some were answered together
