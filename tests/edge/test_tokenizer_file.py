import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from sse import Encoder
from sse.edge.tokenizer_file import Unsupported, WordPiece, read_tokenizer
from sse.errors import SseError
from sse.export import export
from sse.modeling import SSE, build_model


def written(tmp_path, content) -> str:
    (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path / "tokenizer.json"


def test_bert_uncased_is_supported(bert_tokenizer, tmp_path):
    spec = read_tokenizer(written(tmp_path, json.loads(bert_tokenizer.to_str())), 30522)
    assert isinstance(spec, WordPiece)
    assert (spec.unk, spec.max_chars, len(spec.pieces)) == (100, 100, 30522)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t["normalizer"].update(lowercase=False), "normalizer"),
        (lambda t: t["normalizer"].update(strip_accents=False), "normalizer"),
        (lambda t: t.update(normalizer=None), "normalizer"),
        (lambda t: t["pre_tokenizer"].update(type="Whitespace"), "pre-tokenizer"),
        (lambda t: t["model"].update(continuing_subword_prefix="@@"), "##"),
        (lambda t: t["model"].update(max_input_chars_per_word=10**9), "words"),
        (lambda t: t["model"].update(unk_token="<nothing>"), "unknown"),
        (lambda t: t["added_tokens"][0].update(lstrip=True), "added token"),
        (lambda t: t["added_tokens"][0].update(content="mask"), "added token"),
        (lambda t: t["model"]["vocab"].update({"a\u302e": 5}), "reorders"),
        (lambda t: t["model"].update(type="BPE"), "WordPiece"),
    ],
)
def test_what_is_not_supported_is_said(bert_tokenizer, tmp_path, change, reason):
    content = json.loads(bert_tokenizer.to_str())
    change(content)
    spec = read_tokenizer(written(tmp_path, content), 30522)
    assert isinstance(spec, Unsupported)
    assert reason in spec.reason


def test_another_tokenizer_goes_to_the_library(tmp_path):
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2, "<unk>": 3}, [("a", "b")], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    export(build_model(SSE(tokenizer, 8)), tmp_path / "bpe")
    encoder = Encoder.from_pretrained(tmp_path / "bpe")
    assert encoder.backend == "tokenizers"
    assert encoder.tokenize("AB b") == [[2, 1]]
    assert encoder.encode(["ab", ""]).shape == (2, 8)
    for backend in ("native", "numpy"):
        with pytest.raises(SseError, match="its model is not WordPiece"):
            Encoder.from_pretrained(tmp_path / "bpe", backend=backend)
