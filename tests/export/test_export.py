"""The exported directory, loaded where this package is not installed, by the oldest and newest libraries."""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import sentence_transformers
import torch
from huggingface_hub import ModelCard
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from sse.errors import SseError
from sse.export import export
from sse.modeling import SSE, build_model, load_model
from tests.conftest import TEXTS

# More interpreters to load with, for example one with the oldest supported sentence-transformers.
PYTHONS = [sys.executable, *filter(None, os.environ.get("SSE_TEST_PYTHONS", "").split(os.pathsep))]

LOAD = """
import json, sys, numpy as np
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], trust_remote_code=True, device="cpu")
texts = json.load(open(sys.argv[2]))
np.save(sys.argv[3], model.encode(texts))
if len(sys.argv) > 4:
    model.save_pretrained(sys.argv[4])
"""

RESULTS = {
    "schema": 1,
    "model": "m",
    "graded": True,
    "sets": {
        "one": {
            "queries": 2,
            "docs": 3,
            "in_domain": False,
            "dims": {"64": {"ndcg@10": 0.4321, "mrr@10": 0.3}, "32": {"ndcg@10": 0.4, "mrr@10": 0.2}},
            "per_query": {},
        }
    },
    "mean": {"64": {"ndcg@10": 0.4321, "mrr@10": 0.3}, "32": {"ndcg@10": 0.4, "mrr@10": 0.2}},
    "baselines": {"bm25": {"sets": {"one": {"ndcg@10": 0.55}}, "mean": {"ndcg@10": 0.55}}},
    "environment": {},
}


@pytest.fixture
def texts_file(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(TEXTS))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_bit_equal_where_sse_is_not_installed_and_after_saving_there(
    model, tmp_path, run_outside, texts_file, python
):
    target, again = tmp_path / "exported", tmp_path / "again"
    export(model, target)
    expected = model.encode(TEXTS)
    done = run_outside(LOAD, str(target), texts_file, str(tmp_path / "v.npy"), str(again), python=python)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)

    done = run_outside(LOAD, str(again), texts_file, str(tmp_path / "w.npy"), python=python)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "w.npy"), expected)
    assert json.loads((again / "modules.json").read_text())[0]["type"] == "modeling_sse.SSE"
    assert json.loads((again / "config.json").read_text())["matryoshka_dims"] == model[0].matryoshka_dims


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("table", ["f16", "int8", "int4"])
def test_small_tables_load_outside_as_they_were_measured(
    model, tmp_path, run_outside, texts_file, python, table
):
    export(model, tmp_path / "exported", table=table)
    done = run_outside(LOAD, str(tmp_path / "exported"), texts_file, str(tmp_path / "v.npy"), python=python)
    assert done.returncode == 0, done.stderr
    vectors = np.load(tmp_path / "v.npy")
    np.testing.assert_array_equal(vectors, load_model(tmp_path / "exported").encode(TEXTS))
    np.testing.assert_allclose(
        vectors, model.encode(TEXTS), atol={"f16": 1e-3, "int8": 0.05, "int4": 0.6}[table]
    )


@pytest.mark.slow
@pytest.mark.skipif(
    sentence_transformers.__version__ < "6", reason="older versions load local code without the flag"
)
def test_without_the_flag_the_library_refuses(model, tmp_path, run_outside):
    export(model, tmp_path / "exported")
    code = (
        "import sys; from sentence_transformers import SentenceTransformer; SentenceTransformer(sys.argv[1])"
    )
    done = run_outside(code, str(tmp_path / "exported"))
    assert done.returncode != 0
    assert "'modeling_sse.SSE'" in done.stderr
    assert "trust_remote_code=True" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS)
def test_plain_export_needs_no_flag(model, tmp_path, run_outside, texts_file, python):
    export(model, tmp_path / "plain", plain=True)
    code = LOAD.replace(", trust_remote_code=True", "")
    done = run_outside(code, str(tmp_path / "plain"), texts_file, str(tmp_path / "v.npy"), python=python)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "v.npy"), model.encode(TEXTS), atol=1e-6, rtol=0)


