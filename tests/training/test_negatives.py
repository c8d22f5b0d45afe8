"""Mined negatives: the nearest texts, never a right one, and never fewer than asked for."""

import random

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError

from sse.eval.bm25 import rank_by_bm25
from sse.eval.ranking import best_columns
from sse.eval.suites import Suite
from sse.eval.task import Task
from sse.modeling import write_model
from sse.training.data import negatives
from sse.training.data.negatives import _index_words, add_negatives, find_negatives
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import NegativesPart, Source

COUNT = 120
BM25 = NegativesPart(kind="bm25")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "sse"


def chain(count=COUNT):
    """Each positive shares two words with its own anchor, and one with the next row's."""
    return {
        "anchor": [f"red{n} blue{n}" for n in range(count)],
        "positive": [f"red{n} blue{n} blue{(n + 1) % count} salt" for n in range(count)],
    }


def tangled(count=300, seed=0):
    """Few words, so texts, anchors and labels are often the same, up to case and white space."""
    rng = random.Random(seed)

    def text(words):
        some = " ".join(rng.choices(["sun", "moon", "star", "tree", "lake"], k=words))
        return rng.choice([some, some.title(), f"  {some}".replace(" ", "  ")])

    return {
        "anchor": [text(2) for _ in range(count)],
        "positive": [text(3) for _ in range(count)],
        "label": [rng.randrange(count // 3) for _ in range(count)],
    }


def source(columns, name="it"):
    return LoadedSource(Source(name=name, path=name), Dataset.from_dict(columns), 0)


def mined(columns, part, seed=0):
    return add_negatives([source(columns)], part, seed)[0].rows


def plain(text):
    return " ".join(text.lower().split())


def test_bm25_finds_the_lexically_nearest():
    found = find_negatives(source(chain()).rows, BM25, 0, _index_words)
    assert found.dtype == np.int32
    assert found.shape == (COUNT, 3)
    assert found[:, 0].tolist() == [(n - 1) % COUNT for n in range(COUNT)]


def test_bm25_ranks_as_the_baseline_does():
    columns = tangled()
    corpus = {f"d{n:03}": text for n, text in enumerate(columns["positive"])}
    queries = {f"q{n:03}": f"{text} sun unknown" for n, text in enumerate(columns["anchor"])}
    task = Task.of(Suite("it", queries, corpus, {query: {"d000": 1} for query in queries}))
    scores = _index_words(list(task.document_texts))(list(task.query_texts))
    assert (best_columns(scores, 20) == rank_by_bm25(task, depth=20)).all()


def test_bm25_without_any_word():
    rows = mined({"anchor": ["?"] * COUNT, "positive": ["!" * (n + 1) for n in range(COUNT)]}, BM25)
    assert rows.column_names == ["anchor", "positive"]  # one anchor: every positive is right


@pytest.mark.parametrize("dims", [256, 32])
def test_a_model_finds_the_nearest(model, tmp_path, cache, monkeypatch, dims):
    monkeypatch.setattr(negatives, "DIMS", dims)
    model.prompts = {"query": "find ", "document": "text "}
    write_model(model, tmp_path / "model")
    part = NegativesPart(kind="model", model=str(tmp_path / "model"), count=1)
    columns = chain()
    anchors, positives = (
        vectors[:, :dims] / np.linalg.norm(vectors[:, :dims], axis=1, keepdims=True)
        for vectors in (model.encode_query(columns["anchor"]), model.encode_document(columns["positive"]))
    )
    scores = anchors @ positives.T
    scores[scores >= 0.95 * scores.diagonal()[:, None]] = -1
    rows = mined(columns, part)
    sure = scores.max(axis=1) > -1
    assert sure.sum() > 100
    nearest = np.array(columns["positive"])[scores.argmax(axis=1)]
    assert (np.array(rows["negative"])[sure] == nearest[sure]).all()

    assert len(list(cache.glob("negatives-*"))) == 1
    with torch.no_grad():
        next(model[0].parameters()).mul_(-2)
    write_model(model, tmp_path / "model")
    mined(columns, part)
    assert len(list(cache.glob("negatives-*"))) == 2  # another model in the same place


@pytest.mark.parametrize(("keep_below", "kept"), [(0.95, False), (1.5, True)])
def test_what_is_as_good_as_the_positive_is_left_out(keep_below, kept):
    columns = chain()
    columns["positive"][70] = columns["positive"][10] + " pepper"
    part = NegativesPart(kind="bm25", keep_below=keep_below)
    rows = mined(columns, part)
    texts = [rows[10][f"negative_{k}"] for k in (1, 2, 3)]
    assert (columns["positive"][70] in texts) is kept
    assert (columns["positive"][9] == texts[0]) is not kept  # the next best moves up


def test_the_first_ones_are_skipped():
    found = find_negatives(source(chain()).rows, NegativesPart(kind="bm25", skip=1), 0, _index_words)
    assert not any(n in row for n, row in zip(range(-1, COUNT - 1), found, strict=True))


@pytest.mark.parametrize("with_labels", [False, True])
@pytest.mark.parametrize("pool", [20_000, 70])
def test_a_right_text_is_never_a_negative(pool, with_labels):
    columns = tangled()
    labels = columns["label"] if with_labels else range(len(columns["anchor"]))
    if not with_labels:
        del columns["label"]
    anchors, positives = (list(map(plain, columns[name])) for name in ("anchor", "positive"))
    right = {}
    for key in (anchors, labels):
        for value, positive in zip(key, positives, strict=True):
            right.setdefault(value, set()).add(positive)
    rows = mined(columns, NegativesPart(kind="bm25", keep_below=1e9, pool=pool, count=4))
    nearest = 0
    for anchor, label, row in zip(anchors, labels, rows, strict=True):
        texts = [plain(row[f"negative_{k}"]) for k in (1, 2, 3, 4)]
        assert not set(texts) & (right[anchor] | right[label])
        assert len(set(texts)) == 4
        nearest += bool(set(anchor.split()) & set(texts[0].split()))
    assert nearest > 200  # and yet they are found, not drawn


def test_the_anchor_itself_is_never_a_negative():
    columns = chain()
    columns["positive"][70] = columns["anchor"][10].upper()
    rows = mined(columns, NegativesPart(kind="bm25", keep_below=1e9))
    assert columns["positive"][70] not in [rows[10][f"negative_{k}"] for k in (1, 2, 3)]


def test_no_row_is_lost_and_missing_ones_are_random_others():
    columns = {
        "anchor": [f"anchor {n}" for n in range(COUNT)],
        "positive": [f"text{n}" for n in range(COUNT)],
        "label": list(range(COUNT)),
    }
    rows = mined(columns, NegativesPart(kind="bm25", count=2))
    assert rows.column_names == ["anchor", "positive", "negative_1", "negative_2", "label"]
    for name, values in columns.items():
        assert list(rows[name]) == values
    for row in rows:
        texts = {row["positive"], row["negative_1"], row["negative_2"]}
        assert len(texts) == 3
        assert texts <= set(columns["positive"])
    assert len(set(rows["negative_1"])) > COUNT / 3


def test_few_texts_are_repeated():
    columns = {"anchor": [f"q {n % 2}" for n in range(COUNT)], "positive": ["yes", "no"] * (COUNT // 2)}
    rows = mined(columns, BM25)
    for row in rows:
        assert {row[f"negative_{k}"] for k in (1, 2, 3)} == {"yes", "no"} - {row["positive"]}


def test_a_source_without_any_negative_is_left_as_it_is():
    item = source({"anchor": [f"q {n}" for n in range(COUNT)], "positive": ["Same", "same "] * (COUNT // 2)})
    for _ in range(2):
        assert add_negatives([item], BM25, 0) == [item]


def test_a_short_source_gets_random_ones(monkeypatch):
    monkeypatch.setattr(negatives, "_index_words", None)
    rows = mined(chain(99), NegativesPart(kind="bm25", count=1))
    assert rows.column_names == ["anchor", "positive", "negative"]
    assert len(set(rows["negative"])) > 40
    assert all(row["negative"] != row["positive"] for row in rows)


def test_sources_that_are_left_as_they_are():
    own = source({**chain(), "negative": ["its own"] * COUNT})
    scored = source({**chain(), "score": [0.5] * COUNT})
    assert add_negatives([own, scored], BM25, 0) == [own, scored]
    assert add_negatives([own], NegativesPart(), 0) == [own]
    replaced = mined(
        {**chain(), "negative": ["its own"] * COUNT}, NegativesPart(kind="bm25", keep_existing=False)
    )
    assert replaced.column_names == ["anchor", "positive", "negative_1", "negative_2", "negative_3"]
    assert replaced[1]["negative_1"] == chain()["positive"][0]


def test_the_seed_decides(cache, monkeypatch, tmp_path):
    def run(seed):
        return [list(row.values()) for row in mined(chain(), BM25, seed)]

    first, other = run(1), run(2)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "elsewhere")
    assert run(1) == first != other


def test_the_rows_with_negatives_are_told_apart():
    """``datasets`` keeps what it has mapped by the fingerprint: another seed must not find the first one's."""
    fingerprints = {mined(chain(), BM25, seed)._fingerprint for seed in (1, 2)}
    assert len(fingerprints) == 2


def test_what_was_found_is_kept(cache, monkeypatch):
    columns = chain()
    first = mined(columns, BM25)
    (kept,) = cache.iterdir()
    assert np.load(kept).shape == (COUNT, 3)

    def refuse(*args):
        raise AssertionError("searched again")

    monkeypatch.setattr(negatives, "find_negatives", refuse)
    again = mined(columns, BM25)
    assert list(again) == list(first)
    assert again._fingerprint == first._fingerprint
    assert again._fingerprint != source(columns).rows._fingerprint
    other = {**columns, "positive": [*columns["positive"][:-1], "another"]}
    for changed in ((columns, NegativesPart(kind="bm25", skip=1), 0), (columns, BM25, 1), (other, BM25, 0)):
        with pytest.raises(AssertionError, match="searched again"):
            mined(*changed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "model"}, "give model with"),
        ({"kind": "bm25", "model": "x"}, "give model with"),
        ({"kind": "bm25", "depth": 5, "skip": 3}, "at least skip"),
        ({"count": 0}, "greater than or equal"),
        ({"count": 16}, "less than or equal"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValidationError, match=message):
        NegativesPart(**settings)
