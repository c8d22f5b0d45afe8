"""Ranked lists from scores or vectors, in one total order: higher score first, then lower column.

Callers put documents in ascending order of their id strings, so a tie goes to the smaller id, as in
sentence-transformers (6.2). All arithmetic is float32 numpy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DEPTH = 100
"""Length of a ranked list; the deepest metric is map@100."""

_MINUS_INFINITY = int(np.float32(-np.inf).view(np.int32)) ^ 0x7FFFFFFF
_BYTES_A_SCORE = 40  # the score, its ordered bits, its key and the copies that partitioning makes


def normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scale every row of (n, d) to length 1; a zero row stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def best_columns(scores: npt.NDArray[np.float32], depth: int = DEPTH) -> npt.NDArray[np.int64]:
    """Rank the columns of every row.

    Args:
        scores: float32 (rows, n) without NaN; a column that scores minus infinity is not retrieved.
        depth: How many columns to keep.

    Returns:
        int64 (rows, min(depth, n)): columns, best first, with -1 after the last that is retrieved.

    Example:
        >>> best_columns(np.array([[0.5, 0.9, 0.5, -np.inf]], dtype=np.float32))
        array([[ 1,  0,  2, -1]])
    """
    columns = scores.shape[1]
    depth = min(depth, columns)
    bits = (scores + np.float32(0)).view(np.int32)  # adding 0 turns -0.0 into 0.0, which it ties with
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(
        np.int64
    )  # same order as the floats
    keys = (ordered << 32) | np.arange(columns - 1, -1, -1)  # no two alike, so any selection gives one answer
    if depth < columns:
        keys = np.partition(keys, columns - depth, axis=1)[:, columns - depth :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    return np.where(keys >> 32 == _MINUS_INFINITY, -1, columns - 1 - (keys & 0xFFFFFFFF))


def rank_by_cosine(
    queries: npt.NDArray[np.float32],
    documents: npt.NDArray[np.float32],
    *,
    depth: int = DEPTH,
    skip: npt.NDArray[np.int64] | None = None,
    budget: int = 1 << 28,
) -> npt.NDArray[np.int64]:
    """Rank documents for every query by cosine similarity.

    Args:
        queries: float32 (q, d), of any length.
        documents: float32 (n, d), in ascending order of id.
        depth: How many documents to keep.
        skip: int64 (q,), the document that a query must not retrieve, or -1.
        budget: Bytes for scores. Queries are taken in chunks that fit, one at a time at least, so the scores
            never need more than the documents themselves.

    Returns:
        int64 (q, min(depth, n)), as ``best_columns`` gives it.
    """
    queries, documents = normalised(queries), normalised(documents)
    # A matrix product may round one and the same dot product differently in different columns. So equal
    # documents are multiplied once, and tie exactly, however the work is cut.
    first, place = _distinct_rows(documents)
    documents = documents[first] if len(first) < len(documents) else documents
    rows = max(1, budget // (_BYTES_A_SCORE * len(place)))
    ranked = np.empty((len(queries), min(depth, len(place))), dtype=np.int64)
    for start in range(0, len(queries), rows):
        chunk = slice(start, start + rows)
        scores = queries[chunk] @ documents.T
        if len(first) < len(place):
            scores = scores[:, place]
        if skip is not None:
            hidden = np.flatnonzero(skip[chunk] >= 0)
            scores[hidden, skip[chunk][hidden]] = -np.inf
        ranked[chunk] = best_columns(scores, depth)
    return ranked


def _distinct_rows(vectors: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give (first, place): ``vectors[first]`` has no row twice, ``vectors[first][place]`` is ``vectors``."""
    whole = np.ascontiguousarray(vectors + np.float32(0))
    rows = whole.view(np.dtype((np.void, whole.shape[1] * whole.itemsize))).ravel()
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    if len(first) == len(vectors):
        everything = np.arange(len(vectors))
        return everything, everything
    return first, place.ravel()
