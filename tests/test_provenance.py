"""What a record says of the code and the machine, and what it does not."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

import pytest

from instar import provenance
from instar.core.codec import decode, encode
from instar.core.digest import canonical, digest_bytes
from instar.core.records import Environment


def test_environment_names_no_person_host_or_place(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("x = 1")
    said = canonical(encode(provenance.environment(tmp_path))).decode()
    for private in (str(tmp_path), socket.gethostname(), str(Path.cwd()), str(Path.home())):
        assert private not in said
    assert len(getpass.getuser()) < 4 or getpass.getuser() not in said


def test_environment_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = provenance.environment(tmp_path)
    assert decode(Environment, encode(found)) == found
    assert {"torch", "numpy", "sqlite", "polars"} <= set(found.libraries)
    assert found.memory_bytes > 1 << 28


def test_lock_files_are_named_with_their_digests(tmp_path: Path) -> None:
    for name in ("uv.lock", "requirements-dev.txt", "notes.txt"):
        (tmp_path / name).write_text(name)
    assert provenance.environment(tmp_path).locks == {
        name: digest_bytes(name.encode()) for name in ("requirements-dev.txt", "uv.lock")
    }


def test_project_is_its_own_python_files(tmp_path: Path) -> None:
    def project() -> str | None:
        return provenance.environment(tmp_path).project

    assert project() is None
    (tmp_path / "nets.py").write_text("x = 1")
    first = project()
    for foreign in (".venv", "__pycache__", "env", ".instar"):
        (tmp_path / foreign).mkdir()
        (tmp_path / foreign / "other.py").write_text("y = 2")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "data.csv").write_text("1")
    assert project() == first is not None
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "own.py").write_text("z = 3")
    assert project() != first


def test_folder_with_far_too_many_files_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_FILES", 2)
    for name in "abc":
        (tmp_path / f"{name}.py").touch()
    assert provenance.environment(tmp_path).project is None


def test_source_is_that_of_every_module() -> None:
    here = Path(provenance.__file__).parent
    assert provenance.source() == provenance._digest_of(here, sorted(here.rglob("*.py")))
    assert provenance.code()["source"] == provenance.source()


def test_accelerators_are_those_that_the_driver_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name in (("0000:01", "Card B"), ("0000:00", "Card A")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "information").write_text(f"Model: \t\t {name}\nIRQ:   16\n")
    monkeypatch.setattr(provenance, "_DRIVER", tmp_path)
    assert provenance.accelerators() == ("Card A", "Card B")
    monkeypatch.setattr(provenance, "_DRIVER", tmp_path / "none")
    assert provenance.accelerators() == ()


SMI = """\
| NVIDIA-SMI 550.54.15   Driver Version: 550.54.15   CUDA Version: 12.4     |
"""
ROWS = "NVIDIA H100 80GB HBM3, 81559, 68.57\nTesla K80, 11441, [N/A]\n"


def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in the place of the driver's own."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(provenance, "accelerators", lambda: ("a card",))


def test_cards_are_what_the_drivers_program_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows").write_text(ROWS)
    (tmp_path / "head").write_text(SMI)
    smi(tmp_path, monkeypatch, f'cat "{tmp_path}/$([ $# -eq 0 ] && echo head || echo rows)"')
    first, second = provenance.cards()
    assert first == provenance.Card("NVIDIA H100 80GB HBM3", 81559 << 20, 68.57)
    assert (second.memory_bytes >> 20, second.watts) == (11441, None)
    assert provenance.cuda() == "12.4"


@pytest.mark.parametrize(
    "script", ["echo 'No devices were found'", "exit 9", "echo; cat /dev/null"]
)
def test_program_that_fails_tells_of_no_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    smi(tmp_path, monkeypatch, script)
    assert (provenance.cards(), provenance.cuda()) == ((), "")


def test_library_that_is_older_than_asked_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["numpy>=2.1", 'torch>=2.6; extra == "train"', "psycopg[binary]>=3.2", "rich>=13", "x"]
    found = {"numpy": "2.1.0", "torch": "2.5.1+cpu", "psycopg": "3.10"}
    monkeypatch.setattr(provenance.metadata, "requires", lambda _: asked)
    monkeypatch.setattr(provenance, "libraries", lambda: found)
    assert provenance.outdated() == {"torch": "2.6"}
