"""A teacher's vectors: which rows get them, that a killed run goes on, and what the loss makes of them."""

import json
from dataclasses import replace

import datasets
import numpy as np
import pytest
import torch
from datasets import Dataset
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer

from sse.errors import SseError
from sse.training.data.sources import LoadedSource
from sse.training.loss.fused import FusedMatryoshkaMNRL
from sse.training.loss.soft_targets import Teacher
from sse.training.recipe_parts import Source, TeacherPart
from sse.training.teacher import encoder as teacher_encoder
from sse.training.teacher.vectors import VectorTeacher, choose_rows, encode_rows, read_vectors

THINGS = ["planet", "river", "violin", "copper mine", "window", "garden", "bakery", "football club"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def source(name, count, **columns):
    rows = {
        "anchor": [f"What is {name} {THINGS[n % 8]} {n}?" for n in range(count)],
        "positive": [
            f"{name} {THINGS[n % 8]} {n} is a {THINGS[n % 8]}" + " indeed" * n for n in range(count)
        ],
        **columns,
    }
    return LoadedSource(Source(name=name, path=f"{name}.jsonl"), Dataset.from_dict(rows), 0)


@pytest.fixture
def calls(monkeypatch):
    """Texts given to the models, call by call."""
    made, real = [], teacher_encoder._vectors

    def vectors(model, column, texts):
        made.append(list(texts))
        return real(model, column, texts)

    monkeypatch.setattr(teacher_encoder, "_vectors", vectors)
    return made


def test_every_source_gives_the_same_share():
    loaded = [source("a", 60, label=[7] * 60), source("b", 30), source("c", 1)]
    chosen = choose_rows(loaded, 30, seed=1)
    assert [len(item.rows) for item in chosen] == [20, 10, 1]
    assert [item.rows.column_names for item in chosen] == [["anchor", "positive", "label"]] * 3
    assert [label for item in chosen for label in item.rows["label"]] == list(range(31))
    assert chosen[0].rows.features["label"].dtype == "int64"
    texts = list(chosen[0].rows["anchor"])
    assert len(set(texts)) == 20
    assert texts == [text for text in loaded[0].rows["anchor"] if text in texts]
    assert list(choose_rows(loaded, 30, seed=1)[0].rows["anchor"]) == texts
    assert list(choose_rows(loaded, 30, seed=2)[0].rows["anchor"]) != texts
    assert [len(item.rows) for item in choose_rows(loaded, 1000, seed=1)] == [60, 30, 1]


def test_vectors_are_the_models_own(minilm_path):
    part = TeacherPart(models=(minilm_path,), weight=1, rows=12, max_tokens=16)
    chosen, vectors = encode_rows([source("a", 16), source("b", 8)], part, seed=0)
    model = SentenceTransformer(minilm_path, device="cpu")
    model.max_seq_length = 16
    for column in ("anchor", "positive"):
        texts = [text for item in chosen for text in item.rows[column]]
        stored = getattr(vectors, f"{column}s")
        assert isinstance(stored, np.memmap)
        assert stored.dtype == np.float16
        assert stored.shape == (12, 384)
        cosines = (stored.astype(np.float32) * model.encode(texts)).sum(axis=1)
        np.testing.assert_allclose(cosines, 1, atol=2e-3)  # bfloat16 where the CPU has it

    labels = torch.tensor([9, 2, 5])
    teacher: Teacher = VectorTeacher(vectors)
    scores = teacher.scores([{}, {}], labels)
    assert scores.dtype == torch.float32
    a, p = (array[labels.numpy()].astype(np.float32) for array in (vectors.anchors, vectors.positives))
    np.testing.assert_allclose(scores.numpy(), a @ p.T, atol=2e-3)
    assert (scores.argmax(dim=1) == torch.arange(3)).all()


def test_a_killed_run_goes_on_from_its_last_whole_chunk(minilm_path, monkeypatch, calls):
    monkeypatch.setattr(teacher_encoder, "CHUNK", 4)
    loaded, part = [source("a", 10)], TeacherPart(models=(minilm_path,), weight=1)
    recorded = teacher_encoder._vectors

    def killed(model, column, texts):
        if len(calls) == 3:
            raise KeyboardInterrupt
        return recorded(model, column, texts)

    monkeypatch.setattr(teacher_encoder, "_vectors", killed)
    with pytest.raises(KeyboardInterrupt):
        encode_rows(loaded, part, seed=0)
    monkeypatch.setattr(teacher_encoder, "_vectors", recorded)
    _, resumed = encode_rows(loaded, part, seed=0)
    assert [len(texts) for texts in calls] == [4, 4, 4, 4, 2, 2]
    assert len({text for texts in calls for text in texts}) == 20

    _, again = encode_rows(loaded, part, seed=0)
    assert len(calls) == 6
    assert again.directory == resumed.directory
    assert not list(resumed.directory.parent.glob(".*"))
    one = SentenceTransformer(minilm_path, device="cpu").encode(loaded[0].rows["positive"][9])
    np.testing.assert_allclose(resumed.positives[9] @ one, 1, atol=3e-3)


def test_several_models_are_their_mean_and_cost_only_the_new_one(minilm_path, tmp_path, calls):
    other = tmp_path / "other"
    SentenceTransformer(minilm_path, device="cpu", truncate_dim=None).save(str(other))
    loaded = [source("a", 10)]
    _, one = encode_rows(loaded, TeacherPart(models=(minilm_path,), weight=1), seed=0)
    assert len(calls) == 2
    both = TeacherPart(models=(minilm_path, str(other)), weight=1)
    _, two = encode_rows(loaded, both, seed=0)
    assert len(calls) == 4
    assert two.anchors.shape == (10, 768)
    labels = torch.arange(10)
    cosines = [VectorTeacher(vectors).scores([{}, {}], labels) for vectors in (one, two)]
    torch.testing.assert_close(cosines[0], cosines[1], atol=2e-3, rtol=0)


def test_a_text_that_comes_twice_is_read_once(minilm_path, monkeypatch):
    model = SentenceTransformer(minilm_path, device="cpu")
    read = []
    encode = model.encode

    def recorded(*args, **options):
        read.extend(args[0] if args else options.get("inputs", options.get("sentences")))
        return encode(*args, **options)

    monkeypatch.setattr(model, "encode", recorded)
    vectors = teacher_encoder._vectors(model, "positive", ["one", "two", "one"])
    assert read == ["one", "two"]
    assert np.array_equal(vectors[0], vectors[2])


def test_fused_vectors_have_fewer_dims(minilm_path):
    part = TeacherPart(models=(minilm_path,), weight=1, fusion_dim=24)
    _, vectors = encode_rows([source("a", 40)], part, seed=0)
    assert vectors.anchors.shape == vectors.positives.shape == (40, 24)
    np.testing.assert_allclose(np.linalg.norm(vectors.anchors.astype(np.float32), axis=1), 1, atol=2e-3)
    info = json.loads((vectors.directory / "info.json").read_text())
    assert info["models"] == [minilm_path]
    assert list(info["fusion"]) == ["24"]
    assert sorted(file.name for file in vectors.directory.iterdir()) == [
        "anchors.npy",
        "info.json",
        "positives.npy",
    ]


def test_vectors_made_elsewhere(minilm_path, tmp_path, calls):
    loaded = [source("a", 10)]
    _, made = encode_rows(loaded, TeacherPart(models=(minilm_path,), weight=1, rows=6), seed=0)
    there = tmp_path / "there"
    made.directory.rename(there)
    part = TeacherPart(vectors=str(there), weight=1, rows=6)
    chosen, vectors = encode_rows(loaded, part, seed=0)
    assert len(calls) == 2
    assert len(chosen[0].rows) == 6
    assert vectors.directory == there
    with pytest.raises(SseError, match="other texts"):
        encode_rows(loaded, part, seed=1)
    with pytest.raises(SseError, match="not vectors of the 7 rows"):
        encode_rows(loaded, part.model_copy(update={"rows": 7}), seed=0)
    (there / "info.json").unlink()
    encode_rows(loaded, part, seed=1)
    np.save(there / "anchors.npy", np.zeros((6, 2), np.float32))
    with pytest.raises(SseError, match="differ in width"):
        read_vectors(there, 6)
    (there / "anchors.npy").write_bytes(b"no array")
    with pytest.raises(SseError, match=r"anchors\.npy"):
        read_vectors(there, 6)
    with pytest.raises(SseError, match="nowhere"):
        read_vectors(tmp_path / "nowhere", 6)


def test_negatives_and_unknown_models_are_named():
    part = TeacherPart(models=("./nothing-here",), weight=1)
    with pytest.raises(SseError, match=r"source 'a': has the column 'negative'"):
        encode_rows([source("a", 4, negative=["x"] * 4)], part, seed=0)
    alone = source("a", 4)
    alone = replace(alone, source=alone.source.model_copy(update={"in_batch": False}))
    with pytest.raises(SseError, match="in_batch = false"):
        encode_rows([alone], part, seed=0)
    with pytest.raises(SseError, match=r"teacher\.models: \./nothing-here"):
        encode_rows([source("a", 4)], part, seed=0)


@pytest.mark.parametrize(
    "values",
    [
        {"weight": 0.5},
        {"models": ["a"], "vectors": "b"},
        {"models": ["a", "a"]},
        {"vectors": "b", "fusion_dim": 4},
        {"weight": 2, "models": ["a"]},
    ],
)
def test_a_part_that_says_nothing_sound_is_refused(values):
    with pytest.raises(ValidationError):
        TeacherPart.model_validate(values)


def write_vectors(folder, anchors, positives):
    folder.mkdir()
    np.save(folder / "anchors.npy", anchors.astype(np.float16))
    np.save(folder / "positives.npy", positives.astype(np.float16))
    return VectorTeacher(read_vectors(folder, len(anchors)))


def test_the_loss_takes_its_targets_from_the_teacher(tmp_path):
    """A student whose vectors are the teacher's is at the minimum, the entropy of the teacher's targets."""
    rng = np.random.default_rng(0)
    anchors, positives = rng.standard_normal((2, 40, 8))
    teacher = write_vectors(tmp_path / "v", anchors, positives)
    labels = torch.tensor([3, 31, 17, 8])
    scores = 20 * teacher.scores([{}, {}], labels)
    expected = -(scores.softmax(dim=1) * scores.log_softmax(dim=1)).sum(dim=1).mean()
    columns = [
        {"sentence_embedding": torch.tensor(array[labels.numpy()], dtype=torch.float32, requires_grad=True)}
        for array in (anchors, positives)
    ]
    loss = FusedMatryoshkaMNRL(lambda features: features, dims=[8], scale=20.0, teacher=teacher)
    loss.teacher_weight, loss.teacher_scale = 1.0, 20.0
    value = loss(columns, labels)
    assert value.item() == pytest.approx(expected.item(), abs=2e-3)
    value.backward()
    assert columns[0]["sentence_embedding"].grad.abs().max() < 0.02


def test_what_has_no_vectors_cannot_be_scored(tmp_path):
    teacher = write_vectors(tmp_path / "v", np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="anchors and positives only, got 3 columns"):
        teacher.scores([{}, {}, {}], torch.arange(2))
    with pytest.raises(ValueError, match="no labels"):
        teacher.scores([{}, {}], None)
