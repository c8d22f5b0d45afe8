"""Bags against a plain count, also where one text ends and the next begins with the same id."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest

from sse import Encoder
from sse.edge.bags import FEW, BagMaker
from sse.edge.batches import blocks_of

ROWS = 30522


def plain(texts: list[list[int]], exponent: float) -> list[dict[int, float]]:
    return [{token: count**exponent for token, count in sorted(Counter(text).items())} for text in texts]


def check(bags, texts: list[list[int]], exponent: float) -> None:
    found = [
        dict(zip(bags.ids[start:end].tolist(), bags.weights[start:end].tolist(), strict=True))
        for start, end in pairwise(bags.bounds)
    ]
    expected = plain(texts, exponent)
    assert [list(text) for text in found] == [list(text) for text in expected]  # in this order too
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-7)
    np.testing.assert_allclose(bags.totals, [sum(text.values()) or 1 for text in expected], rtol=1e-7)
    assert {bags.weights.dtype, bags.totals.dtype} == {np.dtype(np.float32)}


def some_texts(rows: int = ROWS) -> list[list[int]]:
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 20, size).tolist() for size in rng.integers(0, 40, 60)]
    last = rows - 1
    return [[], *texts, [7, 8, 7], [7], [7, 7], [last, 0, last], [0, last], [], [], [last] * 300, [0], []]


@pytest.mark.parametrize("exponent", [0.5, 0.6, 1.0])
@pytest.mark.parametrize("limit", [0, 1, 3, 1000])
@pytest.mark.parametrize("rows", [ROWS, 1 << 26])  # the second does not fit into 32 bits
def test_a_batch(exponent, limit, rows):
    texts = some_texts(rows)
    offsets = np.cumsum([0, *map(len, texts)])
    bags = BagMaker(rows, exponent).of_batch(np.array([*chain(*texts)], np.int64), offsets, limit)
    check(bags, [text[: limit or None] for text in texts], exponent)


@pytest.mark.parametrize("exponent", [0.6, 1.0])
def test_lists_few_and_many(exponent):
    maker, texts = BagMaker(ROWS, exponent), some_texts()
    check(maker.of_lists(texts), texts, exponent)
    for start in range(0, len(texts), FEW - 1):
        few = texts[start : start + FEW - 1]
        check(maker.of_lists(few), few, exponent)


@pytest.mark.parametrize("texts", [[], [[]], [[], []], [[]] * 20])
def test_nothing(texts):
    maker = BagMaker(ROWS, 0.6)
    check(maker.of_lists(texts), texts, 0.6)
    check(maker.of_batch(np.zeros(0, np.int64), np.zeros(len(texts) + 1, np.int64), 0), texts, 0.6)


@pytest.mark.parametrize("kind", ["half_f32", "most_int8", "int4"])
def test_many_blocks_give_what_each_text_alone_gives(kind, models):
    encoder = Encoder.from_pretrained(models[kind], backend="numpy")
    words = ["the", "moon", "is", "the", "red", "planet's", "the", "\u00e9", "moon"]
    texts = [" ".join(words[n % 5 :] * (n % 11) + words[: n % 3] * 2) for n in range(2000)]
    texts[700] = "many a word of a long one " * 400
    assert len(blocks_of(texts)) > 3
    for limit in (None, 3):
        alone = np.stack([encoder.encode(text, max_length=limit) for text in texts])
        np.testing.assert_allclose(encoder.encode(texts, max_length=limit), alone, atol=1e-6)
