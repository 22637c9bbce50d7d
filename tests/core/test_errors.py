from __future__ import annotations

import importlib
import pkgutil

import pytest

import instar
from instar.core.errors import (
    BackendError,
    InputError,
    InstarError,
    IntegrityError,
    PolicyError,
    pathless,
)

BRANCHES = (PolicyError, InputError, BackendError, IntegrityError)


def classes() -> set[type[InstarError]]:
    for module in pkgutil.walk_packages(instar.__path__, "instar."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[InstarError]] = set()
    left: list[type[InstarError]] = [InstarError]
    while left:
        one = left.pop()
        found.add(one)
        left += one.__subclasses__()
    fakes = "instar.testing"  # a fake speaks with the code of what it stands for
    return {
        one
        for one in found
        if one.__module__.startswith("instar.") and not one.__module__.startswith(fakes)
    }


def test_every_error_belongs_to_one_branch_and_has_its_own_code() -> None:
    mistakes = classes() - {InstarError, *BRANCHES}
    assert len(mistakes) > 50
    for one in mistakes:
        assert sum(issubclass(one, branch) for branch in BRANCHES) == 1, one
        assert "code" in vars(one), f"{one} has the code of its parent"
    codes = sorted(one.code for one in mistakes)
    assert len(codes) == len(set(codes)), [code for code in codes if codes.count(code) > 1]


def test_message_is_one_line() -> None:
    error = InputError("a table", "two\nlines  of text", "mend it")
    assert str(error) == "wanted a table; got two lines of text; mend it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[Errno 28] No space left on device: '/srv/canary/x.bin'", "x.bin'"),
        ("Load model from /srv/canary/m.onnx failed: File doesn't exist", "m.onnx failed"),
        ("unable to open database file: /srv/canary/.instar/ledger.db", "ledger.db"),
        ("in /srv/canary/my models/a.pt, line 3", "a.pt, line 3"),
        ("no such file: '/srv/the canary/a b.csv'", "'a b.csv'"),
        (r"cannot open C:\srv\canary\x.dll here", "x.dll here"),
        ("see file:'/srv/canary/x'", "'x'"),
        ("(/srv/canary/x)", "(x)"),
        ("/srv/canary/sub/", ""),
    ],
)
def test_pathless_text_names_no_folder(text: str, told: str) -> None:
    found = pathless(text)
    assert "canary" not in found or "my models" in text
    assert "/srv" not in found
    assert told in found


@pytest.mark.parametrize(
    "text",
    [
        "see http://localhost:8400/v2/health/ready",
        "a/b and 3/4 of s3://bucket/key",
        "GET /v2",
        "shares 0.5 / 0.5",
        "wanted a table; got none",
    ],
)
def test_pathless_text_keeps_what_is_no_place(text: str) -> None:
    assert pathless(text) == text
