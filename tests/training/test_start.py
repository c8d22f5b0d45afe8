"""Where a training begins: token statistics, starting tables, crops, groups, and the variants of the DyT."""

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers

from sse.errors import SseError
from sse.modeling import SSE, build_model, write_model
from sse.training.data.clusters import GroupedBatchSampler, group_rows
from sse.training.data.crops import add_crops
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import CropsPart, Source, StartPart
from sse.training.start.dyt import prepare_dyt
from sse.training.start.table import make_start, principal_components, token_texts
from sse.training.start.token_statistics import TokenStatistics, count_tokens
from sse.training.weights.row_gradients import level_row_gradients


def words(*vocabulary: str) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.fixture
def tokenizer():
    return words("[UNK]", "red", "planet", "the", "##s", "mars")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def source(name="one", **columns):
    return LoadedSource(Source(name=name, path="x.jsonl"), Dataset.from_dict(columns), 0)


def test_tokens_are_counted_once_a_text_and_in_all(tokenizer):
    found = count_tokens(["the red planet", "the the mars", ""], tokenizer, 7)
    assert found.texts == 3
    assert found.mean_length == 2
    assert found.count.tolist() == [0, 1, 1, 3, 0, 1, 0]
    assert found.document_frequency.tolist() == [0, 1, 1, 2, 0, 1, 0]
    assert found.idf()[1] == pytest.approx(np.log1p(2.5 / 1.5))
    assert found.log_rank().argmin() == 3
    assert found.sif()[3] == pytest.approx(1e-3 / (1e-3 + 0.5))


def test_norms_of_an_idf_start_follow_the_idf(tokenizer):
    texts = ["the red planet"] * 50 + ["the planet mars"]
    statistics = count_tokens(texts, tokenizer, 6)
    table = make_start(StartPart(kind="idf", scale="idf"), tokenizer, 4096, statistics, 1).table
    norms = np.linalg.norm(table, axis=1)
    np.testing.assert_allclose(norms / norms[3], statistics.idf() / statistics.idf()[3], rtol=0.1)
    assert table.std() == pytest.approx(1, rel=1e-3)
    again = make_start(StartPart(kind="idf", scale="idf"), tokenizer, 4096, statistics, 1).table
    np.testing.assert_array_equal(table, again)


def test_principal_components_keep_distances_and_come_in_order():
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * [1, 5, 2, 0.1, 3, 4]
    turned = principal_components(vectors, 6)
    spread = turned.std(axis=0)
    assert (np.diff(spread) <= 0).all()
    np.testing.assert_allclose(
        np.linalg.norm(turned[0] - turned[1:], axis=1),
        np.linalg.norm(vectors[0] - vectors[1:], axis=1),
        rtol=1e-4,
    )


def test_a_transformer_start_knows_what_is_alike(tokenizer, minilm_path, cache, monkeypatch):
    tokenizer = words("[UNK]", "dog", "puppy", "algebra", "##dog")
    statistics = TokenStatistics(10, 3.0, np.ones(5, np.int64), np.ones(5, np.int64))
    part = StartPart(kind="transformer", model=minilm_path, scale="none", noise=0.1)
    start = make_start(part, tokenizer, 16, statistics, 0)
    assert start.table.shape == (5, 16)
    unit = start.table / np.linalg.norm(start.table, axis=1, keepdims=True)
    assert unit[1] @ unit[2] > unit[1] @ unit[3]
    np.testing.assert_allclose(unit[1], unit[4], atol=1e-5)  # a piece inside a word is read without its mark
    assert token_texts(tokenizer, 6) == ["[UNK]", "dog", "puppy", "algebra", "dog", ""]
    assert len(list(cache.rglob("tokens-*.npy"))) == 1

    def refuse(*args, **kwargs):
        raise AssertionError("the vectors were kept")

    monkeypatch.setattr("sse.training.start.table.SentenceTransformer", refuse)
    np.testing.assert_array_equal(start.table, make_start(part, tokenizer, 16, statistics, 0).table)


def test_columns_beyond_the_transformers_width_are_small_noise(minilm_path, cache):
    names = [f"w{n}" for n in range(500)]
    tokenizer = words("[UNK]", *names)
    statistics = TokenStatistics(10, 3.0, np.ones(501, np.int64), np.ones(501, np.int64))
    part = StartPart(kind="transformer", model=minilm_path, scale="none", noise=0.25)
    table = make_start(part, tokenizer, 512, statistics, 0).table
    assert table[:, 384:].std() / table[:, :384].std() == pytest.approx(0.25 * np.sqrt(384 / 512), rel=0.05)


