"""Secrets in addresses: what may be shown of them."""

from __future__ import annotations

import re

_VEIL = "***"
# The user's password, up to the last @: one that was not escaped holds @ and / itself.
_IN_ADDRESS = re.compile(r"(://[^\s/?#:@]*:)[^\s\"']*@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?(?:password|secret|token)=)[^&\s\"']*", re.IGNORECASE)


def veiled(text: str) -> str:
    """Write a text with the passwords of the addresses in it put out.

    Example:
        >>> veiled("postgresql://ana:s3cret@db:5432/instar")
        'postgresql://ana:***@db:5432/instar'
        >>> veiled("postgresql://db/instar?user=ana&password=s3cret&sslmode=require")
        'postgresql://db/instar?user=ana&password=***&sslmode=require'
    """
    return _IN_QUERY.sub(rf"\g<1>{_VEIL}", _IN_ADDRESS.sub(rf"\g<1>{_VEIL}@", text))
