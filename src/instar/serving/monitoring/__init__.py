"""What Prometheus and Grafana need to watch a gateway: alert rules and a board, as files.

    python -m instar.serving.monitoring FOLDER --target 127.0.0.1:8400

writes `alerts.yaml` (rules), `board.json` (to import in Grafana, 9 or later) and `prometheus.yml`
(a configuration that scrapes the targets and loads the rules).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

ALERTS, BOARD, SETTINGS = "alerts.yaml", "board.json", "prometheus.yml"


def shipped(name: str) -> str:
    """Read one of the files that come with the package: `ALERTS` or `BOARD`."""
    return files(__name__).joinpath(name).read_text("utf-8")


def settings(targets: Sequence[str], every: str = "15s") -> str:
    """Write a configuration of Prometheus that scrapes gateways and loads the rules beside it.

    Args:
        targets: Where gateways listen, HOST:PORT.
        every: Time between two scrapes.

    Example:
        >>> print(settings(["127.0.0.1:8400"]))
        global: {scrape_interval: 15s, evaluation_interval: 15s}
        rule_files: [alerts.yaml]
        scrape_configs:
          - job_name: instar
            static_configs:
              - targets: ['127.0.0.1:8400']
        <BLANKLINE>
    """
    return f"""\
global: {{scrape_interval: {every}, evaluation_interval: {every}}}
rule_files: [{ALERTS}]
scrape_configs:
  - job_name: instar
    static_configs:
      - targets: {list(targets)}
"""


def write(folder: Path, targets: Sequence[str], every: str = "15s") -> list[str]:
    """Write all three files into a folder that the user named; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ALERTS: shipped(ALERTS),
        BOARD: shipped(BOARD),
        SETTINGS: settings(targets, every),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return list(texts)