def read_with_numpy(folder: Path, text: str) -> tuple[list[int], np.ndarray]:
    """A reader that knows only the documented files: safetensors, tokenizer.json and the formula."""
    state = load_file(folder / "model.safetensors")
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    if "embedding.weight" in state:
        table = state["embedding.weight"].astype(np.float32)
    elif "embedding.codebook" in state:
        codes, scales = state["embedding.codes"], state["embedding.scales"].astype(np.float32)
        indices = np.stack([codes >> 4, codes & 15], axis=2).reshape(len(codes), -1)
        values = state["embedding.codebook"][indices]
        table = values * np.repeat(scales, values.shape[1] // scales.shape[1], axis=1)
    else:
        table = state["embedding.codes"].astype(np.float32) * state["embedding.scales"]
    mean = table[ids].mean(axis=0) if ids else np.zeros(table.shape[1], dtype=np.float32)
    return ids, state["dyt.beta"] * np.tanh(state["dyt.alpha"] * mean + state["dyt.bias"])


@pytest.mark.parametrize("table", ["f32", "f16", "int8", "int4"])
def test_golden_vectors_check_a_reader_of_the_files(model, tmp_path, table):
    export(model, tmp_path / "exported", table=table)
    golden = json.loads((tmp_path / "exported" / "golden.json").read_text())
    assert len(golden["items"]) >= 8
    for item in golden["items"]:
        ids, vector = read_with_numpy(tmp_path / "exported", item["text"])
        assert ids == item["ids"]
        np.testing.assert_allclose(vector, item["vector"], atol=golden["tolerance"])


@pytest.mark.parametrize("dim", [64, 48])
def test_better_tables_are_closer(bert_tokenizer, tmp_path, dim):
    torch.manual_seed(1)
    model = build_model(SSE(bert_tokenizer, dim))
    done = [export(model, tmp_path / table, table=table) for table in ("f32", "f16", "int8", "int4")]
    cosines, sizes = [e.cosine for e in done], [e.table_bytes for e in done]
    assert cosines == sorted(cosines, reverse=True)
    assert sizes == sorted(sizes, reverse=True)
    assert cosines[0] == pytest.approx(1)
    assert cosines[2] > 0.9999
    assert cosines[3] > 0.98


def test_int8_scales_follow_the_table(sse, tmp_path):
    """Rows of very different norms want a scale a row, columns of very different norms one a column."""
    layouts = []
    for axis in (0, 1):
        shape = [1, 1]
        shape[axis] = sse.embedding.weight.shape[axis]
        torch.manual_seed(0)
        spread = torch.exp(2 * torch.randn(shape))
        module = SSE(sse.tokenizer, weights=torch.randn_like(sse.embedding.weight) * spread)
        layouts.append(export(build_model(module), tmp_path / str(axis), table="int8").table)
    assert layouts == ["int8, one scale a row", "int8, one scale a column"]


def test_requirements_and_config_are_written(model, tmp_path):
    model[0].matryoshka_dims = [64, 32]
    export(model, tmp_path / "exported", table="int8")
    settings = json.loads((tmp_path / "exported" / "config_sentence_transformers.json").read_text())
    assert settings["requirements"]["sentence-transformers"]["specifier"] == ">=5.2"
    config = json.loads((tmp_path / "exported" / "config.json").read_text())
    assert (config["format_version"], config["dim"], config["vocab_size"]) == (1, 64, 30522)
    assert (config["table"], config["pooling"], config["matryoshka_dims"]) == ("int8", "mean", [64, 32])


def test_card_has_the_flag_and_real_numbers(model, tmp_path):
    export(model, tmp_path / "exported", results=RESULTS, name="somebody/model")
    card = ModelCard.load(tmp_path / "exported" / "README.md")
    assert 'SentenceTransformer("somebody/model", trust_remote_code=True)' in card.text
    values = {(r.dataset_name, r.metric_type): r.metric_value for r in card.data.eval_results}
    assert values[("one", "ndcg@10")] == 0.4321
    assert values[("mean of 1 sets", "mrr@10")] == 0.3
    assert "| one | 0.4321 | 0.4000 | 0.5500 | no |" in card.text


def test_card_without_results_claims_none(model, tmp_path):
    export(model, tmp_path / "exported")
    card = ModelCard.load(tmp_path / "exported" / "README.md")
    assert card.data.eval_results is None
    assert "nDCG" not in card.text


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_the_snippet_of_the_card_runs(model, tmp_path, run_outside, plain):
    target = tmp_path / "exported"
    export(model, target, plain=plain, name=str(target))
    snippet = re.search(r"```python\n(.*?)```", (target / "README.md").read_text(), re.DOTALL)[1]
    assert ("trust_remote_code" in snippet) is not plain
    done = run_outside(snippet)
    assert done.returncode == 0, done.stderr
    assert "tensor" in done.stdout


def test_results_beside_the_model_are_used(model, tmp_path):
    from sse.modeling import write_model

    write_model(model, tmp_path / "trained")
    (tmp_path / "trained" / "results.json").write_text(json.dumps(RESULTS))
    export(tmp_path / "trained", tmp_path / "exported")
    assert ModelCard.load(tmp_path / "exported" / "README.md").data.eval_results


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2, "sets": {}}'])
def test_bad_results_are_named(model, tmp_path, content):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(SseError, match=r"r\.json"):
        export(model, tmp_path / "exported", results=tmp_path / "r.json")
    assert not (tmp_path / "exported").exists()