def test_a_static_start_takes_rows_by_text_and_pieces_for_the_rest(tmp_path, tokenizer):
    torch.manual_seed(0)
    module = SSE(tokenizer, 8)
    with torch.no_grad():
        module.dyt.alpha.uniform_(0.5, 2)
    write_model(build_model(module), tmp_path / "model")
    old = module.embedding.weight.detach().numpy()
    part = StartPart(kind="model", model=str(tmp_path / "model"))
    same = make_start(part, tokenizer, 8, None, 0)
    np.testing.assert_array_equal(same.table, old)
    torch.testing.assert_close(same.dyt["alpha"], module.dyt.alpha.detach())
    other = words("[UNK]", "mars", "planets", "galaxy", "red")
    start = make_start(part, other, 4, None, 0)
    np.testing.assert_array_equal(start.table[[1, 4]], old[[5, 1], :4])
    np.testing.assert_allclose(start.table[2], old[[2, 4], :4].mean(axis=0), rtol=1e-6)
    with pytest.raises(SseError, match=r"has 8 dimensions, model\.dim is 9"):
        make_start(part, tokenizer, 9, None, 0)


def test_a_model_that_is_not_there_is_named(tokenizer, cache):
    statistics = TokenStatistics(1, 1.0, np.ones(6, np.int64), np.ones(6, np.int64))
    with pytest.raises(SseError, match=r"start\.model: /nowhere/model"):
        make_start(StartPart(kind="transformer", model="/nowhere/model"), tokenizer, 4, statistics, 0)


def test_crops_come_from_one_passage_and_have_the_lengths_asked_for():
    passages = [" ".join(f"p{n}w{k}" for k in range(30)) for n in range(20)]
    loaded = [source(anchor=["a"] * 21, positive=[*passages, "too short"])]
    part = CropsPart(share=0.5, anchor_words=(2, 4), positive_words=(10, 12), scattered=0.5)
    *_, crops = add_crops(loaded, part, 7)
    assert crops.source.name == "crops"
    assert len(crops.rows) == 21
    scattered = 0
    for anchor, positive in zip(crops.rows["anchor"], crops.rows["positive"], strict=True):
        assert 2 <= len(anchor.split()) <= 4
        assert 10 <= len(positive.split()) <= 12
        assert len({word.split("w")[0] for word in (anchor + " " + positive).split()}) == 1
        numbers = [int(word.split("w")[1]) for word in anchor.split()]
        scattered += numbers != list(range(numbers[0], numbers[0] + len(numbers)))
    assert 3 < scattered < 18
    assert add_crops(loaded, part, 7)[-1].rows["anchor"] == crops.rows["anchor"]
    assert add_crops(loaded, CropsPart(), 7) == loaded
    with pytest.raises(SseError, match="no positive has more than 40 words"):
        add_crops(loaded, CropsPart(share=0.5), 7)


def test_groups_hold_what_is_alike_and_batches_hold_groups(tokenizer):
    torch.manual_seed(0)
    model = build_model(SSE(tokenizer, 64))
    texts = ["red planet", "the mars"] * 40
    groups = group_rows([source(anchor=texts, positive=texts)], model, 40, 0)["one"]
    assert set(zip(texts, groups.tolist(), strict=True)) == {
        ("red planet", groups[0]),
        ("the mars", groups[1]),
    }
    assert groups[0] != groups[1]
    sampler = GroupedBatchSampler(
        Dataset.from_dict({"x": texts}),
        groups,
        batch_size=20,
        drop_last=False,
        generator=torch.Generator(),
        seed=3,
    )
    batches = list(sampler)
    assert len(batches) == len(sampler) == 4
    assert sorted(row for batch in batches for row in batch) == list(range(80))
    assert all(len({groups[row] for row in batch}) == 1 for batch in batches)
    assert list(sampler) == batches
    sampler.set_epoch(1)
    assert list(sampler) != batches


def test_the_linear_dyt_is_a_straight_line_and_the_shared_one_stays_shared(tokenizer):
    torch.manual_seed(0)
    module = SSE(tokenizer, 8)
    prepare_dyt(module, "linear")
    features = module.preprocess(["red planet the mars"])
    pooled = module.embedding(features["input_ids"], features["offsets"])
    torch.testing.assert_close(module(features)["sentence_embedding"], pooled, rtol=1e-5, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in module.dyt.parameters())
    module = SSE(tokenizer, 8)
    prepare_dyt(module, "shared", ["red planet", "mars"])
    vectors = module(module.preprocess(["red planet", "mars"]))["sentence_embedding"]
    (vectors * torch.randn(8)).sum().backward()
    assert len(set(module.dyt.alpha.grad.tolist())) == 1
    assert len(set(module.dyt.beta.grad.tolist())) == 8
    module = SSE(tokenizer, 8)
    prepare_dyt(module, "separable", ["red planet", "mars"])
    rows = module.embedding.weight.detach()
    pooled = torch.stack([rows[[1, 2]].mean(dim=0), rows[5]])
    torch.testing.assert_close(module.dyt.alpha.detach(), 1 / pooled.abs().mean(dim=0))


def test_levelled_gradients_move_long_texts_as_far_as_short_ones():
    table = torch.nn.EmbeddingBag(4, 3, mode="mean")
    ids, offsets = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1])
    table(ids, offsets).sum().backward()
    plain = table.weight.grad.clone()
    table.weight.grad = None
    level_row_gradients(table, 1e-9)
    table(ids, offsets).sum().backward()
    assert plain[0, 0] == pytest.approx(3 * plain[1, 0])
    torch.testing.assert_close(table.weight.grad[0], table.weight.grad[1])
