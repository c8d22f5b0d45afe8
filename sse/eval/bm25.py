"""The BM25 baseline: Lucene's formula through bm25s, with Porter stems; metrics and tie rule as for models.

It is a fixed yardstick, not a search engine: the parameters are those of the published BEIR figures
(Anserini) and are written into every report.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from sse.errors import require
from sse.eval.ranking import DEPTH, best_columns
from sse.eval.task import Task

K1, B = 0.9, 0.4
# Runs of letters and digits. The underscore divides, so that the parts of an identifier can be found.
WORD = re.compile(r"[^\W_]+")
# Lucene's list for English, removed from queries and documents before stemming.
_STOP_WORDS = """
a an and are as at be but by for if in into is it no not of on or such that the their then there these they
this to was will with
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
PARAMETERS: dict[str, Any] = {
    "k1": K1,
    "b": B,
    "method": "lucene",
    "stemmer": "porter",
    "tokens": WORD.pattern,
    "stop_words": "lucene english",
}


class Words:
    """Lower-case words without stop words, stemmed; every distinct word is stemmed once.

    Raises:
        MissingExtraError: PyStemmer is not installed.
    """

    def __init__(self) -> None:
        self._stemmer = require("Stemmer", "eval").Stemmer("porter")
        self._stems: dict[str, str] = {}

    def __call__(self, text: str) -> list[str]:
        """Give the stems of ``text`` in order, repeated as often as they occur."""
        words = [word for word in WORD.findall(text.lower()) if word not in STOP_WORDS]
        for word in words:
            if word not in self._stems:
                self._stems[word] = self._stemmer.stemWord(word)
        return [self._stems[word] for word in words]


def rank_by_bm25(
    task: Task, *, depth: int = DEPTH, skip: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int64]:
    """Rank the documents of ``task`` for every query.

    A document that has no word of the query is not retrieved. A word that a query repeats counts as often.

    Args:
        task: Queries and documents.
        depth: How many documents to keep.
        skip: int64 (queries,), the document that a query must not retrieve, or -1.

    Returns:
        int64 (queries, min(depth, documents)), as ``best_columns`` gives it.

    Raises:
        MissingExtraError: bm25s or PyStemmer is not installed.
    """
    bm25s = require("bm25s", "eval")
    words = Words()
    vocabulary: dict[str, int] = {}
    documents = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in words(text)] for text in task.document_texts
    ]
    ranked = np.full((len(task.query_ids), min(depth, len(documents))), -1, dtype=np.int64)
    if not vocabulary:
        return ranked
    index = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
    index.index((documents, dict(vocabulary)), show_progress=False)
    for row, text in enumerate(task.query_texts):
        known = [vocabulary[word] for word in words(text) if word in vocabulary]
        if not known:
            continue
        scores = np.asarray(index.get_scores(known), dtype=np.float32)
        scores[scores <= 0] = -np.inf
        if skip is not None and skip[row] >= 0:
            scores[skip[row]] = -np.inf
        ranked[row] = best_columns(scores[None], depth)[0]
    return ranked
