"""What an entry says of its making: `Entry.work`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instar.core.digest import digest_json


def work(
    stage: str,
    body: Mapping[str, Any],
    *,
    owner: str,
    inputs: Mapping[str, str],
    policy: str,
    code: Mapping[str, str],
    attempt: int | None = None,
) -> dict[str, Any]:
    """Say which stage made a record, who answers for it, from what, by which rules and code.

    Args:
        stage: `request`, `adopt`, or the name of a stage.
        body: The record as it is filed; its digest is the `output`.
        owner: Who answers for the stage.
        inputs: By name: the digest of an earlier entry's body, or of an artifact.
        policy: The digest of the settings that the stage was given.
        code: Instar's version, and the digest of its source.
        attempt: How often the work had been begun, this time included, where that is counted.
    Example:
        >>> made = work("plan", {}, owner="ana", inputs={}, policy="", code={"version": "1"})
        >>> made["output"] == digest_json({}), made["stage"]
        (True, 'plan')
    """
    made = {
        "stage": stage,
        "owner": owner,
        "inputs": dict(inputs),
        "output": digest_json(body),
        "policy": policy,
        "code": dict(code),
    }
    return made if attempt is None else {**made, "attempt": attempt}
