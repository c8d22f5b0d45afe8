"""Batches of neighbours: rows about the same thing are each other's hard negatives, at no cost.

Documents are grouped by k-means over the vectors that the table gives them before the training; a batch is made of
whole groups (as in TAS-B, arXiv 2104.06967, and Arctic-Embed, arXiv 2405.05374, which group queries and sources).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sklearn.cluster import MiniBatchKMeans

from sse.training.data.sources import LoadedSource

try:  # sentence-transformers >= 5.4
    from sentence_transformers.base.sampler import DefaultBatchSampler
except ImportError:  # sentence-transformers 5.2 and 5.3
    from sentence_transformers.sampler import DefaultBatchSampler

DIMS = 64


def group_rows(
    loaded: list[LoadedSource], model: SentenceTransformer, size: int, seed: int
) -> dict[str, np.ndarray]:
    """Group the rows of each source by the vectors of their positives.

    Args:
        loaded: The sources.
        model: Gives the vectors; their first 64 columns are used.
        size: Rows in a group, on average. A source of fewer than two groups is one group.
        seed: Of the k-means.

    Returns:
        For each source's name the group of each row, int64 (rows,).
    """
    groups = {}
    for item in loaded:
        count = len(item.rows) // size
        if count < 2:
            groups[item.source.name] = np.zeros(len(item.rows), np.int64)
            continue
        vectors = model.encode(
            item.rows["positive"], batch_size=1024, truncate_dim=DIMS, normalize_embeddings=True
        )
        means = MiniBatchKMeans(count, batch_size=8192, n_init=1, max_iter=20, random_state=seed)
        groups[item.source.name] = means.fit_predict(vectors).astype(np.int64)
    return groups


class GroupedBatchSampler(DefaultBatchSampler):
    """Batches filled with whole groups, groups and rows in a new random order each epoch; no row comes twice.

    Args:
        dataset: As for its base class.
        groups: The group of each row.
        **kwargs: As for its base class.
    """

    def __init__(self, dataset: Any, groups: np.ndarray, **kwargs: Any) -> None:
        super().__init__(dataset, **kwargs)
        self.groups = groups

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the row numbers of one batch after the other."""
        if self.generator and self.seed is not None:
            self.generator.manual_seed(self.seed + self.epoch)
        mixed = torch.randperm(len(self.groups), generator=self.generator).numpy()
        turns = torch.randperm(int(self.groups.max(initial=0)) + 1, generator=self.generator).numpy()
        order = mixed[np.argsort(turns[self.groups[mixed]], kind="stable")]
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.drop_last and batches and len(batches[-1]) < self.batch_size:
            batches.pop()
        for number in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[number].tolist()

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.groups), self.batch_size)
        return int(full + bool(rest and not self.drop_last))
