import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def png():
    """Encode a grey or coloured image of one shade."""

    def encode(shade=0, size=(4, 6), mode="L"):
        buffer = io.BytesIO()
        shape = size if mode == "L" else (*size, len(mode))
        Image.fromarray(np.full(shape, shade, np.uint8), mode=None).save(buffer, "PNG")
        return buffer.getvalue()

    return encode
