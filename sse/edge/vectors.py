"""What is done with finished vectors: smaller number types, and similarities."""

from __future__ import annotations

from typing import Any

import numpy as np

from sse.errors import InputError

PRECISIONS = ("float32", "int8", "binary", "ubinary")
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
Array = np.ndarray[Any, np.dtype[Any]]


def with_precision(vectors: Array, precision: str) -> Array:
    """Vectors as ``precision``; see ``Encoder.encode``.

    Raises:
        ValueError: An unknown precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if precision == "float32":
        return vectors
    if precision == "int8":
        largest = np.abs(vectors).max(axis=1, keepdims=True)
        return np.rint(vectors * (127 / np.where(largest > 0, largest, 1))).astype(np.int8)
    bits = np.packbits(vectors > 0, axis=1)
    return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)


def similarities(a: Any, b: Any, kind: str) -> Array:
    """Similarities (rows of a, rows of b), float32; distances are negative.

    Raises:
        ValueError: An unknown kind.
    """
    first, second = (np.atleast_2d(np.asarray(x, np.float32)) for x in (a, b))
    if kind not in SIMILARITIES:
        raise InputError(f"the model asks for the similarity {kind!r}, which is not known here")
    if kind == "euclidean":
        return np.stack([-np.linalg.norm(second - row, axis=1) for row in first])
    if kind == "manhattan":
        return np.stack([-np.abs(second - row).sum(1) for row in first])
    if kind == "cosine":
        first, second = (
            x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (first, second)
        )
    product: Array = first @ second.T
    return product
