"""How often each token occurs in a recipe's text: for starting norms, lexical scores and bag-of-words targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from tokenizers import Tokenizer

BATCH = 4096
SIF_A = 1e-3


@dataclass(frozen=True)
class TokenStatistics:
    """Counts over a sample of texts."""

    texts: int
    mean_length: float
    """Tokens in a text."""
    document_frequency: np.ndarray
    """Texts that hold the token, int64 (vocabulary,)."""
    count: np.ndarray
    """Occurrences, int64 (vocabulary,)."""

    def idf(self) -> np.ndarray:
        """BM25's inverse document frequency, ``log(1 + (N - df + 0.5) / (df + 0.5))``, float32 (vocabulary,)."""
        df = self.document_frequency
        idf: np.ndarray = np.log1p((self.texts - df + 0.5) / (df + 0.5)).astype(np.float32)
        return idf

    def sif(self) -> np.ndarray:
        """``a / (a + p)`` with the share p of the token among all (SIF, Arora et al. 2017), float32 (vocabulary,)."""
        share = self.count / max(1, self.count.sum())
        sif: np.ndarray = (SIF_A / (SIF_A + share)).astype(np.float32)
        return sif

    def log_rank(self) -> np.ndarray:
        """``log(1 + rank)``, rank 1 for the most frequent token, float32 (vocabulary,); ties by id."""
        rank = np.empty(len(self.count), np.float64)
        rank[np.argsort(-self.count, kind="stable")] = np.arange(1, len(self.count) + 1)
        logs: np.ndarray = np.log1p(rank).astype(np.float32)
        return logs


def count_tokens(texts: Iterable[str], tokenizer: Tokenizer, rows: int) -> TokenStatistics:
    """Count the tokens of texts.

    Args:
        texts: The texts.
        tokenizer: Gives the ids.
        rows: Rows of the table, above the largest id.
    """
    count, frequency = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    seen, source = 0, iter(texts)
    while batch := list(islice(source, BATCH)):
        ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
        flat, text = flatten(ids)
        count += np.bincount(flat, minlength=rows)
        frequency += np.bincount(np.unique(text * rows + flat) % rows, minlength=rows)
        seen += len(batch)
    return TokenStatistics(seen, count.sum() / max(1, seen), frequency, count)


def flatten(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """All ids behind each other, and the number of the text of each; int64 (tokens,) both."""
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    flat = np.fromiter((token for text in ids for token in text), np.int64, int(lengths.sum()))
    return flat, np.repeat(np.arange(len(ids)), lengths)
