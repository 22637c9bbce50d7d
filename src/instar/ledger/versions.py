"""The versions of a model line, as adoptions and promotions made them."""

from __future__ import annotations

from dataclasses import replace

from instar.core.codec import decode
from instar.core.errors import InputError
from instar.core.records import ModelVersion
from instar.ledger.journal import Entry, Journal


class UnknownVersion(InputError):
    """Refuse the name of a version that the ledger does not hold."""

    code = "input.unknown_version"

    def __init__(self, name: str) -> None:
        super().__init__("a version in the ledger", repr(name), "see: instar history")


def made(journal: Journal, model: str, name: str) -> Entry:
    """Find the entry that made a version of a model line, by the version's name.

    Raises:
        UnknownVersion: no adoption or promotion made it.
    """
    for kind in ("promotion", "adoption"):
        for entry in journal.entries(model=model, kind=kind):
            if entry.body["name"] == name:
                return entry
    raise UnknownVersion(name)


def version(journal: Journal, model: str, name: str) -> ModelVersion:
    """Find a version of a model line by its name.

    Raises:
        UnknownVersion: no adoption or promotion made it.
    """
    return signed(journal, model, decode(ModelVersion, made(journal, model, name).body))


def signed(journal: Journal, model: str, of: ModelVersion) -> ModelVersion:
    """Give a version the last signature that was recorded for its bundle.

    It is the bundle's own, unless somebody signed it later (`instar sign`): one from before
    signing, or with a new key.
    """
    for entry in reversed(journal.entries(model=model, kind="signature")):
        if entry.body["manifest"] == of.bundle.manifest:
            bundle = replace(of.bundle, signature=str(entry.body["signature"]))
            return replace(of, bundle=bundle)
    return of
