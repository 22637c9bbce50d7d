"""The sample pages, opened in a real browser at the widths of a desk and of a phone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from instar.report import render
from tests.report.stories import STORIES

OPEN_ALL = "document.querySelectorAll('details').forEach(fold => { fold.open = true; })"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
EMPTY_DRAWINGS = """Array.from(document.querySelectorAll('svg')).filter(drawing => {
    const box = drawing.getBoundingClientRect();
    return box.width < 100 || box.height < 15;
}).length"""
CUT = """Array.from(document.querySelectorAll('h1,h2,h3,h4,p,dd,summary')).filter(words => {
    const box = words.getBoundingClientRect();
    return box.right > document.documentElement.clientWidth + 1;
}).map(words => words.textContent)"""
HIDDEN_TABLES = """Array.from(document.querySelectorAll('table')).filter(
    table => !table.checkVisibility({contentVisibilityAuto: true})
        || table.getBoundingClientRect().height === 0).length"""


def visit(browser, tmp_path: Path, name: str, width: int, **more: str) -> SimpleNamespace:
    file = tmp_path / f"{name}.html"
    file.write_text(render(STORIES[name]()), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900}, **more)
    seen = SimpleNamespace(page=page, said=[], asked=[])
    page.on("console", lambda message: seen.said.append(message.text))
    page.on("pageerror", lambda error: seen.said.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(file.as_uri())
    seen.asked = [url for url in seen.asked if not url.startswith(("file:", "data:"))]
    return seen


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", STORIES)
def test_page_in_browser_fits_and_is_silent(browser, tmp_path: Path, name: str, width: int) -> None:
    seen = visit(browser, tmp_path, name, width)
    assert seen.page.evaluate(OVERFLOW) <= 0
    seen.page.evaluate(OPEN_ALL)
    assert seen.page.evaluate(OVERFLOW) <= 0
    assert seen.page.evaluate(CUT) == []
    assert seen.page.locator("svg").count() > 0
    assert seen.page.evaluate(EMPTY_DRAWINGS) == 0
    assert (seen.said, seen.asked) == ([], [])
    seen.page.close()


def test_page_printed_shows_what_is_folded(browser, tmp_path: Path) -> None:
    seen = visit(browser, tmp_path, "good", 1000)
    assert seen.page.evaluate(HIDDEN_TABLES) > 0
    seen.page.emulate_media(media="print")
    seen.page.wait_for_function(f"({HIDDEN_TABLES}) === 0", timeout=5_000)
    seen.page.close()


def test_page_in_the_dark_is_dark(browser, tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = visit(browser, tmp_path, "refused", 1000, color_scheme="dark")
    assert seen.page.evaluate(ground) == "rgb(21, 24, 27)"
    seen.page.close()