def test_an_export_is_replaced_and_anything_else_is_not(model, tmp_path):
    target = tmp_path / "exported"
    export(model, target)
    export(model, target, table="int8")
    assert json.loads((target / "config.json").read_text())["table"] == "int8"
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(SseError, match="not an exported model"):
        export(model, other)
    assert (other / "thesis.txt").read_text() == "years of work"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "mine"]  # no parts left behind


def test_a_failed_export_leaves_the_old_one(model, tmp_path, monkeypatch):
    target = tmp_path / "exported"
    export(model, target)
    before = {p.name: p.read_bytes() for p in target.iterdir()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sse.export.package.golden", full)
    with pytest.raises(OSError, match="No space"):
        export(model, target, table="int8")
    assert {p.name: p.read_bytes() for p in target.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["exported"]


def test_bad_tables_are_refused(model, tmp_path):
    with pytest.raises(SseError, match="plain twin"):
        export(model, tmp_path / "x", plain=True, table="int8")
    with torch.no_grad():
        model[0].embedding.weight[5, 5] = float("nan")
    with pytest.raises(SseError, match="not finite"):
        export(model, tmp_path / "x", table="int8")


def test_other_models_are_refused(minilm_path, tmp_path):
    with pytest.raises(SseError, match="SSE"):
        export(minilm_path, tmp_path / "x")
    with pytest.raises(SseError, match="no such directory"):
        export(tmp_path / "nothing", tmp_path / "x")


def test_a_narrower_table_is_the_model_cut_and_normalised(model, tmp_path):
    model[0].count_exponent, model[0].embedding.mode = 0.5, "sum"
    done = export(model, tmp_path / "narrow", dim=24)
    narrow = load_model(done.directory)
    wanted = model.encode(TEXTS, truncate_dim=24, normalize_embeddings=True)
    np.testing.assert_allclose(narrow.encode(TEXTS, normalize_embeddings=True), wanted, atol=1e-6)
    assert done.table_bytes == 24 * 4 * 30522
    with pytest.raises(SseError, match="dim must be from 1 to 64, not 65"):
        export(model, tmp_path / "wide", dim=65)
