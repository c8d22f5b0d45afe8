"""The ONNX files of an export: onnxruntime, the torch module and Encoder give the same vectors."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from sse import Encoder
from sse.errors import MissingExtraError, SseError
from sse.export import export, render_card
from sse.export.card_facts import CardFacts
from sse.export.onnx import MODEL, QUANTIZED, check, run
from sse.modeling import SSE, build_model, load_model
from sse.training.start.vocabulary import train_wordpiece
from tests.conftest import TEXTS
from tests.export.test_export import LOAD

KINDS = {"published": (512, 1, "constant"), "counted": (512, 0.75, "constant"), "zero": (50, 0.5, "zero")}
"""dim, count_exponent and empty_text by name."""
ROWS = 2000


def make(
    tokenizer: Tokenizer, dim: int, exponent: float = 1, empty: str = "constant", rows: bool = False
) -> SSE:
    torch.manual_seed(0)
    weights = torch.randn(max(ROWS, tokenizer.get_vocab_size()), dim)
    module = SSE(tokenizer, weights=weights, count_exponent=exponent, empty_text=empty)
    with torch.no_grad():
        module.dyt.alpha.uniform_(0.2, 2.0)
        module.dyt.beta.uniform_(0.5, 1.5)
        module.dyt.bias.uniform_(-0.5, 0.5)
        if rows:  # int8 then takes a scale a row
            module.embedding.weight *= torch.exp(2 * torch.randn(len(module.embedding.weight), 1))
    return module


def session(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session")
def small() -> Tokenizer:
    """A WordPiece tokenizer of few pieces, with which an export takes no time."""
    return train_wordpiece(TEXTS, 300, min_frequency=1)


@pytest.fixture(scope="session")
def exported(small, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("onnx")
    for name, options in KINDS.items():
        for table in ("f32", "int8"):
            export(build_model(make(small, *options)), root / f"{name}_{table}", table=table, onnx=True)
    by_row = make(small, 64, 0.75, rows=True)
    assert export(build_model(by_row), root / "rows_int8", table="int8", onnx=True).table.endswith("a row")
    return {path.name: path for path in root.iterdir()}


@pytest.fixture(scope="session")
def bags() -> list[list[int]]:
    """Ragged lists of ids: empty ones, many repeats, one of 5,000 tokens, and the first and last row of the table."""
    random = np.random.default_rng(0)
    drawn = [random.integers(0, ROWS, size).tolist() for size in (1, 2, 17, 0, 300, 5000)]
    return [*drawn, [7] * 1000, [0, 0, ROWS - 1, 0], [], [5, 6] * 40]


@pytest.mark.parametrize("padding", [0, -1, 10**12])
@pytest.mark.parametrize("kind", KINDS)
def test_float_file_is_the_torch_module(exported, bags, kind, padding):
    module = load_model(exported[f"{kind}_f32"])[0]
    ids = torch.tensor([i for bag in bags for i in bag])
    offsets = torch.tensor([0, *map(len, bags)][:-1]).cumsum(0)
    wanted = module({"input_ids": ids, "offsets": offsets})["sentence_embedding"].detach().numpy()
    found = run(session(exported[f"{kind}_f32"] / MODEL), bags, padding)
    assert found.dtype == np.float32
    # torch adds a row a thousand times, one after the other in float32, and is 1.3e-5 off from itself in float64
    repeats = bags.index([7] * 1000)
    module.double()
    wanted[repeats] = module({"input_ids": ids, "offsets": offsets})["sentence_embedding"].detach()[repeats]
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_places_of_the_mask_and_rows_without_any(exported, kind):
    """Padding on the left or in between, mask values other than 1, and a row that is all padding."""
    module = load_model(exported[f"{kind}_f32"])[0]
    ids = torch.tensor([[9, 5, 9, 3], [4, 4, 4, 4], [8, 1, 1, 2]])
    mask = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 7, 1, 1]])
    wanted = module({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].detach().numpy()
    feed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
    (found,) = session(exported[f"{kind}_f32"] / MODEL).run(None, feed)
    np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)
    assert (not found[1].any()) == (kind == "zero")


@pytest.mark.parametrize("kind", [*KINDS, "rows"])
def test_int8_files_are_the_int8_encoder(exported, kind):
    directory = exported[f"{kind}_int8"]
    encoder = Encoder.from_pretrained(directory)
    wanted = encoder.encode(TEXTS, normalize_embeddings=False)
    for name in (QUANTIZED, MODEL):  # the second has the same table written out
        found = run(session(directory / name), encoder.tokenize(TEXTS))
        np.testing.assert_allclose(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize("table", ["f32", "f16", "int4"])
def test_other_tables_get_their_own_int8_file(small, tmp_path, table):
    export(build_model(make(small, 64)), tmp_path / "m", table=table, onnx=True)
    encoder = Encoder.from_pretrained(tmp_path / "m")
    wanted = encoder.encode(TEXTS, normalize_embeddings=False)
    ids = encoder.tokenize(TEXTS)
    np.testing.assert_allclose(run(session(tmp_path / "m" / MODEL), ids), wanted, atol=1e-5)
    np.testing.assert_allclose(run(session(tmp_path / "m" / QUANTIZED), ids), wanted, atol=0.05)


@pytest.mark.parametrize("kind", ["counted", "rows"])
def test_an_int8_table_stays_int8(exported, kind, tmp_path):
    """In the file, and in what onnxruntime makes of it when it loads it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    file = exported[f"{kind}_int8"] / QUANTIZED
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    for path in (file, tmp_path / "optimized.onnx"):
        large = [t for t in onnx.load(path).graph.initializer if np.prod(t.dims) > 10 * ROWS]
        assert [(t.data_type, t.dims[0]) for t in large] == [(onnx.TensorProto.INT8, ROWS)]


