"""Rows whose means come near a transformer's vectors of whole texts: a linear least squares.

A token alone through a transformer is a text of one word, which such models were not trained for. Here the row of a
token is what the vectors of the texts that hold it have in common, as model2vec's tokenlearn finds it by gradient
descent; being linear, it is solved, by conjugate gradients. Tokens of few texts stay near their own vector.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from tokenizers import Tokenizer

from sse.training.start.token_statistics import flatten

PENALTY, STEPS = 0.3, 20


def fit_rows(
    pooling: csr_matrix, vectors: np.ndarray, prior: np.ndarray, penalty: float = PENALTY, steps: int = STEPS
) -> np.ndarray:
    """Minimise ``|X E - V|^2 + penalty |E - g P|^2`` over the rows E; g is the best factor of P alone.

    Args:
        pooling: X, what each text gives each token (see ``pooling_weights``), float32 (texts, rows).
        vectors: V, of the texts, float32 (texts, width). They are centred first.
        prior: P, the tokens' own vectors, float32 (rows, width).
        penalty: How many texts of one token the prior weighs.
        steps: Of conjugate gradients, each column for itself.

    Returns:
        float32 (rows, width).
    """
    target = vectors - vectors.mean(axis=0)
    pooled = pooling @ prior
    factor = np.float32((pooled * target).sum() / max(1e-12, (pooled**2).sum()))
    transposed = pooling.T.tocsr()
    moved = np.zeros_like(prior)
    residual = transposed @ (target - factor * pooled)
    direction, size = residual.copy(), (residual**2).sum(axis=0)
    for _ in range(steps):
        image = transposed @ (pooling @ direction) + np.float32(penalty) * direction
        length = size / np.maximum((direction * image).sum(axis=0), 1e-30)
        moved += length * direction
        residual -= length * image
        before, size = size, (residual**2).sum(axis=0)
        direction = residual + size / np.maximum(before, 1e-30) * direction
    fitted: np.ndarray = (factor * prior + moved).astype(np.float32)
    return fitted


def pooling_weights(texts: list[str], tokenizer: Tokenizer, rows: int, count_exponent: float) -> csr_matrix:
    """Weights with which the model to train will average the rows of each text, float32 (texts, rows)."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    flat, text = flatten(ids)
    pairs, counts = np.unique(text * rows + flat, return_counts=True)
    weights, text = counts.astype(np.float64) ** count_exponent, pairs // rows
    sums = np.bincount(text, weights, minlength=len(texts))
    return csr_matrix(((weights / sums[text]).astype(np.float32), (text, pairs % rows)), (len(texts), rows))
