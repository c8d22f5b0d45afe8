"""The twin from built-in modules: the same vectors, and no flag."""

import json

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from sse.modeling import SSE, build_model, to_plain_twin, write_plain_twin
from tests.conftest import TEXTS


def test_same_vectors(model):
    np.testing.assert_allclose(to_plain_twin(model).encode(TEXTS), model.encode(TEXTS), atol=1e-6, rtol=0)


def test_same_vectors_with_a_token_limit(model):
    model.max_seq_length = 3
    np.testing.assert_allclose(to_plain_twin(model).encode(TEXTS), model.encode(TEXTS), atol=1e-6, rtol=0)


def test_saved_twin_loads_without_the_flag(model, tmp_path):
    write_plain_twin(model, tmp_path)
    again = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), model.encode(TEXTS), atol=1e-6, rtol=0)
    types = [module["type"] for module in json.loads((tmp_path / "modules.json").read_text())]
    assert types[1:] == ["sentence_transformers.models.Dense"] * 2


def test_prompts_are_kept(sse):
    model = build_model(sse, query_prompt="query: ")
    twin = to_plain_twin(model)
    np.testing.assert_allclose(twin.encode_query("x"), model.encode_query("x"), atol=1e-6, rtol=0)
    assert not np.allclose(twin.encode_query("x"), twin.encode_document("x"))


def test_twin_does_not_share_weights(model):
    twin = to_plain_twin(model)
    before = twin.encode("word").copy()
    model[0].embedding.weight.data.zero_()
    np.testing.assert_array_equal(twin.encode("word"), before)


def test_zero_vectors_are_refused_not_lost(bert_tokenizer):
    with pytest.raises(ValueError, match="zero"):
        to_plain_twin(SSE(bert_tokenizer, 8, empty_text="zero"))


def test_other_models_are_refused(model):
    with pytest.raises(ValueError, match="SSE"):
        to_plain_twin(to_plain_twin(model))
