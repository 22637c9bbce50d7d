from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import s3


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.Server]:
    with s3.server() as found:
        yield found
