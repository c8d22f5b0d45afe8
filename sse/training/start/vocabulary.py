"""Tokenizers: any fast one by Hub id or path, or a WordPiece vocabulary trained on given text."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from sse.errors import SseError
from sse.hub_name import split_revision

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ALPHABET = 1000


def train_wordpiece(
    texts: Iterable[str], size: int, *, lowercase: bool = True, min_frequency: int = 2
) -> Tokenizer:
    """Train a WordPiece vocabulary with BERT's normaliser and pre-tokenizer.

    The same texts give the same vocabulary. The trainer of ``tokenizers`` alone does not: it numbers the
    characters in the order of a randomly seeded hash map and breaks ties by those numbers. Here the
    characters are counted first and handed to it in a fixed order.

    Args:
        texts: Text to learn from; held in memory.
        size: Number of entries aimed at, special tokens included; fewer if the text has fewer.
        lowercase: Fold case and strip accents, as BERT uncased does.
        min_frequency: Pairs of pieces seen less often are not merged.

    Returns:
        A tokenizer without padding, truncation and post-processing.

    Raises:
        SseError: The text has no words.
    """
    texts = list(texts)
    learner = _bert_tokenizer(models.WordPiece(unk_token="[UNK]"), lowercase)
    characters = _characters(texts, learner)
    if not characters:
        raise SseError("the vocabulary cannot be trained: the text has no words")
    continued = [f"##{character}" for character in characters if _continues_a_word(character, learner)]
    learner.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=min_frequency,
            special_tokens=SPECIAL_TOKENS + continued,  # special only to fix their numbers
            initial_alphabet=characters,
            limit_alphabet=len(characters),
            show_progress=False,
        ),
    )
    model = models.WordPiece(learner.get_vocab(), unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = _bert_tokenizer(model, lowercase)
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return tokenizer


def _bert_tokenizer(model: models.WordPiece, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    return tokenizer


def _characters(texts: list[str], tokenizer: Tokenizer) -> list[str]:
    """Return the most frequent characters of the normalised text, in code point order."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for start in range(0, len(texts), 1000):
        text = tokenizer.normalizer.normalize_str("\n".join(texts[start : start + 1000]))
        found = np.bincount(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32))
        counts[: len(found)] += found
    most = np.lexsort((np.arange(len(counts)), -counts))[:ALPHABET]
    return [chr(code) for code in sorted(most) if counts[code] and not chr(code).isspace()]


def _continues_a_word(character: str, tokenizer: Tokenizer) -> bool:
    """Whether the character can stand inside a word; punctuation and CJK are words of their own."""
    text = tokenizer.normalizer.normalize_str(f"a{character}a")
    return len(tokenizer.pre_tokenizer.pre_tokenize_str(text)) == 1


def load_tokenizer(name: str, *, token: bool | str | None = None, revision: str | None = None) -> Tokenizer:
    """Load a fast tokenizer.

    Args:
        name: A tokenizer.json, a directory that holds one, or a Hub id, also as ``OWNER/NAME@REVISION``.
        token: Hub token.
        revision: Branch, tag or commit on the Hub.

    Raises:
        SseError: There is none, or it cannot be read.
    """
    name, revision = split_revision(name, revision)
    path = Path(name)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        if file.is_file():
            return Tokenizer.from_file(str(file))
        if path.is_dir():
            raise SseError(f"{name}: there is no tokenizer.json")
        from huggingface_hub import hf_hub_download

        return Tokenizer.from_file(hf_hub_download(name, "tokenizer.json", token=token, revision=revision))
    except SseError:
        raise
    except Exception as error:  # tokenizers raises plain Exception, huggingface_hub a dozen classes
        raise SseError(
            f"{name}: cannot be loaded as a tokenizer: {str(error).strip().splitlines()[0]}"
        ) from error
