"""Stable Static Embedding: train, measure, publish and run static embedding models for retrieval.

Public names are imported when they are first used: ``import sse`` loads neither torch nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sse.lazy import lazy

if TYPE_CHECKING:
    from sse.edge import Encoder
    from sse.modeling import SSE, SeparableDyT

__version__ = "0.1.0"
__all__ = ["SSE", "Encoder", "SeparableDyT", "__version__"]

__getattr__ = lazy(
    __name__,
    {"SSE": "sse.modeling", "SeparableDyT": "sse.modeling", "Encoder": "sse.edge"},
    needs="torch",
    free=("Encoder",),
)
