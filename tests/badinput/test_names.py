"""Class A: hostile names and paths, through every door where a name comes in.

Each is refused with a stable code (exit 2 or a 4xx; 4 where something was planted in the
workspace), in one line without a traceback, an escape sequence or a path of the server; nothing
is written, and what serves goes on serving.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from instar import cli
from instar.bundle.errors import BrokenBundle
from instar.bundle.runtime import ServedBundle
from instar.core import codec, digest
from instar.core.errors import InputError, InstarError, IntegrityError, PolicyError
from instar.core.names import is_name, words
from instar.core.records import Network
from instar.core.tools import Route
from instar.ledger.artifacts import DirectoryArtifacts
from instar.ledger.files import UnsafeFile
from instar.ledger.keys import private_key
from instar.ledger.safedir import MovedFolder, SafeDir, UnsafeName
from instar.policy import read
from instar.serving import routefile
from instar.serving.client import GatewayTraffic, start
from instar.testing.bundles import tiny_bundle
from tests.service import line

LONG = "a" * 4096
NAMES: dict[str, str] = {
    "parent": "..",
    "parent's child": "../u0001",
    "deep traversal": "../../../../../../etc/passwd",
    "inner traversal": "u0001/../../u0001",
    "here": ".",
    "here's child": "./u0001",
    "absolute": "/etc/passwd",
    "double slash": "//etc/passwd",
    "home": "~",
    "somebody's home": "~root/.ssh/id_rsa",
    "variable": "$HOME/u0001",
    "encoded traversal": "%2e%2e%2fu0001",
    "encoded twice": "%252e%252e%252fu0001",
    "half encoded": "..%2fu0001",
    "encoded backslash": "..%5cu0001",
    "backslash": "..\\u0001",
    "backslash absolute": "\\etc\\passwd",
    "semicolon": "..;/u0001",
    "parameter": "u0001;jsessionid=1",
    "fragment": "u0001#/../..",
    "query": "u0001?x=../..",
    "drive": "C:\\Windows\\win.ini",
    "drive relative": "C:u0001",
    "device": "\\\\.\\PhysicalDrive0",
    "verbatim": "\\\\?\\C:\\u0001",
    "UNC": "\\\\server\\share\\u0001",
    "UNC forward": "//server/share/u0001",
    "file address": "file:///etc/passwd",
    "remote address": "http://169.254.169.254/latest",
    "reserved": "CON ",
    "reserved with ending": "nul .txt",
    "stream": "u0001::$DATA",
    "trailing dot and space": "u0001. ",
    "leading space": " u0001",
    "leading dash": "--root=/etc",
    "leading dot": ".instar",
    "newline": "u0001\nu0002",
    "carriage return": "u0001\ru0002",
    "tab": "u0001\tu0002",
    "escape": "\x1b[2J\x1b[1;31mu0001",
    "bell": "u0001\x07",
    "delete": "u0001\x7f",
    "C1 control": "u0001\x9b2J",
    "turned round": "u0001\u202e1000u",
    "isolate": "\u2066u0001\u2069",
    "no width": "u0001\u200b",
    "byte order mark": "\ufeffu0001",
    "full-width dots": "\uff0e\uff0e\uff0fu0001",
    "overlong": b"\xc0\xae\xc0\xae\xc0\xafu0001".decode("utf-8", "surrogateescape"),
    "no UTF-8": b"u0001\xff".decode("utf-8", "surrogateescape"),
    "composed": unicodedata.normalize("NFC", "de\u0301mand"),
    "decomposed": unicodedata.normalize("NFD", "d\u00e9mand"),
    "another alphabet": "d\u0435mand",
    "4,096 characters": LONG,
    "4,096 folders": "../" * 1365,
    "format": "{0.__class__}%s%n",
    "markup": "<script>alert(1)</script>",
    "quote": "u0001' OR '1'='1",
    "shell": "$(id)`id`;id|id",
    "empty": "",
}
NUL = {"NUL": "u0001\0.html", "NUL at once": "\0"}  # no argument of a program can hold one
EVERY = {**NAMES, **NUL}
every = pytest.mark.parametrize("name", EVERY.values(), ids=EVERY)
given = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


def test_there_are_enough_of_them() -> None:
    assert len(set(EVERY.values())) >= 60
    assert not [name for name in EVERY.values() if is_name(name)]


def clean(text: str, *places: Path) -> None:
    """What a reader gets: printable, short, and silent about where things lie."""
    assert "Traceback" not in text
    assert all(c.isprintable() or c == "\n" for c in text), ascii(text)
    assert len(text) < 3500
    assert not [place for place in places if str(place) in text]


def everything(folder: Path) -> dict[str, bytes]:
    """Each file below a folder, but for SQLite's own (a reader may leave an empty journal)."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p): p.read_bytes() for p in found if "ledger.db-" not in p.name}


