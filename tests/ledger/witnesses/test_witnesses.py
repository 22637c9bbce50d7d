"""Whoever else keeps the checkpoints: told once, in time, and never in the way."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from instar.core.errors import UnknownName
from instar.ledger import notes, telling, witnesses
from instar.ledger.notes import Note
from instar.ledger.telling import Telling, Told
from instar.ledger.witnesses import WITNESSES, open_witness, shown, webhook
from instar.ledger.witnesses.witness import Seen, Witness, WitnessSilent
from instar.testing.contracts.families import family_files, unknown_name

KEY = Ed25519PrivateKey.generate()
ORIGIN = notes.origin(KEY.public_key())


def checkpoint(size: int, root: bytes = b"r" * 32) -> Note:
    return notes.checkpoint(KEY, size, root)


def test_table_knows_every_file() -> None:
    family_files(WITNESSES, witnesses, besides={"witness"})
    unknown_name(WITNESSES)


def test_unknown_kind_of_witness_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="folder, s3, webhook"):
        open_witness("ftp://example.com/log", tmp_path)


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("/mnt/second", "/mnt/second"),
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("https://me:secret@example.com:8443/log?token=secret", "https://example.com:8443/log"),
    ],
)
def test_address_is_shown_without_secrets(address: str, seen: str) -> None:
    assert shown(address) == seen


# Those that can be asked.


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket="witness")
        yield "s3://witness/log"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def witness(request: pytest.FixtureRequest, tmp_path: Path) -> Witness:
    if request.param == "folder":
        (tmp_path / "second").mkdir()
        return open_witness("second", tmp_path)
    return open_witness(f"{request.getfixturevalue('bucket')}/{tmp_path.name}", tmp_path)


def seen(witness: Witness) -> list[Seen]:
    return list(witness.seen(ORIGIN) or ())


def test_witness_keeps_what_it_is_told_in_order(witness: Witness) -> None:
    assert seen(witness) == []
    for size in (64, 3, 128):
        witness.tell(checkpoint(size))
        witness.tell(checkpoint(size))
    assert seen(witness) == [Seen(size, b"r" * 32) for size in (3, 64, 128)]


def test_witness_overwrites_nothing(witness: Witness) -> None:
    witness.tell(checkpoint(64))
    witness.tell(checkpoint(64, b"s" * 32))
    assert seen(witness) == [Seen(64, b"r" * 32), Seen(64, b"s" * 32)]


def test_witness_keeps_two_ledgers_apart(witness: Witness) -> None:
    other = notes.checkpoint(Ed25519PrivateKey.generate(), 7, bytes(32))
    witness.tell(other)
    assert seen(witness) == []
    assert list(witness.seen(other.origin) or ()) == [Seen(7, bytes(32))]


def test_folder_that_is_not_mounted_is_silent_and_nothing_is_laid_there(tmp_path: Path) -> None:
    witness = open_witness("second", tmp_path)
    with pytest.raises(WitnessSilent):
        witness.tell(checkpoint(1))
    with pytest.raises(WitnessSilent):
        seen(witness)
    assert list(tmp_path.iterdir()) == []


def test_folder_tells_of_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    witness = open_witness("second", tmp_path)
    witness.tell(checkpoint(5))
    witness.tell(checkpoint(9))
    five, nine = sorted((tmp_path / "second").rglob("*.note"))
    nine.chmod(0o644)
    nine.write_bytes(five.read_bytes())
    five.chmod(0o644)
    five.write_bytes(b"nonsense")
    assert [(found.size, bool(found.flaw)) for found in seen(witness)] == [(5, True), (5, True)]


def test_bucket_that_is_not_there_is_silent(bucket: str, tmp_path: Path) -> None:
    witness = open_witness("s3://nobody-has-this", tmp_path)
    with pytest.raises(WitnessSilent, match="NoSuchBucket"):
        witness.tell(checkpoint(1))
    with pytest.raises(WitnessSilent, match="NoSuchBucket"):
        seen(witness)


# Webhooks.


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.got.append((self.path, dict(self.headers), self.rfile.read(length)))  # type: ignore[attr-defined]
        if self.server.hold.wait(30):  # type: ignore[attr-defined]
            self.send_response(self.server.status)  # type: ignore[attr-defined]
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.daemon_threads = True
    server.got, server.status, server.hold = [], 204, threading.Event()  # type: ignore[attr-defined]
    server.hold.set()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.hold.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def url(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/log?from=here"


def test_webhook_is_sent_the_note_as_it_is(
    hook: http.server.ThreadingHTTPServer, tmp_path: Path
) -> None:
    made = checkpoint(64)
    witness = open_witness(url(hook), tmp_path)
    witness.tell(made)
    ((path, head, body),) = hook.got  # type: ignore[attr-defined]
    assert (path, body.decode()) == ("/log?from=here", made.text)
    assert head["Content-Type"] == "text/plain; charset=utf-8"
    assert witness.seen(ORIGIN) is None


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_webhook_that_does_not_take_it_is_silent_and_redirects_are_not_followed(
    hook: http.server.ThreadingHTTPServer, tmp_path: Path, status: int
) -> None:
    hook.status = status  # type: ignore[attr-defined]
    with pytest.raises(WitnessSilent, match=str(status)):
        open_witness(url(hook), tmp_path).tell(checkpoint(1))
    assert len(hook.got) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "http://127.0.0.1:port/", "https:///x"])
def test_webhook_that_cannot_be_reached_is_silent(tmp_path: Path, address: str) -> None:
    with pytest.raises(WitnessSilent) as caught:
        open_witness(address, tmp_path).tell(checkpoint(1))
    assert "127.0.0.1" not in str(caught.value)


def test_webhook_that_hangs_has_a_deadline(
    hook: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.1)
    hook.hold.clear()  # type: ignore[attr-defined]
    with pytest.raises(WitnessSilent, match=r"Timeout|timed out"):
        open_witness(url(hook), tmp_path).tell(checkpoint(1))


# Telling.


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_telling_tells_each_witness_once_and_remembers(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    home = tmp_path / ".instar"
    telling_ = Telling(home, ("one", "two"))
    telling_.tell(checkpoint(3))
    telling_.settle()
    assert telling_.told() == [Told("one", 3), Told("two", 3)]
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*.json")}
    again = Telling(home, ("one", "two"))
    again.tell(checkpoint(3))
    again.settle()
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*.json")} == before


def test_telling_tells_a_witness_that_was_down_later(tmp_path: Path) -> None:
    home = tmp_path / ".instar"
    telling_ = Telling(home, ("second",))
    telling_.tell(checkpoint(3))
    telling_.settle()
    assert telling_.told() == [Told("second", 0, "no such folder")]
    (tmp_path / "second").mkdir()
    telling_.tell(checkpoint(3))
    telling_.settle()
    assert telling_.told() == [Told("second", 3)]
    assert seen(open_witness("second", tmp_path)) == [Seen(3, b"r" * 32)]


def test_telling_waits_for_nobody_who_hangs(
    hook: http.server.ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PATIENCE_S", 0.2)
    hook.hold.clear()  # type: ignore[attr-defined]
    (tmp_path / "second").mkdir()
    telling_ = Telling(tmp_path / ".instar", (url(hook), "second"))
    for size in range(1, 6):
        telling_.tell(checkpoint(size))
    telling_.settle()
    telling_.settle()
    assert len(hook.got) == 1  # type: ignore[attr-defined]
    until(lambda: telling_.told()[1].size == 5)
    assert telling_.told()[0].size == 0
    hook.hold.set()  # type: ignore[attr-defined]
    until(lambda: telling_.told()[0].size == 5)
    assert len(hook.got) <= 2  # type: ignore[attr-defined] # the first may be the newest already


def test_telling_forgets_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    telling_ = Telling(tmp_path / ".instar", ("second",))
    telling_.tell(checkpoint(3))
    telling_.settle()
    (kept,) = (tmp_path / ".instar" / "witnesses").iterdir()
    kept.chmod(0o644)
    kept.write_text("{}")
    assert telling_.told() == [Told("second", 0)]
    with contextlib.suppress(WitnessSilent):
        telling_.tell(checkpoint(3))
    telling_.settle()
    assert telling_.told() == [Told("second", 3)]
