from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from instar.report.svg import tag


def images(picture: Mapping[str, Any]) -> Markup:
    """Show small images with a line under each; they travel inside the page."""
    return tag("div", *(_image(item) for item in picture["items"]), class_="images")


def _image(item: Mapping[str, Any]) -> Markup:
    encoded = str(item["png"])
    base64.b64decode(encoded, validate=True)
    caption = str(item["caption"])
    source = f"data:image/png;base64,{encoded}"
    return tag(
        "figure",
        Markup('<img src="{}" alt="{}">').format(source, caption),
        tag("figcaption", caption),
    )
