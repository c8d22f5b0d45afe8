"""The metrics against hand-computed values and against their definitions, spelled out slowly."""

import math

import numpy as np
import pytest

from sse.eval.metrics import METRICS, per_query_metrics


def test_graded_ndcg_by_hand():
    # Retrieved grades 3, 0, 2, 1; another document of grade 3 was not found.
    gains, grades = np.array([[3.0, 0.0, 2.0, 1.0]]), [[3, 3, 2, 1]]
    found = 3 / math.log2(2) + 2 / math.log2(4) + 1 / math.log2(5)
    ideal = 3 / math.log2(2) + 3 / math.log2(3) + 2 / math.log2(4) + 1 / math.log2(5)
    assert per_query_metrics(gains, grades)["ndcg@10"][0] == pytest.approx(found / ideal)
    found, ideal = 1 + 1 / 2 + 1 / math.log2(5), 1 + 1 / math.log2(3) + 1 / 2 + 1 / math.log2(5)
    assert per_query_metrics(gains, grades, graded=False)["ndcg@10"][0] == pytest.approx(found / ideal)


def test_all_metrics_by_hand():
    gains = np.array([[0.0, 1.0, 0.0, 1.0]])
    result = {name: value[0] for name, value in per_query_metrics(gains, [[1, 1, 1]]).items()}
    assert tuple(result) == METRICS
    assert [result[f"accuracy@{k}"] for k in (1, 3, 5, 10)] == [0, 1, 1, 1]
    assert [result[f"precision@{k}"] for k in (1, 3, 5, 10)] == pytest.approx([0, 1 / 3, 2 / 5, 2 / 10])
    assert [result[f"recall@{k}"] for k in (1, 3, 5, 10)] == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])
    assert result["mrr@10"] == 0.5
    assert result["map@100"] == pytest.approx((1 / 2 + 2 / 4) / 3)


def slow(gains, grades):
    """The definitions of sentence-transformers' compute_metrics, query by query, for grades of 0 and 1."""
    result = {}
    for k in (1, 3, 5, 10):
        hits = sum(gain > 0 for gain in gains[:k])
        result |= {
            f"accuracy@{k}": float(hits > 0),
            f"precision@{k}": hits / k,
            f"recall@{k}": hits / len(grades),
        }
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, len(grades))))
    result["ndcg@10"] = sum((gain > 0) / math.log2(rank + 2) for rank, gain in enumerate(gains[:10])) / ideal
    result["mrr@10"] = next((1 / (rank + 1) for rank, gain in enumerate(gains[:10]) if gain > 0), 0)
    ranks = [rank for rank, gain in enumerate(gains[:100]) if gain > 0]
    result["map@100"] = sum((hit + 1) / (rank + 1) for hit, rank in enumerate(ranks)) / min(100, len(grades))
    return result


@pytest.mark.parametrize("depth", [3, 10, 100, 140])
def test_random_lists_agree_with_the_slow_definitions(depth):
    rng = np.random.default_rng(depth)
    gains = (rng.random((50, depth)) < rng.random((50, 1))).astype(float)
    grades = [[1.0] * int(row.sum() + rng.integers(1, 200)) for row in gains]
    fast = per_query_metrics(gains, grades)
    for row in range(len(gains)):
        expected = slow(gains[row].tolist(), grades[row])
        assert {name: fast[name][row] for name in METRICS} == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_is_1_and_an_empty_one_0():
    grades = [[3, 2, 1], [1] * 30]
    perfect = np.zeros((2, 100))
    perfect[0, :3] = [3, 2, 1]
    perfect[1, :30] = 1
    for name in ("accuracy@1", "ndcg@10", "mrr@10", "map@100"):
        assert per_query_metrics(perfect, grades)[name].tolist() == pytest.approx([1, 1])
    assert all(not value.any() for value in per_query_metrics(np.zeros((2, 0)), grades).values())


def test_swapping_a_better_document_up_never_lowers_ndcg():
    rng = np.random.default_rng(0)
    gains = rng.integers(0, 4, (200, 10)).astype(float)
    gains[:, 0] += 1
    grades = [row[row > 0] for row in gains]
    better = gains.copy()
    swap = gains[:, 4] < gains[:, 7]
    better[swap, 4], better[swap, 7] = gains[swap, 7], gains[swap, 4]
    before, after = (per_query_metrics(one, grades)["ndcg@10"] for one in (gains, better))
    assert (after[swap] > before[swap]).all()
    assert (after <= 1 + 1e-12).all()
