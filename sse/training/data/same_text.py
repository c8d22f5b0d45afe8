"""Equal texts are found by their digests: eight bytes a text, however long it is and however many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

import numpy as np
from datasets import Dataset

BATCH = 10_000


def digests(texts: Iterable[str]) -> np.ndarray:
    """Digest of each text, uint64 (texts,)."""
    parts = (blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(parts), np.uint64)


def column_digests(rows: Dataset, column: str, normalise: Callable[[str], str]) -> np.ndarray:
    """Digest of each text of a column after ``normalise``, uint64 (rows,); only one batch is in memory."""
    texts = rows.select_columns(column)
    starts = range(0, len(texts), BATCH)
    batches = [digests(map(normalise, texts[start : start + BATCH][column])) for start in starts]
    return np.concatenate(batches) if batches else np.empty(0, np.uint64)


def places(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where each value stands in ``known``, which is sorted, or -1; int64, the shape of ``values``."""
    if not len(known):
        return np.full(values.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[place] == values, place, -1)
