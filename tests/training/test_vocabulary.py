"""Tokenizers: trained vocabularies are repeatable and split words as BERT does; others come by path."""

import os
import subprocess
import sys

import pytest

from sse.errors import SseError
from sse.training import load_tokenizer, train_wordpiece
from sse.training.start.vocabulary import SPECIAL_TOKENS

TEXTS = [
    f"The {w} planets of {w}ing stars, isn't it? Ünïcode 漢字 {n}"
    for n, w in enumerate(["red", "blue", "green"] * 40)
]


def test_the_same_text_gives_the_same_vocabulary_in_another_process():
    code = (
        f"from sse.training import train_wordpiece; TEXTS = {TEXTS!r};"
        "print(train_wordpiece(TEXTS, 150).to_str())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert runs[0].strip() == train_wordpiece(TEXTS, 150).to_str()


def test_splits_words_as_bert_does():
    tokenizer = train_wordpiece(TEXTS, 300)
    vocabulary = tokenizer.get_vocab()
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]
    assert len(vocabulary) <= 300
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).tokens  # noqa: E731
    assert encode("The PLANETS") == ["the", "planets"]
    assert encode("isn't") == ["isn", "'", "t"]
    assert encode("漢字") == ["漢", "字"]
    assert "".join(encode("redstar")).replace("##", "") == "redstar"
    assert encode("[PAD]") == ["[PAD]"]
    assert encode("☃") == ["[UNK]"]


def test_no_piece_is_wasted_on_characters_that_cannot_continue_a_word():
    vocabulary = train_wordpiece(TEXTS, 300).get_vocab()
    assert "?" in vocabulary
    assert not {"##?", "##漢", "##'"} & set(vocabulary)


def test_case_can_be_kept():
    tokenizer = train_wordpiece(TEXTS, 300, lowercase=False)
    assert tokenizer.encode("The the", add_special_tokens=False).tokens[0] == "The"


@pytest.mark.parametrize("texts", [[], ["", "  \n "]])
def test_no_words_no_vocabulary(texts):
    with pytest.raises(SseError, match="no words"):
        train_wordpiece(texts, 100)


def test_by_path(minilm_path):
    assert load_tokenizer(minilm_path).get_vocab_size() == 30522
    assert load_tokenizer(f"{minilm_path}/tokenizer.json").get_vocab_size() == 30522


def test_what_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(SseError, match="there is no tokenizer"):
        load_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SseError, match="cannot be loaded as a tokenizer"):
        load_tokenizer(str(tmp_path))
