"""The baseline against Lucene's formula, worked out by hand."""

import math

import numpy as np
import pytest

from sse.eval import Suite
from sse.eval.bm25 import K1, STOP_WORDS, B, Words, rank_by_bm25
from sse.eval.task import Task


def make(corpus, *queries):
    ids = [f"q{number}" for number in range(len(queries))]
    some = next(iter(corpus))
    return Task.of(
        Suite("s", dict(zip(ids, queries, strict=True)), corpus, {query: {some: 1} for query in ids})
    )


def ranked_ids(task, **options):
    return [
        [task.document_ids[column] for column in row if column >= 0]
        for row in rank_by_bm25(task, **options).tolist()
    ]


def test_words():
    words = Words()
    assert words("The Foxes were running, and the fox_run2 is café-like") == (
        ["fox", "were", "run", "fox", "run2", "café", "like"]
    )
    assert words("to be or not to be") == []
    assert len(STOP_WORDS) == 33


def test_scores_by_hand(monkeypatch):
    corpus = {"a": "fox fox river", "b": "fox river stone paper garden", "c": "stone paper"}
    task = make(corpus, "fox stone")
    seen = []
    monkeypatch.setattr(
        "sse.eval.bm25.best_columns",
        lambda scores, depth: seen.append(scores.copy()) or np.zeros((1, 3), dtype=int),
    )
    rank_by_bm25(task)
    average = (3 + 5 + 2) / 3

    def part(frequency, length, containing):
        idf = math.log(1 + (3 - containing + 0.5) / (containing + 0.5))
        return idf * frequency / (frequency + K1 * (1 - B + B * length / average))

    expected = [part(2, 3, 2), part(1, 5, 2) + part(1, 5, 2), part(1, 2, 2)]
    assert seen[0][0].tolist() == pytest.approx(expected, rel=1e-5)


def test_documents_without_a_word_of_the_query_are_not_retrieved():
    task = make({"a": "red fox", "b": "blue whale", "c": "", "d": "the fox"}, "foxes", "unknown", "the", "")
    assert ranked_ids(task) == [["d", "a"], [], [], []]


def test_ties_go_to_the_smaller_id():
    corpus = {str(number): "fox" for number in (10, 9, 100, 1)} | {"z": "fox fox"}
    assert ranked_ids(make(corpus, "fox")) == [["z", "1", "10", "100", "9"]]
    assert ranked_ids(make(corpus, "fox"), depth=3) == [["z", "1", "10"]]


def test_a_word_that_a_query_repeats_counts_as_often():
    corpus = {"a": "stone stone stone river", "b": "fox garden paper river"}
    assert ranked_ids(make(corpus, "stone fox", "stone fox fox fox")) == [["a", "b"], ["b", "a"]]


def test_a_document_can_be_kept_from_a_query():
    task = make({"a": "fox", "b": "fox den"}, "fox")
    assert ranked_ids(task, skip=np.array([0])) == [["b"]]


def test_a_corpus_without_words_gives_empty_lists():
    assert ranked_ids(make({"a": "", "b": "the"}, "fox")) == [[]]
