"""Names and words that come from outside: the one place that says which are taken."""

from __future__ import annotations

import re

from instar.core.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PART = re.compile(r"[A-Za-z0-9._-]{1,255}")


class BadWords(InputError):
    """Refuse a text that cannot be shown as it is: it would pass for something else."""

    code = "input.bad_words"

    def __init__(self, what: str, most: int, got: str) -> None:
        super().__init__(
            f"a {what} of at most {most} characters that can all be seen", got, "write it anew"
        )


def is_name(text: object) -> bool:
    """Tell whether a text can name a model line, a version or an update.

    It stands in addresses, file names and reports, so it means one thing in all of them.

    Example:
        >>> is_name("demand"), is_name("u0001"), is_name("../u0001"), is_name(".."), is_name("ü")
        (True, True, False, False, False)
    """
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_plain(name: str) -> bool:
    """Tell whether a name can only mean a file below: plain parts between slashes.

    Example:
        >>> is_plain("ab/cd/file.json"), is_plain("../file"), is_plain("/file"), is_plain("a//b")
        (True, False, False, False)
    """
    return all(_PART.fullmatch(part) and part.strip(".") for part in name.split("/"))


def words(what: str, text: str, most: int = 2000) -> str:
    r"""Return a text that people read, or refuse it.

    Args:
        what: What it is, for the message.
        text: Any characters that can be seen, spaces, line breaks.
        most: How long it may be.
    Raises:
        BadWords: it holds a control character, an unpaired surrogate or a mark that turns the
            direction of writing; or it is too long.
    Example:
        >>> words("reason", "weekly\nrefresh")
        'weekly\nrefresh'
        >>> words("reason", "\x1b[2J")
        Traceback (most recent call last):
        instar.core.names.BadWords: wanted a reason of at most 2000 characters that can all be seen;
        got '\x1b'; write it anew
    """
    if len(text) > most:
        raise BadWords(what, most, f"one of {len(text)}")
    for character in text:
        if not character.isprintable() and character not in "\n\t\u3000\u00a0":
            raise BadWords(what, most, ascii(character))
    return text
