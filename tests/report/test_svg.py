from __future__ import annotations

import re

from instar.report import svg


def test_tag_hostile_text_and_value_are_escaped() -> None:
    made = svg.tag("g", "<script>", aria_label='"><script>alert(1)</script>')
    assert "<script>" not in made
    assert str(made).count('"') == 2


def test_label_too_long_keeps_both_ends_and_the_whole_as_tooltip() -> None:
    made = str(svg.label("embeddings.carrier.weight", 0.0, 0.0, letters=17))
    shown = re.match(r"<text[^>]*>([^<]*)<", made)[1]
    assert shown == "embed…rier.weight"
    assert len(shown) == 17
    assert "<title>embeddings.carrier.weight</title>" in made


def test_tone_champion_is_the_same_wherever_it_stands() -> None:
    assert svg.tone("champion", 3, 4) == svg.tone("old", 1, 2) == 0
    assert svg.tone("candidate", 0, 2) == 1
    assert svg.tone("loss", 0, 1) == 1


def test_drawing_says_in_words_what_it_shows() -> None:
    made = svg.drawing("two <bars>", 50.0, [])
    assert 'role="img"' in made
    assert "<title>two &lt;bars&gt;</title>" in made
