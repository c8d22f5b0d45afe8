"""From ranked lists of numbers to scores."""

import numpy as np
import pytest

from sse.eval import Suite
from sse.eval.task import Task


def test_places_after_the_end_of_a_list_are_no_hits():
    # The last document is relevant to the query before: the place -1 of one row must not reach it.
    suite = Suite("s", {"q1": "x", "q2": "y"}, {"a": "", "b": ""}, {"q1": {"b": 1}, "q2": {"a": 1}})
    scores = Task.of(suite).score(np.array([[1, 0], [-1, -1]]), graded=True)
    assert scores.per_query == {"q1": 1, "q2": 0}
    assert scores.metrics["recall@10"] == 0.5


def test_a_relevant_document_that_is_not_in_the_corpus_still_counts():
    suite = Suite("s", {"q": "x"}, {"a": "", "b": ""}, {"q": {"a": 1, "gone": 1}})
    scores = Task.of(suite).score(np.array([[0, 1]]), graded=True)
    assert scores.metrics["recall@10"] == 0.5
    nothing = Task.of(Suite("s", {"q": "x"}, {"a": ""}, {"q": {"gone": 1}}))
    assert nothing.score(np.array([[0]]), graded=True).metrics["ndcg@10"] == 0


def test_twins_are_documents_with_the_id_of_a_query():
    suite = Suite("s", {"b": "x", "q": "y"}, {"c": "", "b": "", "a": ""}, {"b": {"a": 1}, "q": {"c": 2}})
    task = Task.of(suite)
    assert task.twins().tolist() == [1, -1]
    assert task.score(np.array([[0], [2]]), graded=True).metrics["ndcg@10"] == pytest.approx(1)
