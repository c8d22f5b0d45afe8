"""The module: its formula, its state dict, its input rules, and what sentence-transformers does with it."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from tokenizers import Tokenizer

from sse.modeling import SSE, SeparableDyT, build_model
from tests.conftest import TEXTS

try:
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
except ImportError:
    from sentence_transformers.losses import CachedMultipleNegativesRankingLoss


def by_hand(module: SSE, text: str, tokenizer: Tokenizer) -> np.ndarray:
    """The formula of SSE in float64 NumPy."""
    clean = Tokenizer.from_str(tokenizer.to_str())
    clean.no_truncation()
    clean.no_padding()
    ids = clean.encode(text, add_special_tokens=False).ids
    state = {name: value.double().numpy() for name, value in module.state_dict().items()}
    rows = state["embedding.weight"][ids]
    mean = rows.mean(axis=0) if len(ids) else np.zeros(rows.shape[1])
    return state["dyt.beta"] * np.tanh(state["dyt.alpha"] * mean + state["dyt.bias"])


def test_formula_on_every_text(sse, model, bert_tokenizer):
    vectors = model.encode(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(vector, by_hand(sse, text, bert_tokenizer), atol=1e-5)


def test_separable_dyt_has_one_of_each_per_dimension():
    dyt = SeparableDyT(3, alpha_init=0.25)
    assert {name: tuple(p.shape) for name, p in dyt.named_parameters()} == {
        "alpha": (3,),
        "beta": (3,),
        "bias": (3,),
    }
    x = torch.randn(5, 3)
    torch.testing.assert_close(dyt(x), torch.tanh(0.25 * x))


def test_state_dict_has_the_published_names(sse):
    assert sorted(sse.state_dict()) == ["dyt.alpha", "dyt.beta", "dyt.bias", "embedding.weight"]


def test_start_values_are_the_published_ones(bert_tokenizer):
    torch.manual_seed(0)
    module = SSE(bert_tokenizer, 64)
    assert module.embedding.weight.shape == (30522, 64)
    assert abs(float(module.embedding.weight.detach().std()) - 1) < 0.01
    assert module.dyt.alpha.unique().tolist() == [0.5]
    assert module.dyt.beta.unique().tolist() == [1.0]
    assert module.dyt.bias.unique().tolist() == [0.0]


def test_cutting_columns_commutes_with_the_model(sse, model):
    small = SSE(sse.tokenizer, weights=sse.embedding.weight[:, :16])
    for name, parameter in small.dyt.named_parameters():
        parameter.data = getattr(sse.dyt, name).data[:16]
    cut = model.encode(TEXTS, truncate_dim=16)
    np.testing.assert_array_equal(build_model(small).encode(TEXTS), cut)


@pytest.mark.parametrize("texts", [TEXTS, [""], ["", ""], ["one"], ["x " * n for n in range(50)]])
def test_padded_batch_gives_the_same_bits(sse, model, texts):
    flat = model.encode(texts)
    sse.batch_layout = "padded"
    features = sse.preprocess(texts)
    assert features["input_ids"].ndim == features["attention_mask"].ndim == 2
    np.testing.assert_array_equal(model.encode(texts), flat)


def test_padded_batch_gives_the_same_gradients(sse):
    grads = []
    for layout in ("flat", "padded"):
        sse.batch_layout = layout
        sse.zero_grad()
        sse(sse.preprocess(TEXTS))["sentence_embedding"].square().sum().backward()
        grads.append({name: p.grad.clone() for name, p in sse.named_parameters()})
    for name in grads[0]:
        torch.testing.assert_close(grads[0][name], grads[1][name], rtol=0, atol=0)


def test_a_2d_batch_without_a_mask_counts_every_id(sse):
    ids = torch.tensor([[5, 6], [7, 7]])
    both = sse({"input_ids": ids})["sentence_embedding"]
    flat = sse({"input_ids": ids.flatten(), "offsets": torch.tensor([0, 2])})["sentence_embedding"]
    assert torch.equal(both, flat)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_one_step_with_a_cached_loss(sse, tmp_path, chunk):
    from datasets import Dataset

    sse.batch_layout = "padded"
    model = build_model(sse)
    rows = [{"anchor": f"question {n}", "positive": f"answer {n} " * (n + 1)} for n in range(8)]
    before = {name: p.detach().clone() for name, p in sse.named_parameters()}
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=8,
            learning_rate=0.1,
            lr_scheduler_type="constant",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(rows),
        loss=CachedMultipleNegativesRankingLoss(model, mini_batch_size=chunk),
    )
    trainer.train()
    for name, parameter in sse.named_parameters():
        assert not torch.equal(parameter, before[name]), name


def test_empty_text_is_the_published_constant_by_default(sse, model):
    constant = (sse.dyt.beta * torch.tanh(sse.dyt.bias)).detach().numpy()
    assert np.abs(constant).max() > 0.1
    for text in ("", "  ", "\n\t"):
        np.testing.assert_array_equal(model.encode(text), constant)


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_empty_text_is_zero_if_asked(sse, layout):
    module = SSE(sse.tokenizer, weights=sse.embedding.weight, empty_text="zero", batch_layout=layout)
    module.dyt.load_state_dict(sse.dyt.state_dict())
    vectors = build_model(module).encode(["", "word", "  "])
    assert not vectors[0].any()
    assert not vectors[2].any()
    np.testing.assert_array_equal(vectors[1], build_model(sse).encode("word"))


def test_nothing_is_cut_silently(bert_tokenizer):
    assert bert_tokenizer.truncation is not None  # the tokenizer's own file asks for 128 tokens and padding
    assert bert_tokenizer.padding is not None
    module = SSE(bert_tokenizer, 8)
    assert len(module.preprocess(["word " * 700])["input_ids"]) == 700
    assert bert_tokenizer.truncation is not None  # the caller's tokenizer is left as it was


def test_max_seq_length_is_settable_and_counts_tokens(model):
    assert model.max_seq_length is None
    long, short = "alpha beta gamma delta", "alpha beta"
    model.max_seq_length = 2
    assert model.max_seq_length == 2
    np.testing.assert_array_equal(model.encode(long), model.encode(short))
    model.max_seq_length = None
    assert not np.array_equal(model.encode(long), model.encode(short))


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", True])
def test_max_seq_length_refuses_nonsense(sse, value):
    with pytest.raises(ValueError, match="max_seq_length"):
        sse.max_seq_length = value


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        ([None], "None"),
        (["fine", 7], "7"),
        ([b"bytes"], "b'bytes'"),
        ([("two", "strings")], r"\('two', 'strings'\)"),
        ([["two", "strings"]], r"\['two', 'strings'\]"),
        ([{"text": "x"}], "'text'"),
        (["fine", "broken \ud800 text"], r"broken \\ud800 text"),
        (["x" * 200 + "\udfff"], "xxx"),
    ],
)
def test_bad_items_raise_value_error_that_shows_them(model, texts, shown):
    with pytest.raises(ValueError, match=shown):
        model.encode(texts)


def test_bad_items_raise_through_prompts_too(sse):
    with pytest.raises(ValueError, match="None"):
        sse.preprocess([None], prompt="query: ")


def test_prompt_is_put_in_front(model):
    np.testing.assert_array_equal(model.encode("text", prompt="query: "), model.encode("query: text"))


def test_empty_list_has_well_formed_features(sse):
    vectors = sse(sse.preprocess([]))["sentence_embedding"]
    assert vectors.shape == (0, 64)


def test_array_and_tuple_of_strings(model):
    np.testing.assert_array_equal(model.encode(np.array(TEXTS)), model.encode(TEXTS))
    np.testing.assert_array_equal(model.encode(tuple(TEXTS)), model.encode(TEXTS))


def test_pickle_and_deepcopy(model):
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copied.encode(TEXTS), model.encode(TEXTS))


def test_save_and_load_keep_everything(sse, tmp_path):
    sse.max_seq_length, sse.empty_text, sse.matryoshka_dims = 7, "zero", [64, 32]
    sse.training_facts = {"recipe": "r"}
    sse.save(str(tmp_path))
    again = SSE.load(str(tmp_path))
    assert (again.max_seq_length, again.empty_text, again.matryoshka_dims) == (7, "zero", [64, 32])
    assert again.training_facts == {"recipe": "r"}
    for name, value in sse.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_load_builds_the_class_it_is_called_on(sse, tmp_path):
    class Mine(SSE):
        pass

    sse.save(str(tmp_path))
    assert type(Mine.load(str(tmp_path))) is Mine


def test_torch_file_is_read_too(sse, tmp_path):
    sse.save(str(tmp_path), safe_serialization=False)
    assert not (tmp_path / "model.safetensors").exists()
    assert torch.equal(SSE.load(str(tmp_path)).embedding.weight, sse.embedding.weight)


def test_a_published_layout_loads(sse, tmp_path):
    """Four tensors and a tokenizer, without config.json."""
    save_file(sse.state_dict(), tmp_path / "model.safetensors")
    sse.tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = SSE.load(str(tmp_path))
    assert torch.equal(again.embedding.weight, sse.embedding.weight)


def test_ours_is_what_the_published_code_reads(sse, model, tmp_path):
    """Published code takes exactly these tensors in float32, and the tokenizer from tokenizer.json."""
    sse.save(str(tmp_path))
    state = load_file(tmp_path / "model.safetensors")
    assert {name: (tuple(v.shape), v.dtype) for name, v in state.items()} == {
        "embedding.weight": ((30522, 64), torch.float32),
        "dyt.alpha": ((64,), torch.float32),
        "dyt.beta": ((64,), torch.float32),
        "dyt.bias": ((64,), torch.float32),
    }
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    bag = torch.nn.EmbeddingBag.from_pretrained(state["embedding.weight"], mode="mean")
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    offsets = torch.tensor(np.cumsum([0] + [len(i) for i in ids[:-1]]))
    mean = bag(torch.tensor([i for row in ids for i in row]), offsets)
    out = state["dyt.beta"] * torch.tanh(state["dyt.alpha"] * mean + state["dyt.bias"])
    np.testing.assert_array_equal(model.encode(TEXTS), out.numpy())


def write_published_q4(
    folder, table: np.ndarray, dyt: dict[str, torch.Tensor], tokenizer: Tokenizer
) -> np.ndarray:
    """Write the published 4-bit layout by its own rules; returns what a reader must get back."""
    scale = np.abs(table).max(axis=1) + np.float32(1e-8)
    codes = np.clip(np.round((table / scale[:, None] + 1) * 7.5), 0, 15).astype(np.uint8)
    packed = (codes[:, 0::2] << 4) | codes[:, 1::2]
    data = packed.tobytes() + scale.astype("<f4").tobytes()
    (folder / "embedding.q4_k_m.bin").write_bytes(data)
    save_file(dyt, folder / "model_rest.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    return (codes.astype(np.float32) / np.float32(7.5) - 1) * scale[:, None]


def test_published_4_bit_file(sse, tmp_path):
    table = sse.embedding.weight.detach().numpy()
    dyt = {name: value for name, value in sse.state_dict().items() if name.startswith("dyt.")}
    expected = write_published_q4(tmp_path, table, dyt, sse.tokenizer)
    assert (tmp_path / "embedding.q4_k_m.bin").stat().st_size == 30522 * (32 + 4)
    again = SSE.load(str(tmp_path))
    np.testing.assert_allclose(again.embedding.weight.detach().numpy(), expected, rtol=1e-6, atol=1e-7)
    cosine = torch.nn.functional.cosine_similarity(again.embedding.weight, sse.embedding.weight)
    assert 0.98 < float(cosine.detach().mean()) < 0.9999


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b""])
def test_damaged_4_bit_file_is_refused_by_name(sse, tmp_path, damage):
    dyt = {name: value for name, value in sse.state_dict().items() if name.startswith("dyt.")}
    write_published_q4(tmp_path, sse.embedding.weight.detach().numpy(), dyt, sse.tokenizer)
    file = tmp_path / "embedding.q4_k_m.bin"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"embedding\.q4_k_m\.bin"):
        SSE.load(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no model.safetensors"),
        (lambda folder: _drop(folder, "dyt.alpha"), "no dyt.alpha"),
        (lambda folder: _drop(folder, "embedding.weight"), "neither embedding.weight nor"),
        (lambda folder: _set(folder, "dyt.beta", torch.ones(3)), r"dyt.beta has the shape \(3,\)"),
        (lambda folder: _set(folder, "embedding.weight", torch.ones(9, 64)), "ids up to 30521"),
        (lambda folder: _config(folder, format_version=99), "format version 99"),
    ],
)
def test_broken_directories_are_refused_with_a_sentence(sse, tmp_path, change, message):
    sse.save(str(tmp_path))
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        SSE.load(str(tmp_path))


def _drop(folder, name):
    state = load_file(folder / "model.safetensors")
    del state[name]
    save_file(state, folder / "model.safetensors")


def _set(folder, name, value):
    save_file({**load_file(folder / "model.safetensors"), name: value}, folder / "model.safetensors")


def _config(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_another_backend_is_refused_not_ignored(model, tmp_path):
    from sse.modeling import write_model

    write_model(model, tmp_path / "m")
    with pytest.raises(ValueError, match="onnx"):
        SentenceTransformer(str(tmp_path / "m"), trust_remote_code=True, backend="onnx")


@pytest.mark.parametrize("options", [{"empty_text": "none"}, {"batch_layout": "ragged"}])
def test_unknown_options(bert_tokenizer, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SSE(bert_tokenizer, 8, **options)


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ValueError, match="fast tokenizer"):
        SSE("bert-base-uncased", 8)


def test_padded_batches_can_be_split_by_rows_and_merged(sse, model):
    """What DataParallel does to a batch, and what newer losses do to columns that they run in one forward."""
    sse.batch_layout = "padded"
    expected = torch.from_numpy(model.encode(TEXTS))
    features = sse.preprocess(TEXTS)
    halves = [{key: value[rows] for key, value in features.items()} for rows in (slice(0, 3), slice(3, None))]
    assert torch.equal(torch.cat([sse(half)["sentence_embedding"] for half in halves]), expected)

    merged_forward = pytest.importorskip("sentence_transformers.base.losses.merged_forward")
    merged = merged_forward.merge_feature_batches([sse.preprocess(TEXTS), sse.preprocess(TEXTS[::-1])])
    assert merged is not None
    assert torch.equal(sse(merged)["sentence_embedding"], torch.cat([expected, expected.flip(0)]))
