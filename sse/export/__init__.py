"""Trained model in, published directory out. Names are imported when they are first used.

``push_to_hub`` needs the extra ``hub`` alone, the others ``train``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse.lazy import lazy

if TYPE_CHECKING:
    from sse.export.card import render_card
    from sse.export.hub import Push, push_to_hub
    from sse.export.package import Export, export
    from sse.export.quantize import QuantizedTable

__all__ = ["Export", "Push", "QuantizedTable", "export", "push_to_hub", "render_card"]

_HOMES = {
    "Export": "sse.export.package",
    "Push": "sse.export.hub",
    "QuantizedTable": "sse.export.quantize",
    "export": "sse.export.package",
    "push_to_hub": "sse.export.hub",
    "render_card": "sse.export.card",
}

__getattr__ = lazy(__name__, _HOMES, needs="torch", free=("Push", "push_to_hub"))
