from __future__ import annotations

import sys

import pytest

from instar.models.project import OWN, FunctionMissing, FunctionRaised, function


def test_function_is_the_users_and_outlives_its_module(tmp_path):
    (tmp_path / "sizes.py").write_text("FACTOR = 3\n")
    (tmp_path / "mine.py").write_text(
        "import sizes\n\ndef triple(x):\n    return sizes.FACTOR * x\n"
    )
    before, path = set(sys.modules), list(sys.path)
    triple, file = function("mine:triple", tmp_path)
    assert triple(2) == 6
    assert file == str(tmp_path / "mine.py")
    assert (set(sys.modules), sys.path, OWN in sys.modules) == (before, path, False)


def test_function_is_read_afresh(tmp_path):
    for answer in (1, 2):
        (tmp_path / "mine.py").write_text(f"def f():\n    return {answer}\n")
        assert function("mine:f", tmp_path)[0]() == answer


@pytest.mark.parametrize(
    ("name", "error", "needle"),
    [
        ("mine", FunctionMissing, "no module:function"),
        ("mine:", FunctionMissing, "no module:function"),
        ("../mine:f", FunctionMissing, "no module:function"),
        ("a" * 300 + ":f", FunctionMissing, "no module:function"),
        ("other:f", FunctionMissing, "no file other.py"),
        ("mine:g", FunctionMissing, "no function g in mine.py"),
        ("broken:f", FunctionRaised, "ZeroDivisionError: division by zero at broken.py line 1"),
    ],
)
def test_function_says_what_is_wrong_in_one_line(tmp_path, name, error, needle):
    (tmp_path / "mine.py").write_text("def f(): return 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(error, match=needle) as caught:
        function(name, tmp_path)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)
