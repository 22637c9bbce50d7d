"""The bundle at work: what the gates judge and what the gateway serves, one and the same."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from instar.bundle import format as files
from instar.bundle import session, trust
from instar.bundle.columns import Columns, Feed, Piece, Reader, describe, endless, packed, shape
from instar.bundle.errors import PredictionFailed
from instar.core.tools import Artifacts

CHUNK = 4096  # rows a run: bounds memory, and is past the point where larger ones are faster


CELLS = 1 << 24  # scores a run, where each pixel is answered: 64 MB


class ServedBundle:
    """Answer raw columns with scores, from a sealed bundle that was verified on opening."""

    def __init__(self, version: str, contents: files.Contents, graph: bytes, threads: int) -> None:
        self.version = version
        self.task = contents.task
        self.preprocessing = contents.preprocessing
        self.schema = contents.schema
        self.precision = contents.precision
        self.inputs = describe(contents.preprocessing)
        self.packed = packed(contents.preprocessing)
        self._reader = Reader(contents.preprocessing)
        self._session = session.start(graph, threads)
        image = contents.preprocessing.image if contents.task.dense else None
        self._cells = image.height * image.width * len(contents.outputs) if image else 0

    @classmethod
    def open(
        cls,
        artifacts: Artifacts,
        manifest: str,
        threads: int = 1,
        *,
        signature: str | None = None,
        keys: Sequence[bytes] = (),
    ) -> ServedBundle:
        """Open a bundle by the digest of its manifest; every file is verified first.

        Args:
            signature: The digest of its signature, which is verified before the graph is loaded.
            keys: The trusted public keys. Without signature and keys, nothing is asked.
        Raises:
            IntegrityError: a file is not what the manifest says, or not what a trusted key signed.
            RefusedGraph: the graph does not load, or has a fixed batch.
        """
        sealed, contents, graph = files.read(artifacts, manifest)
        trust.check(artifacts, manifest, sealed, signature, keys)
        return cls(sealed.version, contents, graph, threads)

    def predict(self, columns: Columns) -> NDArray[np.float32]:
        """Score rows given as columns of equal length.

        Args:
            columns: Values by column name: numbers, texts, or images of shape (n, h, w) or
                (n, h, w, c). Absent numbers and texts, None and NaN count as missing; columns
                that the model does not read are ignored.
        Returns:
            Scores, shape (n, k): probabilities in the order of the task's classes, or for a
            regression the one value; of pixels, shape (n, k, h, w).
        Raises:
            InputError: the columns do not fit.
            PredictionFailed: the graph failed on them.
        """
        feed = self._reader(columns)
        rows = len(next(iter(feed.values())))
        size = max(1, min(CHUNK, CELLS // self._cells)) if self._cells else CHUNK
        if rows <= size:
            return self._run(feed)
        starts = range(0, rows, size)
        parts = [self._run({k: v[at : at + size] for k, v in feed.items()}) for at in starts]
        return np.concatenate(parts)

    def piece(self, columns: Columns) -> Piece:
        """Check the rows of one request, to be answered together with those of others.

        Raises:
            InputError: the columns do not fit.
        """
        return self._reader.piece(columns)

    def together(self, pieces: Sequence[Piece]) -> NDArray[np.float32] | None:
        """Score the rows of several requests in one run.

        Returns:
            Scores of all rows in the order given; None where anything is wrong with any of them:
            asked one by one, each gets its own answer.
        """
        try:
            feed = self._reader.join(pieces)
            if endless(feed):
                return None
            return cast("NDArray[np.float32]", self._session.run(["scores"], feed)[0])
        except (TypeError, ValueError):
            return None
        except session.Failures:
            return None

    def warm(self, n: int = 3) -> float:
        """Answer `n` made-up rows, so that the first real one finds everything allocated.

        Returns:
            The seconds of the quickest, which is what a row costs.
        """
        columns: dict[str, Any] = {name: [None] for name in self.preprocessing.columns}
        if image := self.preprocessing.image:
            columns[image.name] = np.zeros((1, *shape(image)), np.uint8)
        seconds = []
        for _ in range(n):
            began = time.perf_counter()
            self.predict(columns)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    def _run(self, feed: Feed) -> NDArray[np.float32]:
        try:
            return cast("NDArray[np.float32]", self._session.run(["scores"], feed)[0])
        except session.Failures as error:
            raise PredictionFailed(self.version) from error
