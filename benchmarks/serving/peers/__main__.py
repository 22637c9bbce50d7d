"""Make the environments of all packaged peers."""

from __future__ import annotations

from benchmarks.serving.peers import PACKAGED, install

for peer in PACKAGED.values():
    print(f"{peer.name}: {install(peer) or f'ready in {peer.folder}'}", flush=True)
