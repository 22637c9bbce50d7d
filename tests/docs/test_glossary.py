"""One word, one line, in the order of the alphabet."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/glossary.md").read_text("utf-8")


def test_words_stand_once_and_in_order() -> None:
    words = [word.lower() for word in re.findall(r"^\| ([^|]+) \| ", PAGE, re.MULTILINE)][1:]
    assert words == sorted(set(words))
