"""Search the lines or records of one file with a model: enough to try a model out, not a search engine.

For a collection that is searched often, keep the vectors in a vector store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sse.errors import SseError


@dataclass(frozen=True)
class Hit:
    """One line or record that was found."""

    score: float
    """Cosine similarity with the query."""
    number: int
    """Line or record in the file, from 1."""
    text: str


def search(model: Any, texts: Sequence[str], query: str, k: int = 10, dim: int | None = None) -> list[Hit]:
    """Find the ``k`` texts nearest to ``query``, best first; blank texts are left out.

    Args:
        model: Anything with ``encode_query`` and ``encode_document`` as in sentence-transformers.
        texts: What is searched.
        query: What is looked for.
        k: How many at most.
        dim: Use only the first ``dim`` dimensions.

    Raises:
        SseError: A blank query, or a ``dim`` that the model does not have.
    """
    if not query.strip():
        raise SseError("the query is blank")
    numbers = [number for number, text in enumerate(texts) if text.strip()]
    if not numbers:
        return []
    options: dict[str, Any] = {"normalize_embeddings": True, "truncate_dim": dim, "show_progress_bar": False}
    wanted = np.asarray(model.encode_query([query], **options))[0]
    if dim is not None and len(wanted) != dim:
        raise SseError(f"the model has {len(wanted)} dimensions, not {dim}")
    vectors = np.asarray(
        model.encode_document([texts[number] for number in numbers], batch_size=1024, **options)
    )
    scores = vectors @ wanted
    best = np.argsort(-scores, kind="stable")[:k]
    return [Hit(float(scores[i]), numbers[i] + 1, texts[numbers[i]]) for i in best]
