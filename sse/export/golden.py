"""golden.json: a few texts with their ids and vectors, by which any reader in any language checks itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sse.modeling import SSE

TEXTS = (
    "Which planet is known as the Red Planet?",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "",
    "   \t",
    "naïve café, coöperation, İstanbul",
    "C++11's std::vector<int> v{1,2,3}; // 3.14 != 2.71",
    "東京は日本の首都です。 Москва — столица России.",
    "pneumonoultramicroscopicsilicovolcanoconiosis [PAD] [UNK] 🙂",
    "the " * 300,
)


def golden(module: SSE) -> dict[str, Any]:
    """Run the golden texts through ``module``.

    Returns:
        ``items`` with ``text``, ``ids`` (after the token limit, if the model has one) and ``vector`` (before
        normalisation), and the absolute tolerance that a float32 reader must meet.
    """
    layout, module.batch_layout = module.batch_layout, "flat"
    features = module.preprocess(TEXTS)
    module.batch_layout = layout
    bounds = [*features["offsets"].tolist(), len(features["input_ids"])]
    vectors = module(dict(features))["sentence_embedding"].detach().tolist()
    ids = [features["input_ids"][start:end].tolist() for start, end in pairwise(bounds)]
    return {
        "format_version": 1,
        "tolerance": 1e-5,
        "items": [
            {"text": text, "ids": row, "vector": vector}
            for text, row, vector in zip(TEXTS, ids, vectors, strict=True)
        ],
    }