def test_thirty_thousand_rows_of_512_stay_under_16_mb(bert_tokenizer, tmp_path):
    done = export(build_model(make(bert_tokenizer, 512, 0.75)), tmp_path / "m", table="int8", onnx=True)
    assert done.onnx == {name: (tmp_path / "m" / name).stat().st_size for name in (MODEL, QUANTIZED)}
    assert 512 * 30522 < done.onnx[QUANTIZED] < 16_000_000 < 4 * 512 * 30522 < done.onnx[MODEL]


def test_the_interface_of_the_files(exported):
    for file in (exported["counted_int8"] / MODEL, exported["published_f32"] / QUANTIZED):
        onnx.checker.check_model(str(file), full_check=True)
        model = onnx.load(file)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 16)]
        of = session(file)
        assert [(i.name, i.type, i.shape) for i in of.get_inputs()] == [
            (name, "tensor(int64)", ["batch", "sequence"]) for name in ("input_ids", "attention_mask")
        ]
        (output,) = of.get_outputs()
        assert (output.name, output.type, output.shape[0]) == ("sentence_embedding", "tensor(float)", "batch")
    none = np.zeros((0, 3), np.int64)
    assert of.run(None, {"input_ids": none, "attention_mask": none})[0].shape == (0, 512)


def test_counting_is_left_out_where_it_changes_nothing(exported):
    kinds = {
        name: {node.op_type for node in onnx.load(exported[name] / MODEL).graph.node}
        for name in ("published_f32", "counted_f32")
    }
    assert {"ScatterElements", "Pow"} <= kinds["counted_f32"]
    assert not {"ScatterElements", "Pow"} & kinds["published_f32"]


def test_normalised_files(small, tmp_path):
    model = build_model(make(small, 64, 0.75, "zero"))
    done = export(model, tmp_path / "unit", onnx=True, onnx_normalize=True)
    assert set(done.onnx) == {MODEL, QUANTIZED}
    found = run(
        session(tmp_path / "unit" / MODEL), Encoder.from_pretrained(tmp_path / "unit").tokenize(TEXTS)
    )
    np.testing.assert_allclose(found, model.encode(TEXTS, normalize_embeddings=True), atol=1e-6)


