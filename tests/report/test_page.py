from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from instar.core.data import Snapshot
from instar.core.finding import Finding, Verdict
from instar.core.records import Phase, Release
from instar.report import Story, render
from instar.report.page import environment
from tests.report import pieces
from tests.report.stories import STORIES, good, refused, rolled_back

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Read a page strictly: every element closed in order, every id once."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", STORIES)
def test_page_is_whole_and_self_contained(name: str) -> None:
    tags = Reader(render(STORIES[name]())).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs[key] for _, attrs in tags for key in ("href", "src") if key in attrs]
    assert all(link.startswith(("#", "data:")) for link in links)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert "script" not in {tag for tag, _ in tags}


@pytest.mark.parametrize("name", STORIES)
def test_page_headings_never_skip_a_level(name: str) -> None:
    levels = [
        int(tag[1]) for tag, _ in Reader(render(STORIES[name]())).tags if re.match(r"h\d$", tag)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("name", STORIES)
def test_page_drawings_have_a_role_and_a_title(name: str) -> None:
    tags = Reader(render(STORIES[name]())).tags
    drawings = [i for i, (tag, _) in enumerate(tags) if tag == "svg"]
    assert drawings
    assert all(tags[i][1]["role"] == "img" and tags[i + 1][0] == "title" for i in drawings)


def test_page_puts_the_verdict_first_and_folds_what_passed() -> None:
    page = render(refused())
    body = page[page.index("<main>") :]
    assert body.index("Refused at the data gate") < body.index("slice_shift:temp")
    assert body.index("slice_shift:temp") < body.index("label_noise") < body.index("checks passed")
    folded = re.findall(r"<details.*?</details>", body, re.DOTALL)
    assert any(">duplicates<" in part for part in folded)
    assert not any(">slice_shift:temp<" in part for part in folded)


def test_page_says_what_would_make_it_pass_and_who_let_it_pass() -> None:
    page = render(rolled_back())
    assert "a reason why dep_delay is known at the time of the request" in page
    assert "Let pass by ben" in page
    assert "Let pass by cleo" in page
    assert page.count("Let pass by") == 2


def test_page_shortens_digests_and_keeps_the_whole_at_hand() -> None:
    whole = good().request.policy
    assert f'<code class="digest" title="{whole}">{whole[7:19]}</code>' in render(good())


def test_page_of_a_bare_request_opens() -> None:
    page = render(Story("flights", good().request))
    assert Reader(page)
    assert "The update is under way" in page
    assert page.count("not reached") == 8


@pytest.mark.parametrize("last", range(8))
def test_page_of_an_update_that_broke_anywhere_opens(last: int) -> None:
    stages = (
        "admission",
        "plan",
        "training",
        "bundle",
        "validation",
        "approval",
        "releases",
        "watch",
    )
    gone = {name: () if name == "releases" else None for name in stages[last:]}
    page = render(replace(good(), **gone, failure="no space left on the device"))
    assert Reader(page)
    assert "no space left on the device" in page
    assert "stopped here" in page


def hostile() -> Story:
    picture = pieces.bars({HOSTILE: 0.5}, 0.1, HOSTILE)
    finding = Finding(
        HOSTILE, Verdict.FAIL, HOSTILE, 1.0, 2.0, HOSTILE, passes_if=HOSTILE, picture=picture
    )
    story = rolled_back()
    fresh = replace(story.request.fresh, source=HOSTILE)
    assert isinstance(fresh, Snapshot)
    request = replace(
        story.request, update=HOSTILE, reason=HOSTILE, by=HOSTILE, fresh=fresh, features=(HOSTILE,)
    )
    admission = replace(story.admission, findings=(finding,))
    votes = tuple(replace(vote, by=HOSTILE, reason=HOSTILE, code=HOSTILE) for vote in story.votes)
    release = Release(Phase.ROLLED_BACK, 0, {HOSTILE: 1.0}, Verdict.FAIL, (finding,), HOSTILE)
    return replace(
        story, model=HOSTILE, request=request, admission=admission, votes=votes,
        releases=(*story.releases, release), metric=HOSTILE, failure=HOSTILE, after=HOSTILE,
    )  # fmt: skip


def test_page_with_hostile_names_stays_text() -> None:
    page = render(hostile())
    tags = Reader(page).tags
    assert {"script", "iframe"} & {tag for tag, _ in tags} == set()
    assert not [tag for tag, attrs in tags if any(name.startswith("on") for name in attrs)]
    assert page.count("&lt;script&gt;") >= 12


def test_page_survives_a_picture_that_makes_no_sense() -> None:
    pictures = ({"kind": "unheard"}, {"kind": "roc"}, {"kind": "lines", "x": [1], "series": "?"})
    findings = tuple(
        Finding(f"odd:{i}", Verdict.FAIL, "", picture=picture) for i, picture in enumerate(pictures)
    )
    page = render(replace(good(), admission=replace(good().admission, findings=findings)))
    assert page.count("cannot be drawn") == 2
    assert "No drawing for a" in page


def test_page_without_measures_shows_dashes_and_no_nan() -> None:
    bare = Finding("bare", Verdict.ERROR, "nothing was measured", measured=float("nan"))
    page = render(replace(good(), admission=replace(good().admission, findings=(bare,))))
    assert "nan" not in re.sub(r"<[^>]*>", "", page[page.index("<main>") :])


def test_environment_refuses_a_name_that_is_not_there() -> None:
    with pytest.raises(Exception, match="nothing_here"):
        environment().from_string("{{ nothing_here }}").render()


def test_style_has_enough_contrast_in_the_light_and_in_the_dark() -> None:
    import instar.report

    style = Path(instar.report.__file__).with_name("templates") / "style.css"
    text = style.read_text("utf-8")
    light = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", text.split("@media")[0]))
    dark = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", text.split("@media")[1]))
    assert light.keys() == dark.keys()
    for colours in (light, dark):
        for name in ("ink", "muted", "link", "pass", "fail", "inconclusive", "error", "open"):
            for ground in ("paper", "panel"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        for name in ("t0", "t1", "t2", "t3", "t4"):
            assert contrast(colours[name], colours["panel"]) >= 3.0, name


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, success criterion 1.4.3."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
