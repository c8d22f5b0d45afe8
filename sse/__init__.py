"""Stable Static Embedding: train, measure, publish and run static embedding models for retrieval.

Public names are imported when they are first used: ``import sse`` loads neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sse.modeling import SSE, SeparableDyT

__version__ = "0.1.0"
__all__ = ["SSE", "SeparableDyT", "__version__"]

_HOME = {"SSE": "sse.modeling", "SeparableDyT": "sse.modeling"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sse' has no attribute {name!r}")
    from sse.errors import require

    require("torch", "train")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
