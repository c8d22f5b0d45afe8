"""A start fitted on texts: the pieces of text, the least squares, and the table that comes of it."""

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from tokenizers import Tokenizer, models, pre_tokenizers

from sse.modeling import SSE
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import Source, StartPart
from sse.training.start.fitted import fit_rows, pooling_weights
from sse.training.start.fragments import draw_fragments
from sse.training.start.table import make_start, token_texts
from sse.training.start.token_statistics import count_tokens
from sse.training.teacher import encoder


@pytest.fixture
def tokenizer():
    names = ["[UNK]", "the", "cat", "dog", "sat", "ran", "galaxy", "star", "##s", "far", "away"]
    made = Tokenizer(models.WordPiece({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def loaded(**counts):
    return [
        LoadedSource(
            Source(name=name, path="x.jsonl"),
            Dataset.from_dict(
                {
                    "anchor": [f"{name} query {n}" for n in range(count)],
                    "positive": [" ".join(f"{name}{n}w{k}" for k in range(50)) for n in range(count)],
                }
            ),
            0,
        )
        for name, count in counts.items()
    ]


def test_fragments_are_pieces_of_all_sources_by_their_share():
    found = draw_fragments(loaded(one=60, two=20), 400)
    assert len(found) == len(set(found)) <= 400
    long = [text for text in found if "query" not in text]
    assert {len(text.split()) for text in long} == set(range(6, 36))
    for text in long:
        words = text.split()
        places = [int(word.rsplit("w", 1)[1]) for word in words]
        assert places == list(range(places[0], places[0] + len(words)))
    assert sum(text.startswith("one") for text in long) == pytest.approx(0.75 * len(long), rel=0.05)
    assert 0 < len(found) - len(long) <= 80  # 80 anchors, drawn again and again
    assert found == draw_fragments(loaded(one=60, two=20), 400)


def test_weights_are_those_of_the_model(tokenizer):
    texts = ["the cat sat", "the the the cat", "", "galaxy galaxy stars far"]
    weights = pooling_weights(texts, tokenizer, 11, 0.5)
    table = np.random.default_rng(0).standard_normal((11, 4)).astype(np.float32)
    module = SSE(tokenizer, 4, weights=table, count_exponent=0.5)
    pooled = []
    module.dyt.register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0].detach()))
    module(module.preprocess([text for text in texts if text]))
    np.testing.assert_allclose(np.delete(weights @ table, 2, axis=0), pooled[0].numpy(), rtol=1e-5, atol=1e-6)
    assert weights.sum(axis=1).A1.tolist() == pytest.approx([1, 1, 0, 1])


@pytest.mark.parametrize("penalty", [0.1, 3.0])
def test_the_rows_solve_the_least_squares(penalty):
    rng = np.random.default_rng(0)
    texts, rows, width = 300, 20, 5
    pooling = pooling_weights(
        [" ".join(f"t{n}" for n in rng.integers(0, rows - 1, 6)) for _ in range(texts)],
        Tokenizer.from_str(_words(rows)),
        rows,
        1.0,
    )
    prior = rng.standard_normal((rows, width)).astype(np.float32)
    vectors = (pooling @ (2 * prior) + 0.3 * rng.standard_normal((texts, width)) + 1).astype(np.float32)
    found = fit_rows(pooling, vectors, prior, penalty=penalty, steps=60)
    x = torch.from_numpy(pooling.toarray()).double()
    target = torch.from_numpy(vectors - vectors.mean(axis=0)).double()
    start = torch.from_numpy(prior).double()
    start *= ((x @ start) * target).sum() / (x @ start).square().sum()
    exact = torch.linalg.solve(x.T @ x + penalty * torch.eye(rows).double(), x.T @ target + penalty * start)
    np.testing.assert_allclose(found, exact.numpy(), atol=1e-4)
    np.testing.assert_allclose(found[rows - 1], start[rows - 1].numpy(), atol=1e-5)  # in no text: as it was


def _words(rows):
    made = Tokenizer(models.WordLevel({f"t{n}": n for n in range(rows)}, unk_token="t0"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str()


def test_the_start_has_fitted_directions_and_lengths_by_rank(tokenizer, minilm_path):
    rng = np.random.default_rng(0)
    names = ["the", "cat", "dog", "sat", "ran", "galaxy", "stars", "far", "away"]
    texts = list(dict.fromkeys(" ".join(rng.choice(names, rng.integers(3, 7))) for _ in range(300)))
    held, texts = texts[:50], texts[50:]
    statistics = count_tokens(texts, tokenizer, 11)
    part = StartPart(kind="transformer", model=minilm_path, texts=len(texts), noise=0)
    start = make_start(part, tokenizer, 12, statistics, 0, texts=texts, count_exponent=0.5)
    assert start.table.std() == pytest.approx(1, rel=1e-4)

    pooling = pooling_weights(texts, tokenizer, 11, 0.5)
    lengths = statistics.log_rank()[:, None]
    alone = encoder.encode_texts(minilm_path, token_texts(tokenizer, 11), 64)
    alone -= alone.mean(axis=0)
    vectors = encoder.encode_texts(minilm_path, texts, 64)
    fitted = fit_rows(pooling, vectors, lengths * alone)
    wanted = encoder.encode_texts(minilm_path, held, 64) - vectors.mean(axis=0)
    means = pooling_weights(held, tokenizer, 11, 0.5) @ fitted
    agreement = (encoder.unit_length(means) * encoder.unit_length(wanted)).sum(axis=1).mean()
    assert agreement > 0.8

    directions = encoder.unit_length(fitted)
    found = _angles(start.table / lengths)  # on other axes; the vectors read here are rounded to 16 bits
    np.testing.assert_allclose(found, _angles(directions - directions.mean(axis=0)), atol=0.02)
    assert not np.allclose(found, _angles(alone), atol=0.1)


def _angles(rows):
    unit = encoder.unit_length(rows)
    return unit @ unit.T


def test_texts_are_read_once(minilm_path, monkeypatch):
    monkeypatch.setattr(encoder, "CHUNK", 4)
    texts = [f"text number {n}" for n in range(6)]
    first = encoder.encode_texts(minilm_path, texts, 16)
    assert first.shape == (6, 384)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-5)
    monkeypatch.setattr(encoder, "_load", lambda *args: pytest.fail("the vectors were kept"))
    np.testing.assert_array_equal(first, encoder.encode_texts(minilm_path, texts, 16))


def test_texts_need_a_transformer():
    with pytest.raises(ValidationError, match="texts needs kind"):
        StartPart(kind="idf", texts=5)
