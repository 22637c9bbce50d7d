"""A real S3 server (moto) in a process of its own, and a shim before it that breaks things.

    python -m tests.servers.s3

says where it listens, on loopback, and ends when its standard input does: when the tests that
started it are over, however they end.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

BUCKET = "models"
KEYS = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Server:
    """A running server; `client` is boto3's own, past the code under test."""

    endpoint: str
    process: subprocess.Popen[str]
    client: Any

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.process.communicate(timeout=10)  # closes its standard input


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """Start a server with one empty bucket; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.servers.s3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **KEYS},
        text=True,
    )
    assert process.stdout
    endpoint = process.stdout.readline().strip()
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )
    client.create_bucket(Bucket=BUCKET)
    found = Server(endpoint, process, client)
    try:
        yield found
    finally:
        client.close()
        if process.poll() is None:
            found.stop()


def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let boto3 find credentials in the environment, and look nowhere else."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@dataclass
class Call:
    """One request at the shim, and what may be done to it before or after the server sees it."""

    number: int
    method: str
    path: str
    headers: Any
    body: bytes
    shim: Shim

    def forward(self, body: bytes | None = None) -> Answer:
        """Have the server do it, with another body if one is given."""
        place = urlsplit(self.shim.endpoint)
        line = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        sent = self.body if body is None else body
        dropped = ("content-length", "expect", "connection", "accept-encoding")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
        try:
            line.request(self.method, self.path, sent, headers)
            answer = line.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            line.close()

    @property
    def sends(self) -> bool:
        """Whether this is what stores an object: a PUT that is no part, or a completion."""
        if self.method == "PUT":
            return "partNumber" not in self.path and "x-amz-copy-source" not in self.headers
        return self.method == "POST" and "uploadId=" in self.path


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    length: int | None = None  # what is announced, where that is not what is sent


def refusal(status: int, code: str) -> Answer:
    """Answer as S3 does when it refuses."""
    text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return Answer(status, [("Content-Type", "application/xml")], text.encode())


Fault = Callable[[Call], Answer | None]


class Shim:
    """Stand before the server. `fault` answers a call; None cuts the line without an answer."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.calls: list[tuple[str, str]] = []
        self.fault: Fault = Call.forward
        self.lock = threading.Lock()
        self.url = ""

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]


@contextlib.contextmanager
def shim(endpoint: str) -> Iterator[Shim]:
    """Start a shim before a server; it ends with the block."""
    made = Shim(endpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def turn(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with made.lock:
                made.calls.append((self.command, self.path))
                number = len(made.calls)
            call = Call(number, self.command, self.path, self.headers, body, made)
            answer = made.fault(call)
            self.close_connection = True
            if answer is None:
                return
            self.send_response_only(answer.status)
            dropped = ("content-length", "connection", "transfer-encoding")
            length = len(answer.body) if answer.length is None else answer.length
            for name, value in answer.headers:
                if name.lower() not in dropped:
                    self.send_header(name, value)
                elif self.command == "HEAD" and name.lower() == "content-length":
                    length = int(value)
            self.send_header("Content-Length", str(length))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):
                    self.wfile.write(answer.body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = turn  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    made.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield made
    finally:
        listener.shutdown()
        listener.server_close()


def main() -> None:
    from moto.server import ThreadedMotoServer

    logging.disable(logging.CRITICAL)
    served = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    served.stop()


if __name__ == "__main__":
    main()
