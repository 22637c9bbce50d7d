"""What can go wrong, and who can mend it.

    InstarError
    ├── PolicyError      the policy's author can fix it
    ├── InputError       the caller can fix it
    ├── BackendError     a store, server or device failed; `retryable` or not
    └── IntegrityError   a digest or the ledger does not agree: stop, never retry

Every class carries a stable `code`. The message is built here, from three parts: what was
wanted, what was got, what to do. A bad model is none of these: it is a `Finding`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import ClassVar

_QUOTED = re.compile(r"""(['"])(?:file:)?(?:[A-Za-z]:)?[\\/][^'"]*[\\/](?=[^'"\\/]*\1)""")
_BARE = re.compile(r"""(?<![\w:/.\\])(?:[A-Za-z]:)?[\\/](?:[^\s'"<>|;,()\[\]]*[\\/])+""")


def pathless(text: str) -> str:
    """Take the folders out of every absolute path in a text; the last name stays.

    Texts of the system and of libraries name places on this machine, which nobody outside it
    needs to know. Whoever takes such a text over passes it through here.

    Example:
        >>> pathless("no such file: '/srv/my models/a.onnx'")
        "no such file: 'a.onnx'"
        >>> pathless("cannot open /srv/models/a.onnx: denied; see http://localhost:8400/v2/health")
        'cannot open a.onnx: denied; see http://localhost:8400/v2/health'
    """
    if "/" not in text and "\\" not in text:  # most, and a refusal under overload must be cheap
        return text
    return _BARE.sub("", _QUOTED.sub(r"\1", text))


class InstarError(Exception):
    """Say what was wanted, what was got and what to do, in one line.

    Example:
        >>> print(InputError("a table with rows", "an empty file", "check the export"))
        wanted a table with rows; got an empty file; check the export
    """

    code: ClassVar[str] = "instar"

    def __init__(self, wanted: str, got: str, todo: str) -> None:
        self.wanted, self.got, self.todo = map(_shown, (wanted, got, todo))
        super().__init__(f"wanted {self.wanted}; got {self.got}; {self.todo}")


_LONGEST = 1000  # characters of one part of a message


def _shown(part: str) -> str:
    """Write a part of a message on one line: what came from outside neither hides nor acts."""
    line = " ".join(part.split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class PolicyError(InstarError):
    """Blame the policy file or a setting given in its place."""

    code = "policy"


class InputError(InstarError):
    """Blame what the caller handed over: data, weights, names, arguments."""

    code = "input"


class BackendError(InstarError):
    """Report a store, server or device that did not do its part."""

    code = "backend"
    retryable: ClassVar[bool] = False


class IntegrityError(InstarError):
    """Report bytes or records that are not what their digest says."""

    code = "integrity"


class NoSuchFile(InputError):
    """Refuse the name of a file or folder that is not there."""

    code = "input.no_such_file"

    def __init__(self, name: str) -> None:
        super().__init__("a file", f"{name[-80:]!r}, where there is none", "check the name")


class TakenFolder(InputError):
    """Refuse to write over what is there already."""

    code = "input.taken_folder"

    def __init__(self, name: str, problem: str) -> None:
        super().__init__("a new folder", f"{name!r}: {problem}", "choose another one")


class UnknownName(InputError):
    """Refuse a name that a table does not hold, and list those it does."""

    code = "input.unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        todo = f"did you mean {near[0]!r}?" if near else "use one of these"
        super().__init__(f"a {kind} out of {', '.join(known) or 'none'}", repr(name), todo)


class TakenName(InputError):
    """Refuse a second member of a family under a name that is taken."""

    code = "input.taken_name"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"a new {kind} name", f"{name!r}, which is taken", "choose another name")


class NothingAdmitted(InputError):
    """Refuse to plan or to train where the data gate let nothing through."""

    code = "input.nothing_admitted"

    def __init__(self) -> None:
        super().__init__("rows that the data gate admitted", "none", "mend the data first")


class Interrupted(BackendError):
    """Report work that was told to end before it was done; it goes on from where it stands."""

    code = "backend.interrupted"

    def __init__(self, where: str) -> None:
        super().__init__("time to end the work", f"the order to stop, {where}", "go on: resume it")


class NoTraffic(BackendError):
    """Report a stage that needs the gateway and was lent none."""

    code = "backend.no_traffic"

    def __init__(self) -> None:
        super().__init__("a gateway", "none", "start it: instar serve")
