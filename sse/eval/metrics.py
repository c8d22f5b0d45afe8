"""Retrieval metrics for every query, from ranked lists of up to 100 documents.

The definitions are those of sentence-transformers' InformationRetrievalEvaluator: a document counts when its
grade is above 0, and map@100 divides by min(100, relevant documents). nDCG alone can use the grades, as
trec_eval and the published BEIR and MTEB figures do; with grades of 0 and 1 both are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

CUTS = (1, 3, 5, 10)
METRICS = (
    *(f"accuracy@{k}" for k in CUTS),
    *(f"precision@{k}" for k in CUTS),
    *(f"recall@{k}" for k in CUTS),
    "ndcg@10",
    "mrr@10",
    "map@100",
)
"""Names of all metrics, in the order of reports. All lie in 0..1."""


def per_query_metrics(
    gains: npt.NDArray[np.float64], grades: Sequence[Collection[float]], *, graded: bool = True
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute all ``METRICS`` for every query.

    Args:
        gains: float (queries, depth): the grade of the document at each rank, best rank first; 0 for one that
            is not relevant and where the list has ended.
        grades: For every query the grades of all its relevant documents, found or not; all above 0.
        graded: nDCG from the grades: gain = grade (linear, not 2^grade - 1), ideal = the largest grades first
            (trec_eval's ndcg_cut). False: every relevant document counts 1, as in sentence-transformers.

    Returns:
        float64 (queries,) by name of metric.

    Example:
        >>> per_query_metrics(np.array([[0.0, 1.0]]), [[1.0]])["mrr@10"]
        array([0.5])
    """
    depth = max(100, gains.shape[1])
    gains = np.pad(gains, ((0, 0), (0, depth - gains.shape[1])))
    hits = (gains > 0).astype(np.float64)
    found = np.cumsum(hits, axis=1)
    relevant = np.array([len(some) for some in grades], dtype=np.float64)
    ranks = np.arange(1, depth + 1)
    result = {}
    for k in CUTS:
        result[f"accuracy@{k}"] = (found[:, k - 1] > 0).astype(np.float64)
        result[f"precision@{k}"] = found[:, k - 1] / k
        result[f"recall@{k}"] = found[:, k - 1] / relevant
    ideal = np.zeros((len(grades), 10))
    for row, some in enumerate(grades):
        best = sorted(some, reverse=True)[:10]
        ideal[row, : len(best)] = best if graded else 1.0
    discounts = 1 / np.log2(ranks[:10] + 1)
    result["ndcg@10"] = ((gains if graded else hits)[:, :10] @ discounts) / (ideal @ discounts)
    result["mrr@10"] = (hits / ranks)[:, :10].max(axis=1)
    precision_at_hits = (hits * found / ranks)[:, :100]
    result["map@100"] = precision_at_hits.sum(axis=1) / np.minimum(relevant, 100)
    return {name: result[name] for name in METRICS}
