"""Who may act on a model: leases, and the epoch that fences off whoever lost one.

A lease that runs out only lets somebody else in; what keeps a sleeper from doing harm when it
wakes is the epoch, which every write carries and which only grows. So a wrong clock can cost
time, never a second writer.
"""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, Row, bindparam, select

from instar.core.errors import BackendError, InputError
from instar.ledger.tables import leases


class Busy(InputError):
    """Refuse a lease on a model that somebody else is working on."""

    code = "input.busy"

    def __init__(self, model: str, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"the model {model!r} to be free",
            f"{holder!r} at work on it",
            "wait for it to end, or end it: instar abort UPDATE --reason WHY",
        )


class LostLease(BackendError):
    """Refuse a write by someone whose lease went to another."""

    code = "backend.lost_lease"

    def __init__(self, model: str, epoch: int, now: int | None) -> None:
        super().__init__(
            f"the lease on {model!r} at epoch {epoch}",
            "no lease" if now is None else f"a lost lease, epoch {now}",
            "nothing was written: somebody else carries on",
        )


_Lease: TypeAlias = Row[tuple[str, str | None, int, float]]
_OF_MODEL = select(leases).where(leases.c.model == bindparam("model"))


def _lease(connection: Connection, model: str) -> _Lease | None:
    return connection.execute(_OF_MODEL, {"model": model}).one_or_none()


def grant(
    connection: Connection,
    model: str,
    holder: str,
    ttl_s: float,
    now: float,
    instead_of: str | None = None,
) -> int:
    """Give the lease to `holder` and return its new epoch.

    The same holder gets it again under a higher epoch: what it started before is fenced off. So
    is `instead_of`, a holder that is known to have died, without waiting for its time to run out.
    """
    lease = _lease(connection, model)
    free = (None, holder, instead_of)
    if lease is not None and lease.holder not in free and now < lease.expires_at:
        raise Busy(model, lease.holder)
    return _next(connection, model, lease, holder, now + ttl_s)


def take_over(connection: Connection, model: str) -> int:
    """Fence off whoever works on a model, and return the new epoch; nobody holds the lease."""
    return _next(connection, model, _lease(connection, model), None, 0.0)


def epoch(connection: Connection, model: str) -> int:
    """Tell the highest epoch so far; 0 where nobody ever worked on the model."""
    lease = _lease(connection, model)
    return 0 if lease is None else lease.epoch


def _next(
    connection: Connection, model: str, lease: _Lease | None, holder: str | None, until: float
) -> int:
    values = {"holder": holder, "epoch": lease.epoch + 1 if lease else 1, "expires_at": until}
    if lease is None:
        connection.execute(leases.insert().values(model=model, **values))
    else:
        connection.execute(leases.update().where(leases.c.model == model).values(**values))
    return int(str(values["epoch"]))


def holder(connection: Connection, model: str, now: float) -> str | None:
    """Name who holds the lease at this moment."""
    lease = _lease(connection, model)
    return None if lease is None or lease.expires_at <= now else lease.holder


def prolong(
    connection: Connection, model: str, holder: str, epoch: int, ttl_s: float, now: float
) -> None:
    """Move the end of a lease that is still one's own."""
    fence(connection, model, epoch)
    connection.execute(
        leases.update().where(_mine(model, holder, epoch)).values(expires_at=now + ttl_s)
    )


def free(connection: Connection, model: str, holder: str, epoch: int) -> None:
    """Give a lease back; one that went to another stays theirs."""
    connection.execute(leases.update().where(_mine(model, holder, epoch)).values(holder=None))


def _mine(model: str, holder: str, epoch: int) -> ColumnElement[bool]:
    return (leases.c.model == model) & (leases.c.holder == holder) & (leases.c.epoch == epoch)


def fence(connection: Connection, model: str, epoch: int | None) -> None:
    """Let a write pass only at the epoch of the model's lease; people (None) hold none."""
    if epoch is None:
        return
    lease = _lease(connection, model)
    if lease is None or lease.holder is None or lease.epoch != epoch:
        raise LostLease(model, epoch, None if lease is None else lease.epoch)
