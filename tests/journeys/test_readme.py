"""What the README shows, done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_readme_code_runs(
    prepared_digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(prepared_digits, tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    comments = [line.split("# ", 1)[1] for line in code.splitlines() if "print" in line]
    assert re.fullmatch(r"waiting model_v\d{8}_\d{4}(_\d)?", said[0]), said
    assert said[1:] == comments[1:]


def test_readme_begins_with_what_a_newcomer_needs() -> None:
    head = (ROOT / "README.md").read_text("utf-8").splitlines()[:30]
    text = "\n".join(head)
    for needed in ("make demo", "make test", "import instar", "Request -> Admission", "champion"):
        assert needed in text


def test_readme_names_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = re.findall(r"(?m)(?:^    |`)make (\w+)", (ROOT / "README.md").read_text("utf-8"))
    assert set(named) >= {"demo", "test"}
    for target in named:
        assert f"\n{target}:" in makefile
