"""Texts as bags: the different ids of each, ascending, and their weights. Fewer rows are read for the same mean."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FEW = 8  # texts; fewer are counted in Python


class Bags(NamedTuple):
    """The bags of some texts, one after the other."""

    ids: Array
    """int64 (n,), ascending within a text."""
    weights: Array
    """float32 (n,): how often the text has the id, to the power of ``count_exponent``."""
    totals: Array
    """float32 (texts,): what to divide by, the sum of the text's weights; 1 where it has none."""
    bounds: list[int]
    """Where each text begins, and the end: texts + 1 numbers."""


class BagMaker:
    """Makes the bags for one model."""

    def __init__(self, rows: int, count_exponent: float) -> None:
        self.rows, self.exponent = rows, count_exponent

    def of_lists(self, texts: Sequence[Sequence[int]]) -> Bags:
        """Bags of texts given by their ids; for few texts the calls of numpy would take most of the time."""
        if len(texts) >= FEW:
            offsets = np.cumsum([0, *map(len, texts)])
            return self.of_batch(np.fromiter(chain.from_iterable(texts), np.int64, offsets[-1]), offsets, 0)
        ids, weights, totals, bounds = list[int](), list[float](), list[float](), [0]
        for text in texts:
            counts: dict[int, int] = {}
            for token in text:
                counts[token] = counts.get(token, 0) + 1
            different = sorted(counts)
            own = [counts[token] ** self.exponent for token in different]
            ids += different
            weights += own
            totals.append(sum(own) or 1)
            bounds.append(len(ids))
        return Bags(
            np.array(ids, np.int64), np.array(weights, np.float32), np.array(totals, np.float32), bounds
        )

    def of_batch(self, flat: Array, offsets: Array, limit: int) -> Bags:
        """Bags of many texts at once, by one sort.

        Args:
            flat: int64 (tokens,), the ids of all texts.
            offsets: int64 (texts + 1,), where each text begins, and the end.
            limit: Use the first so many tokens of a text; 0 means all of them.
        """
        lengths = np.diff(offsets)
        if limit:
            flat = flat[np.arange(len(flat)) - np.repeat(offsets[:-1], lengths) < limit]
            lengths = np.minimum(lengths, limit)
        starts = np.arange(len(offsets)) * self.rows  # each text's ids become numbers of its own
        narrow = np.int32 if starts[-1] < 1 << 31 else np.int64  # which sorts twice as fast
        cells, counts = np.unique((np.repeat(starts[:-1], lengths) + flat).astype(narrow), return_counts=True)
        bounds = np.searchsorted(cells, starts.astype(narrow))
        lengths = np.diff(bounds)
        weights = counts**self.exponent
        totals = np.bincount(np.repeat(np.arange(len(lengths)), lengths), weights, len(lengths))
        ids = cells - np.repeat(starts[:-1], lengths)
        totals = np.maximum(totals, 1).astype(np.float32)
        return Bags(ids, weights.astype(np.float32), totals, bounds.tolist())