def test_a_file_that_gives_other_vectors_is_refused(exported, small, tmp_path, monkeypatch):
    golden = json.loads((exported["counted_int8"] / "golden.json").read_text())
    check(exported["counted_int8"] / QUANTIZED, golden)
    golden["items"][4]["vector"][300] += 2e-5
    with pytest.raises(SseError, match=r"model_quantized.onnx: the text 'naïve café.* has another vector"):
        check(exported["counted_int8"] / QUANTIZED, golden)
    golden["items"][4]["vector"][300] = float("nan")
    with pytest.raises(SseError, match="another vector"):
        check(exported["counted_int8"] / QUANTIZED, golden)

    monkeypatch.setattr("sse.export.onnx_graph._floor", lambda graph, name: name)  # 0 / 0 for an empty text
    with pytest.raises(SseError, match=r"model.onnx: the text '' of golden.json has another vector"):
        export(build_model(make(small, 16)), tmp_path / "wrong", onnx=True)
    assert not list(tmp_path.iterdir())


def without_padding() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"red": 0, "planet": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.mark.parametrize("kind", ["bert", "none"])
def test_what_other_libraries_read_beside(bert_tokenizer, tmp_path, kind):
    """Without being told so, they add no token and cut where the model cuts; they find a token to pad with."""
    module = make(bert_tokenizer if kind == "bert" else without_padding(), 16)
    module.max_seq_length = 8 if kind == "bert" else None
    assert bert_tokenizer.encode("red").ids != bert_tokenizer.encode("red", add_special_tokens=False).ids
    export(build_model(module), tmp_path / "m", onnx=True)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "m")
    golden = json.loads((tmp_path / "m" / "golden.json").read_text())
    for item in golden["items"]:
        assert theirs(item["text"], truncation=True)["input_ids"] == item["ids"]
    config = json.loads((tmp_path / "m" / "tokenizer_config.json").read_text())
    assert config["model_max_length"] == (8 if kind == "bert" else 8192)
    assert theirs.pad_token_id == (0 if kind == "bert" else None)
    special = json.loads((tmp_path / "m" / "special_tokens_map.json").read_text())
    assert special == ({"pad_token": "[PAD]", "unk_token": "[UNK]"} if kind == "bert" else {})


@pytest.mark.slow
def test_the_directory_loads_as_before(exported, tmp_path, run_outside):
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    for directory in (exported["counted_f32"], exported["counted_int8"]):
        done = run_outside(LOAD, str(directory), str(tmp_path / "texts.json"), str(tmp_path / "v.npy"))
        assert done.returncode == 0, done.stderr
        ours = Encoder.from_pretrained(directory).encode(TEXTS, normalize_embeddings=False)
        np.testing.assert_allclose(np.load(tmp_path / "v.npy"), ours, atol=1e-5)


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_the_missing_extra_is_named_before_any_work(model, tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"{module} is needed.*stable-static-embedding\[onnx\]"):
        export(model, tmp_path / "m", onnx=True)
    export(model, tmp_path / "m")


def test_the_plain_twin_has_none(model, tmp_path):
    with pytest.raises(SseError, match="plain twin has no ONNX"):
        export(model, tmp_path / "m", plain=True, onnx=True)


def test_the_card_tells_how_to_load_them(exported):
    directory = exported["counted_int8"]
    card = render_card(CardFacts.of(directory, "owner/name"))
    snippet = re.search(r"```python\n(from fastembed.*?)```", card, re.DOTALL)[1]
    assert 'sources=ModelSource(hf="owner/name")' in snippet
    assert f"dim={Encoder.from_pretrained(directory).dim}," in snippet
    assert (directory / re.search(r'model_file="(.*?)"', snippet)[1]).is_file()
    assert 'AutoModel.from_pretrained("owner/name", { dtype: "q8" })' in card
