"""The ranked lists: one total order, however the work is cut."""

import numpy as np
import pytest

from sse.eval.ranking import best_columns, normalised, rank_by_cosine


def slow_order(scores, depth):
    return [
        sorted(range(len(row)), key=lambda column: (-row[column], column))[:depth] for row in scores.tolist()
    ]


@pytest.mark.parametrize("depth", [1, 7, 50, 80])
def test_ties_go_to_the_lower_column_also_at_the_boundary(depth):
    scores = np.random.default_rng(depth).integers(-3, 4, (40, 50)).astype(np.float32)
    assert best_columns(scores, depth).tolist() == slow_order(scores, depth)


def test_scores_of_any_size_and_sign_are_ordered():
    rng = np.random.default_rng(0)
    scores = (rng.standard_normal((20, 300)) * 10.0 ** rng.integers(-44, 38, (20, 300))).astype(np.float32)
    scores[:, ::7] = 0.0
    scores[:, ::14] = -0.0
    for depth in (100, 300):
        assert best_columns(scores, depth).tolist() == slow_order(scores, depth)


def test_minus_infinity_is_not_retrieved():
    scores = np.array([[-np.inf, 1.0, -np.inf, -3.4e38]], dtype=np.float32)
    assert best_columns(scores).tolist() == [[1, 3, -1, -1]]


def test_equal_documents_tie_exactly_however_the_work_is_cut():
    rng = np.random.default_rng(0)
    documents = rng.standard_normal((60, 32)).astype(np.float32)[rng.integers(0, 60, 999)]
    documents[5] = 0
    queries = rng.standard_normal((23, 32)).astype(np.float32)
    whole = rank_by_cosine(queries, documents, depth=999)
    assert (rank_by_cosine(queries, documents, depth=999, budget=1) == whole).all()
    # Equal documents stand together, in ascending order.
    equal = (documents[whole[:, 1:]] == documents[whole[:, :-1]]).all(axis=2)
    assert equal.sum() == 23 * (999 - len(np.unique(documents, axis=0)))
    assert (whole[:, 1:] > whole[:, :-1])[equal].all()


def test_a_document_can_be_kept_from_a_query():
    vectors = np.eye(4, dtype=np.float32)
    ranked = rank_by_cosine(vectors[:2], vectors, skip=np.array([-1, 1]))
    assert ranked.tolist() == [[0, 1, 2, 3], [0, 2, 3, -1]]


def test_zero_vectors_stay_zero():
    assert normalised(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist() == [
        [pytest.approx(0.6), pytest.approx(0.8)],
        [0, 0],
    ]
