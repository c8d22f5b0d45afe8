"""Hard negatives: for each row, other rows' positives that look right by their words or vectors, and are not.

The table ``[negatives]`` of a recipe (``NegativesPart``) says how many, what ranks them and which are left out.
Rows are split at random into shards and a row looks only in its own, so the time grows with the rows, not with
their square. What was found is kept beside the cache of ``datasets``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer

from sse.errors import require
from sse.eval.bm25 import K1, B, Words
from sse.files import staged_file
from sse.modeling import load_model
from sse.training.data.cache import cached
from sse.training.data.same_text import column_digests, places
from sse.training.data.sources import LABELS, LoadedSource
from sse.training.recipe_parts import NegativesPart

FEWEST = 100
"""A source of fewer rows gets random negatives: there is little to look in."""
BLOCK = 256
"""Rows scored at once."""
SPARE = 16
"""Random texts tried at once beyond those needed."""
DIMS = 256

Scores: TypeAlias = Callable[[list[str]], np.ndarray]
"""Anchors to float32 (anchors, documents); minus infinity is a document that is not found."""
Index: TypeAlias = Callable[[list[str]], Scores]
"""Documents to what scores them."""


def add_negatives(loaded: list[LoadedSource], part: NegativesPart, seed: int) -> list[LoadedSource]:
    """Give every source negatives if the recipe asks for them.

    A candidate is never the row's own positive, nor equal to it or to the anchor (but for case and white space),
    nor the positive of a row with the same anchor or label. A row with too few good candidates gets random
    texts of its shard besides, so no row is lost. A source of fewer than 100 rows gets random ones only. Left
    as they are: a source with scores, and one in which some row can have none (all positives are one text).

    Args:
        loaded: The sources.
        part: What to look for.
        seed: Decides the shards and the random texts.

    Returns:
        The sources, with the columns ``anchor``, ``positive``, ``negative`` (``negative_1``, ``negative_2``, ...
        where ``part.count`` is above 1) and perhaps ``label``; rows and their order are as before.

    Raises:
        SseError: The model cannot be loaded.
        MissingExtraError: bm25s or PyStemmer is not installed.
    """
    if part.kind == "none":
        return loaded
    index: Index = _index_words
    weights = ""
    if part.model is not None:
        model = load_model(part.model)
        index, weights = partial(_index_vectors, model), _digest(model)
    return [_with_negatives(item, part, seed, index, weights) for item in loaded]


def find_negatives(rows: Dataset, part: NegativesPart, seed: int, index: Index) -> np.ndarray:
    """Find the negatives of every row.

    Args:
        rows: With the columns ``anchor``, ``positive`` and perhaps ``label``.
        part: What to look for.
        seed: Decides the shards and the random texts.
        index: What scores the documents of a shard.

    Returns:
        int32 (rows, count): numbers of rows whose positives are the negatives, best first, random ones last; -1
        where a row can have none.
    """
    rng = np.random.default_rng(seed)
    known = _Known(rows)
    found = np.full((len(rows), part.count), -1, np.int32)
    for shard in np.array_split(rng.permutation(len(rows)), -(-len(rows) // part.pool)):
        shard = np.sort(shard)
        documents = np.unique(known.document[shard])
        score = index(list(rows[documents]["positive"])) if len(rows) >= FEWEST else None
        for start in range(0, len(shard), BLOCK):
            block = shard[start : start + BLOCK]
            banned = known.banned(block, documents)
            scores = score(list(rows[block]["anchor"])) if score else None
            own = places(known.document[block], documents)
            chosen = _choose(scores, own, banned, part, rng)
            found[block] = np.where(chosen >= 0, documents[chosen], -1)
    return found


def _with_negatives(
    item: LoadedSource, part: NegativesPart, seed: int, index: Index, weights: str
) -> LoadedSource:
    there = item.rows.column_names
    labels = [name for name in there if name in LABELS]
    if not item.source.mine or "score" in labels or (part.keep_existing and len(there) > 2 + len(labels)):
        return item
    rows = item.rows.select_columns(["anchor", "positive", *labels])
    settings = part.model_dump(exclude={"model", "keep_existing"})
    kept = cached("negatives", ".npy", item.rows._fingerprint, settings, weights, seed)
    if kept.is_file():
        found = np.load(kept)
    else:
        found = find_negatives(rows, part, seed, index)
        with staged_file(kept) as staged:
            np.save(staged, found)
    if found.min(initial=0) < 0:
        return item
    names = ["negative"] if part.count == 1 else [f"negative_{k}" for k in range(1, part.count + 1)]
    positives = rows.select_columns("positive")

    def negatives(_: dict[str, list[Any]], numbers: list[int]) -> dict[str, list[str]]:
        texts = np.asarray(positives[found[numbers].ravel()]["positive"], dtype=object)
        return dict(zip(names, texts.reshape(-1, part.count).T.tolist(), strict=True))

    # The name of the kept file says all that went in, so the rows need not be hashed.
    fingerprint = kept.stem.removeprefix("negatives-")
    rows = rows.map(negatives, with_indices=True, batched=True, new_fingerprint=fingerprint)
    return replace(item, rows=rows.select_columns(["anchor", "positive", *names, *labels]))


class _Known:
    """The distinct positives of a source, each named by the first row that has it, and who must not get which."""

    def __init__(self, rows: Dataset) -> None:
        positives = column_digests(rows, "positive", _normalise)
        distinct, first, place = np.unique(positives, return_index=True, return_inverse=True)
        self.document = first[place]
        """The document of each row, int64 (rows,)."""
        anchors = column_digests(rows, "anchor", _normalise)
        where = places(anchors, distinct)
        self._anchor = np.where(where >= 0, first[where], -1)
        columns = [anchors]
        if "label" in rows.column_names:
            columns.append(np.asarray(list(rows["label"])))
        self._groups = [_Groups(column) for column in columns]

    def banned(self, block: np.ndarray, documents: np.ndarray) -> np.ndarray:
        """Which documents each row of ``block`` must not get, bool (rows, documents)."""
        banned = np.zeros((len(block), len(documents)), np.bool_)
        for number, row in enumerate(block):
            rows = np.concatenate([group.like(row) for group in self._groups])
            columns = places(np.append(self.document[rows], self._anchor[row]), documents)
            banned[number, columns[columns >= 0]] = True
        return banned


class _Groups:
    """Finds the rows with the same value."""

    def __init__(self, values: np.ndarray) -> None:
        _, self._group, counts = np.unique(values, return_inverse=True, return_counts=True)
        self._order = np.argsort(self._group, kind="stable")
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def like(self, row: int) -> np.ndarray:
        group = self._group[row]
        return self._order[self._starts[group] : self._starts[group + 1]]


def _choose(
    scores: np.ndarray | None,
    own: np.ndarray,
    banned: np.ndarray,
    part: NegativesPart,
    rng: np.random.Generator,
) -> np.ndarray:
    """Columns of the negatives, int64 (rows, count): good candidates, then random ones; -1 where there is none.

    A text that was looked at and refused does not come back as a random one, unless there is nothing else.
    """
    lines = np.arange(len(banned))[:, None]
    seen = rng.integers(0, banned.shape[1], (len(banned), part.count + SPARE))
    good = ~banned[lines, seen]
    if scores is not None:
        limit = part.keep_below * scores[lines, own[:, None]]
        scores[banned] = -np.inf
        top = torch.from_numpy(scores).topk(min(part.depth, scores.shape[1]), dim=1)
        values, best = top.values.numpy(), top.indices.numpy()
        fits = np.isfinite(values) & (values < limit)
        fits[:, : part.skip] = False
        seen = np.concatenate([np.where(np.isfinite(values), best, -1), seen], axis=1)
        good = np.concatenate([fits, good], axis=1)
    repeated = np.tril(seen[:, :, None] == seen[:, None, :], -1).any(axis=2)
    good &= ~repeated
    first = np.argsort(~good, axis=1, kind="stable")[:, : part.count]
    chosen = np.where(good[lines, first], seen[lines, first], -1)
    for line in np.flatnonzero((chosen < 0).any(axis=1)):
        kept = chosen[line][chosen[line] >= 0]
        rest = rng.permutation(np.setdiff1d(np.flatnonzero(~banned[line]), kept))
        rest = rest[np.argsort(np.isin(rest, seen[line]), kind="stable")]  # what was refused comes last
        texts = np.concatenate([kept, rest])
        if len(texts):
            chosen[line] = np.resize(texts, part.count)  # fewer than wanted are repeated
    return chosen


def _index_words(documents: list[str]) -> Scores:
    """BM25 as in ``sse eval``; all documents of a block of anchors at once, by a product of sparse matrices."""
    bm25s, sparse = require("bm25s", "train"), require("scipy.sparse", "train")
    words = Words()
    vocabulary: dict[str, int] = {}
    numbers = [[vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in documents]
    if not vocabulary:
        return lambda anchors: np.full((len(anchors), len(documents)), -np.inf, np.float32)
    index = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
    index.index((numbers, dict(vocabulary)), show_progress=False)
    parts: dict[str, Any] = index.scores
    by_word = sparse.csr_matrix(
        (parts["data"], parts["indices"], parts["indptr"]), shape=(len(parts["indptr"]) - 1, len(documents))
    )

    def score(anchors: list[str]) -> np.ndarray:
        found = [[vocabulary[word] for word in words(text) if word in vocabulary] for text in anchors]
        flat = np.fromiter((word for text in found for word in text), np.int32)
        starts = np.concatenate([[0], np.cumsum([len(text) for text in found])])
        queries = sparse.csr_matrix(
            (np.ones(len(flat), np.float32), flat, starts), shape=(len(anchors), by_word.shape[0])
        )
        scores: np.ndarray = (queries @ by_word).toarray()
        scores[scores <= 0] = -np.inf
        return scores

    return score


def _index_vectors(model: SentenceTransformer, documents: list[str]) -> Scores:
    """Cosines of a model's vectors, of their first 256 columns where they are wider."""
    how: dict[str, Any] = {"batch_size": 1024, "truncate_dim": DIMS, "normalize_embeddings": True}
    vectors = np.asarray(model.encode_document(documents, show_progress_bar=False, **how), np.float32)

    def score(anchors: list[str]) -> np.ndarray:
        queries = model.encode_query(anchors, show_progress_bar=False, **how)
        scores: np.ndarray = np.asarray(queries, np.float32) @ vectors.T
        return scores

    return score


def _digest(model: SentenceTransformer) -> str:
    """What tells one model from another, wherever it lies: its weights."""
    digest = blake2b(digest_size=16)
    for name, tensor in model.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _normalise(text: str) -> str:
    return " ".join(text.casefold().split())
