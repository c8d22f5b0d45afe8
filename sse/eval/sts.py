"""Sentence similarity: do cosines order pairs as people do? Spearman's correlation, as in MTEB's STS tasks."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

from sse.errors import SseError

COLUMNS = ("score", "sentence1", "sentence2")


def read_scored_pairs(path: str | Path) -> tuple[list[str], list[str], list[float]]:
    """Read a TSV file with the columns score, sentence1 and sentence2.

    Raises:
        SseError: There is no such file, or a row is not as said.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError) as error:
        raise SseError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    pairs: list[tuple[str, str, float]] = []
    for number, row in enumerate(rows, 1):
        try:
            pairs.append((str(row["sentence1"]), str(row["sentence2"]), float(row["score"])))
        except (KeyError, TypeError, ValueError):
            raise SseError(f"{path}: row {number} has not the columns {', '.join(COLUMNS)}") from None
    if not pairs:
        raise SseError(f"{path}: there are no pairs")
    one, other, scores = zip(*pairs, strict=True)
    return list(one), list(other), list(scores)


def spearman(model: SentenceTransformer, path: str | Path, dims: Sequence[int]) -> dict[int, float]:
    """Spearman's correlation of cosines and scores at every dim, -1 to 1.

    Args:
        model: Any model; its vectors are cut.
        path: See ``read_scored_pairs``.
        dims: Leading dims.

    Raises:
        SseError: As ``read_scored_pairs``.
    """
    one, other, scores = read_scored_pairs(path)
    a, b = (np.asarray(model.encode(texts, batch_size=1024), np.float64) for texts in (one, other))
    found = {}
    for dim in dims:
        x, y = a[:, :dim], b[:, :dim]
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        found[dim] = float(spearmanr((x * y).sum(axis=1) / np.maximum(norms, 1e-12), scores).statistic)
    return found
