from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from instar.ledger import keys
from instar.ledger.files import UnsafeFile
from instar.ledger.trust import trusted


def test_workspace_without_keys_trusts_nobody(tmp_path: Path) -> None:
    assert trusted(tmp_path) == ()
    assert keys.bundle_signer(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_own_key_and_the_folder_are_trusted(tmp_path: Path) -> None:
    signer = keys.BundleSigner(tmp_path)
    signer.sign(b"x")
    (tmp_path / "keys" / "trusted").mkdir()
    (tmp_path / "keys" / "trusted" / "b.pub").write_bytes(b"B")
    (tmp_path / "keys" / "trusted" / "a.pub").write_bytes(b"A")
    (tmp_path / "keys" / "trusted" / "c.pem").write_bytes(b"no .pub")
    assert trusted(tmp_path) == (signer.public, b"A", b"B") == signer.trusted


def test_link_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    keys.BundleSigner(tmp_path).sign(b"x")
    (tmp_path / "keys" / "bundle.pub").rename(tmp_path / "elsewhere")
    (tmp_path / "keys" / "bundle.pub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile):
        trusted(tmp_path)


def test_key_is_not_made_beside_keys_that_are_trusted(tmp_path: Path) -> None:
    keys.BundleSigner(tmp_path).sign(b"x")
    (tmp_path / "keys" / "bundle.pem").unlink()
    signer = keys.bundle_signer(tmp_path)
    assert signer is not None
    with pytest.raises(keys.NoPrivateKey):
        signer.sign(b"x")
    assert not (tmp_path / "keys" / "bundle.pem").exists()


def test_looking_loads_no_cryptography() -> None:
    code = "import sys, instar.ledger.trust; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
