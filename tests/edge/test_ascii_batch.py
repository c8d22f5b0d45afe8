"""The memo of the vectorised tokenizer: it is filled bit by bit, emptied when full, and survives an interrupt."""

import random

import numpy as np
import pytest

from sse.edge.ascii_batch import BatchTokenizer
from sse.edge.tokenizer_file import WordPiece, read_tokenizer
from sse.edge.wordpiece import PythonTokenizer


@pytest.fixture
def python(models) -> PythonTokenizer:
    spec = read_tokenizer(models["f32"] / "tokenizer.json", 30522)
    assert isinstance(spec, WordPiece)
    return PythonTokenizer(spec)


def some_texts() -> list[str]:
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdeXYZ01", k=rng.randint(1, 24))) for _ in range(3000)]
    return [" ".join(rng.choices(words, k=rng.randint(0, 12))) + rng.choice(".,!") for _ in range(1500)]


def ids(batch: BatchTokenizer, texts: list[str]) -> list[list[int]]:
    flat, offsets = batch.batch(texts)
    return [part.tolist() for part in np.split(flat, offsets[1:-1])]


@pytest.mark.parametrize("bits", [4, 17])  # with 16 slots words push each other out all the time
@pytest.mark.parametrize("memo", [100, 1 << 19])
def test_words_that_come_bit_by_bit(python, monkeypatch, bits, memo):
    monkeypatch.setattr("sse.edge.ascii_batch.BITS", bits)
    monkeypatch.setattr("sse.edge.ascii_batch.MEMO", memo)
    batch, texts = BatchTokenizer(python), some_texts()
    for size in (1, 7, 64, 1500):
        for start in range(0, 300 if size == 1 else len(texts), size):
            several = texts[start : start + size]
            assert ids(batch, several) == [python.ids(text) for text in several]


def test_an_interrupt_leaves_no_wrong_words(python, monkeypatch):
    batch, texts = BatchTokenizer(python), some_texts()
    split, calls = python.memo.split, 0

    def interrupted(word: str) -> tuple[int, ...]:
        nonlocal calls
        calls += 1
        if calls % 100 == 0:
            raise KeyboardInterrupt
        return split(word)

    expected = [python.ids(text) for text in texts]
    python.memo.clear()
    monkeypatch.setattr(python.memo, "split", interrupted)
    done = 0
    for start in range(0, len(texts), 50):
        try:
            batch.batch(texts[start : start + 50])
            done += 1
        except KeyboardInterrupt:
            pass
    assert 0 < done < 30
    monkeypatch.setattr(python.memo, "split", split)
    assert ids(batch, texts) == expected