# The command line. Each command in this process; the worker, which would come later, is not asked.


@pytest.fixture(scope="module")
def line_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outer") / "line"
    folder.mkdir()
    journal = line.lay_out(folder, line.REQUEST, line.ADMISSION)
    journal.close()
    return folder


@pytest.fixture
def instar(
    line_of: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    monkeypatch.chdir(line_of)
    before = everything(line_of.parent)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["instar", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert said.out == ""
        clean(said.err, line_of)
        assert everything(line_of.parent) == before
        return int(ended.value.code or 0), said.err.strip()

    return run


COMMANDS: dict[str, tuple[str, ...]] = {
    "status": ("status", "--", "{}"),
    "report": ("report", "--", "{}"),
    "release": ("release", "--", "{}"),
    "resume": ("resume", "--", "{}"),
    "approve": ("approve", "--", "{}"),
    "reject": ("reject", "--reason", "worse", "--", "{}"),
    "abort": ("abort", "--reason", "late", "--", "{}"),
}


@pytest.mark.parametrize("command", COMMANDS)
@given
def test_command_refuses_a_name_that_is_no_update(
    instar: Callable[..., tuple[int, str]], command: str, name: str
) -> None:
    code, said = instar(*[name if word == "{}" else word for word in COMMANDS[command]])
    assert code == 2
    assert said.startswith("instar: wanted the id of an update; got ")
    assert "\n" not in said


@every
def test_service_refuses_a_name_that_is_no_update(line_of: Path, name: str) -> None:
    space = line.space(line_of)
    for ask in (space.state, space.outcome, space.report, space.release, space.resume):
        with pytest.raises(InputError) as caught:
            ask(name)
        assert caught.value.code == "input.unknown_update"
        clean(str(caught.value), line_of)
    with pytest.raises(InputError) as caught:
        space.version(name)
    assert caught.value.code == "input.unknown_version"
    clean(str(caught.value), line_of)


HIDDEN = [name for name, text in NAMES.items() if not text.isprintable() and text not in "\n\t"]


@pytest.mark.parametrize("name", [n for n in HIDDEN if n not in ("newline", "tab")])
def test_reason_and_person_that_cannot_be_seen_are_refused(
    instar: Callable[..., tuple[int, str]], name: str
) -> None:
    text = NAMES[name]
    assert instar("abort", "u0001", "--reason", text)[0] == 2
    assert instar("rollback", "--reason", text)[0] == 2
    assert instar("approve", "u0001", "--by", text)[0] == 2
    assert instar("reject", "u0001", "--by", "bob", "--reason", text)[0] == 2


FILES = {name: text for name, text in NAMES.items() if name not in ("here", "parent", "empty")}
THERE = ("absolute", "double slash", "deep traversal", "home")  # they may name something real


@pytest.mark.parametrize("name", [name for name in FILES if name not in THERE])
def test_file_that_is_none_is_refused(
    instar: Callable[..., tuple[int, str]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instar.service.Workspace._work", _never)
    given = ("--train", "t.csv", "--holdout", "h.csv")
    code, said = instar("adopt", *given, "--", FILES[name])
    assert code == 2
    assert said.startswith("instar: wanted a file")


def _never(*_: object, **__: object) -> None:
    raise InputError("a file", "one that the reader will look for", "")


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "loop"])
def test_source_that_would_be_waited_for_is_refused(
    line_of: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "rows.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    else:
        with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(tmp_path):
            listener.bind(path.name)
    space = line.space(line_of)
    if kind == "loop":
        with pytest.raises(InputError):
            space._file(str(path))
        return
    with pytest.raises(InputError) as caught:
        space.check(str(path))
    assert caught.value.code == "input.no_such_file"


@pytest.mark.parametrize("out", ["", ".", "nowhere/page.html", LONG, "a/" * 2000, "pipe"])
def test_report_into_what_is_no_file_is_refused(
    instar: Callable[..., tuple[int, str]], line_of: Path, out: str, tmp_path: Path
) -> None:
    if out == "pipe":
        os.mkfifo(tmp_path / "pipe")
        out = str(tmp_path / "pipe")
    code, said = instar("report", "u0001", "--out", out)
    assert code == 2
    assert said.startswith("instar: wanted a file to write")


# The policy file.


def policy(folder: Path, model: str, network: str) -> Path:
    path = folder / "instar.yaml"
    task = {"kind": "binary", "target": "up"}
    text = json.dumps({"model": model, "task": task, "network": network}, ensure_ascii=True)
    path.write_text(text, encoding="utf-8")
    return path


@every
def test_policy_refuses_a_model_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read(policy(tmp_path, name, "nets:build"), env={})
    clean(str(caught.value), tmp_path)


@every
def test_policy_refuses_a_network_that_is_no_function(tmp_path: Path, name: str) -> None:
    for text in (f"{name}:build", f"nets:{name}", f"nets.{name}:build"):
        if text == "C:u0001":
            continue
        with pytest.raises(PolicyError) as caught:
            read(policy(tmp_path, "demand", text), env={})
        clean(str(caught.value), tmp_path)


@every
def test_network_of_a_record_is_looked_for_in_the_project_only(tmp_path: Path, name: str) -> None:
    """The ledger's word for a network is taken no more literally than the policy's."""
    from instar.core.data import InputSpec
    from instar.models.build import NetworkMissing, build

    (tmp_path / "u0001.py").write_text("raise SystemExit('outside')")
    project = tmp_path / "project"
    project.mkdir()
    for text in (f"{name}:build", name):
        with pytest.raises(NetworkMissing) as caught:
            build(Network(build=text or ":"), InputSpec(numbers=1, outputs=1), project)
        clean(str(caught.value), tmp_path)


# What other people's records say: manifests, routes, digests.


def tampered(
    root: Path, change: Callable[[dict[str, Any]], None]
) -> tuple[DirectoryArtifacts, str]:
    """Seal a bundle whose manifest says something else, under its right digest."""
    artifacts = DirectoryArtifacts(root / "artifacts")
    manifest = json.loads(artifacts.read(tiny_bundle(artifacts)))
    change(manifest)
    return artifacts, artifacts.put(digest.canonical(manifest))


@pytest.mark.parametrize("name", [*(n for n in EVERY.values() if n.isascii()), "é", 7, None, ["a"]])
def test_manifest_refuses_a_file_name(tmp_path: Path, name: Any) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["files"].append({**manifest["files"][0], "name": name})

    before = set(tmp_path.parent.iterdir())
    artifacts, sealed = tampered(tmp_path, change)
    with pytest.raises(IntegrityError) as caught:
        ServedBundle.open(artifacts, sealed)
    clean(str(caught.value), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["artifacts"]
    assert set(tmp_path.parent.iterdir()) == before


def test_manifest_refuses_a_name_twice(tmp_path: Path) -> None:
    artifacts, sealed = tampered(tmp_path, lambda made: made["files"].append(made["files"][0]))
    with pytest.raises(BrokenBundle, match="taken"):
        ServedBundle.open(artifacts, sealed)


@pytest.mark.parametrize("text", [*EVERY.values(), f"sha256:{'../' * 21}x", 7, None, ["a"]])
def test_digest_that_is_none_is_refused(tmp_path: Path, text: Any) -> None:
    artifacts = DirectoryArtifacts(tmp_path / "artifacts")
    artifacts.put(b"x")
    assert text not in artifacts
    if isinstance(text, str):
        for ask in (artifacts.read, artifacts.path):
            with pytest.raises(InputError) as caught:
                ask(text)
            assert caught.value.code == "input.not_a_digest"
            clean(str(caught.value), tmp_path)


@every
def test_name_below_a_folder_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    if is_name(name) or name in (".instar", "--root=/etc"):
        return
    (tmp_path / "u0001").write_bytes(b"outside")
    place = SafeDir(tmp_path / "root")
    place.make()
    for ask in (place.read, place.remove, lambda n: place.keep(n, [b"x"])):
        with pytest.raises(UnsafeName) as caught:
            ask(name)
        clean(str(caught.value), tmp_path)
    assert place.list() == []


# What is planted in the workspace.

PLANTS = ("link", "parent link", "hard link", "pipe", "device", "folder")


def plant(kind: str, path: Path, outside: Path) -> None:
    if kind == "parent link":
        shutil.move(path.parent, outside.parent / "moved")
        path.parent.symlink_to(outside.parent / "moved")
        return
    path.unlink()
    if kind == "link":
        path.symlink_to(outside)
    elif kind == "hard link":
        path.hardlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o20666, os.makedev(1, 5))
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", PLANTS)
@pytest.mark.parametrize("what", ["artifact", "route", "key"])
def test_what_is_planted_is_never_read(tmp_path: Path, kind: str, what: str) -> None:
    root, outside = tmp_path / "home", tmp_path / "outside"
    root.mkdir()
    if kind == "device" and os.geteuid() != 0:
        pytest.skip("only root makes devices")
    artifacts = DirectoryArtifacts(root / "artifacts")
    name = artifacts.put(b"secret")
    route = Route("m", 1, {"old": 1.0}, {"old": "sha256:0"}, "old")
    routefile.write(root, route)
    private_key(root, "ledger")
    asks: dict[str, tuple[Path, Callable[[], object]]] = {
        "artifact": (artifacts.path(name), lambda: artifacts.read(name)),
        "route": (root / "serve/route.json", lambda: routefile.read(root)),
        "key": (root / "keys/ledger.pem", lambda: private_key(root, "ledger")),
    }
    path, ask = asks[what]
    outside.write_bytes(path.read_bytes())
    plant(kind, path, outside)
    before = outside.read_bytes()
    with pytest.raises(IntegrityError) as caught:
        ask()
    assert caught.value.code in (UnsafeFile.code, MovedFolder.code)
    clean(str(caught.value), tmp_path)
    assert outside.read_bytes() == before


# The gateway, over its socket.


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    root = tmp_path_factory.mktemp("gateway")
    manifest = tiny_bundle(DirectoryArtifacts(root / "artifacts"), line.OLD)
    GatewayTraffic(root, "demand").put(
        Route("demand", 1, {line.OLD: 1.0}, {line.OLD: manifest}, line.OLD)
    )
    running = start(root, "demand")
    yield root, running.url
    assert running.stop() == 0


def asked(url: str, target: bytes, method: str = "GET", body: bytes = b"") -> tuple[int, str]:
    """Send a request target byte for byte, as no client library would."""
    place = urlsplit(url)
    with socket.create_connection((str(place.hostname), place.port or 0), timeout=10) as line_:
        head = f"{method} ".encode() + target + b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n"
        line_.sendall(head + f"content-length: {len(body)}\r\n\r\n".encode() + body)
        got = b""
        while part := line_.recv(65536):
            got += part
    first, _, rest = got.partition(b"\r\n\r\n")
    return int(first.split()[1]), rest.decode("utf-8")


TARGETS = ("/v2/models/{}", "/v2/models/{}/infer", "/v2/models/demand/versions/{}")
TARGETS += ("/v2/models/demand/versions/{}/infer", "/v2/models/demand/{}", "/{}", "/v2/{}")
TARGETS += ("/api/v1/{}", "/api/v1/labelled?version={}", "/api/v1/scores?version={}")


@every
def test_gateway_refuses_a_name(gateway: tuple[Path, str], name: str) -> None:
    root, url = gateway
    before = everything(root / "artifacts")
    raw = name.encode("utf-8", "surrogateescape")
    visible = all(0x20 < byte < 0x7F for byte in raw)
    for target in TARGETS:
        for text in {quote(raw, safe="").encode(), *([raw] if visible else [])}:
            infer = "infer" in target
            status, said = asked(
                url, target.encode().replace(b"{}", text), "POST" if infer else "GET"
            )
            assert 400 <= status < 500 or status == 200, (target, status, said)
            clean(said, root)
            if status == 200:  # an empty or dotted name may end in an address that is there
                assert target.partition("?")[2] or name in ("", "/", "."), (target, name)
    assert everything(root / "artifacts") == before


def test_gateway_is_well_after_all_of_them(gateway: tuple[Path, str]) -> None:
    _, url = gateway
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200
    assert httpx.get(f"{url}/v2/models/demand").json()["versions"] == [line.OLD]


BAD_ROUTES = [7, None, {}, *(name for name in EVERY.values() if name.isascii())]


def test_gateway_goes_on_beside_hostile_routes(gateway: tuple[Path, str]) -> None:
    """A route whose digests or names mean something else is refused, and the last one serves."""
    root, url = gateway
    traffic = GatewayTraffic(root, "demand")
    good = traffic.route()
    for number, name in enumerate(BAD_ROUTES, good.generation + 1):
        bad = codec.encode(replace(good, generation=number))
        bad["manifests"] = {line.OLD: name}
        routefile.keep(root, routefile.ROUTE, json.dumps(bad).encode())
        told = number if isinstance(name, str) else 0  # what is no route has no generation
        until = 500
        while (refused := traffic.status()["refused"]) is None or refused["generation"] != told:
            until -= 1
            assert until, name
        clean(refused["reason"], root)
    assert httpx.get(f"{url}/v2/health/ready").status_code == 200
    assert traffic.status()["generation"] == good.generation
    traffic.move(replace(good, generation=good.generation + len(BAD_ROUTES) + 1))


# The pages.


@every
def test_page_of_a_name_is_not_found(line_of: Path, name: str) -> None:
    import asyncio

    from instar.web import app

    before = everything(line_of)
    pages = app(line.space(line_of))

    async def ask(path: str) -> httpx.Response:
        carry = httpx.ASGITransport(pages, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=carry, base_url="http://here") as client:
            return await client.get(path)

    text = quote(name.encode("utf-8", "surrogateescape"), safe="")
    for path in (f"/updates/{text}/report", f"/{text}", f"/api/v1/{text}"):
        answer = asyncio.run(ask(path))
        if answer.status_code == 200:
            assert name in ("", ".", "/", "..")  # the address of the list itself
            continue
        assert answer.status_code == 404, (path, answer.text)
        assert "Traceback" not in answer.text
        assert str(line_of) not in answer.text
        assert "<script>alert" not in answer.text
    assert everything(line_of) == before


def test_words_are_let_through() -> None:
    for text in ("weekly", "naïve, 每周更新", "two\nlines", "a\tb", "", "it's 5 % – fine…"):
        assert words("reason", text) == text
    for text in [NAMES[name] for name in HIDDEN if name not in ("newline", "tab")]:
        with pytest.raises(InstarError):
            words("reason", text)
