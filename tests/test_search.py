"""Ranking texts by their nearness to a query."""

import pytest

from sse.errors import SseError
from sse.search import search


def test_ranking(model):
    texts = ["the red planet", "", "bread and butter", "the red planet is mars"]
    hits = search(model, texts, "the red planet", k=2)
    assert [hit.number for hit in hits] == [1, 4]
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert search(model, ["", " "], "x") == []
    assert len(search(model, texts, "x", k=10)) == 3


def test_fewer_dims(model):
    assert search(model, ["a b", "c d"], "a b", dim=8)[0].number == 1
    with pytest.raises(SseError, match="64 dimensions, not 65"):
        search(model, ["a"], "a", dim=65)
