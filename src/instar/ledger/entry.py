"""One line of the ledger, and the seal that ties it to the line before."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from instar.core.digest import PREFIX, digest_json

GENESIS = PREFIX + "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Say what was done, to which model, in which update, by whom.

    `seq` counts from 1 without gaps and is the order of things; `at` (seconds since the epoch)
    only informs. `key` names the work done, so that it is recorded once; None only in entries
    from before each had its own. `epoch` is the fencing epoch of the writer's lease; None for
    people, unless their word took over from a worker. `work` says what made the record: the
    stage, its owner, the digests that went in and came out; None where a person acted, and in
    entries from before there was such a field. `prev` is the `hash` of the entry before.
    """

    seq: int
    update: str | None
    model: str
    kind: str
    key: str | None
    body: Mapping[str, Any]
    actor: str
    at: float
    epoch: int | None
    work: Mapping[str, Any] | None
    prev: str
    hash: str

    def seal(self) -> str:
        """Compute the digest of everything but `hash` itself; `work` counts where there is one.

        Example:
            >>> about = (1, None, "demand", "note", None, {}, "ana", 0.0)
            >>> made = Entry(*about, None, None, GENESIS, "")
            >>> made.seal()
            'sha256:e19478129bb7bb225d58a99b1db9ac946d44423e2545ab3ac271ca9ca5a74aab'
        """
        fields = self.plain()
        del fields["hash"]
        return digest_json(fields)

    def plain(self) -> dict[str, Any]:
        """Give the fields as they are sealed and exported: `work` only where there is one."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.work is None:
            del fields["work"]
        return fields


@dataclass(frozen=True, slots=True)
class Problem:
    """Say where the ledger does not agree with itself. `seq` is the first entry concerned.

    `code` is `altered` (an entry is not what was sealed, or not what a checkpoint signed), `cut`
    (entries are missing before it, or at the end), `unlinked` (it does not follow from the one
    before), `pointer` (the champion is not the one that the entries name), `signature` (a
    checkpoint is not as it was signed), `older` (somebody knows of a longer ledger, or of another)
    or `witness` (a witness keeps another root).
    """

    seq: int
    code: str
    message: str

    def __str__(self) -> str:
        return self.message
