"""Read tokenizer.json and say whether it is a BERT-uncased WordPiece, which this package's own tokenizers can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from sse.errors import SseError

MAX_WORD, MAX_SPECIALS, MAX_SPECIAL_BYTES = 1000, 64, 59
# Combining characters that the reference keeps and may reorder, which a table by code points cannot express. It only
# matters if a piece of the vocabulary holds one: a word with any other of them is unknown in either order. Measured
# over all pairs (tests/edge/test_unicode_table.py).
_RANGES = """8d4-8e1 1b44 1baa 1bf2-1bf3 1dfb 302e-302f a953 a9c0 111c0 11235 1134d 11442 11446 116b6 11c3f 1d165-1d166
1d16d-1d172 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e944-1e94a"""
REORDERED = frozenset(
    chr(code)
    for first, _, last in (part.partition("-") for part in _RANGES.split())
    for code in range(int(first, 16), int(last or first, 16) + 1)
)


class WordPiece(NamedTuple):
    """A vocabulary and what surrounds it."""

    pieces: dict[str, int]
    specials: dict[str, int]
    """Added tokens, which are found in the raw text."""
    unk: int
    max_chars: int
    """A word of more characters is unknown."""


class Unsupported(NamedTuple):
    """Why only the ``tokenizers`` library can run this tokenizer."""

    reason: str
    largest_id: int


def read_tokenizer(path: Path, rows: int) -> WordPiece | Unsupported:
    """Read a tokenizer and check it against a table of ``rows`` rows.

    Raises:
        SseError: Damaged, or an id has no row.
    """
    try:
        content = json.loads(path.read_bytes())
        model, added = content["model"], content.get("added_tokens") or []
        vocabulary, specials = model["vocab"], {token["content"]: token["id"] for token in added}
        if isinstance(vocabulary, list):  # Unigram: pieces with scores, in the order of their ids
            vocabulary = {piece: number for number, (piece, _) in enumerate(vocabulary)}
        ids = [*vocabulary.values(), *specials.values()]
        if set(map(type, ids)) != {int} or min(ids) < 0:
            raise ValueError("ids must be whole numbers")
    except OSError as error:
        raise SseError(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SseError(f"{path}: not a tokenizer: {type(error).__name__}: {error}") from None
    largest = max(ids)
    if largest >= rows:
        raise SseError(f"{path}: the tokenizer has ids up to {largest}, the table only {rows} rows")
    reason = _why_not(content, model, added, vocabulary)
    if reason:
        return Unsupported(reason, largest)
    return WordPiece(vocabulary, specials, vocabulary[model["unk_token"]], model["max_input_chars_per_word"])


def _why_not(content: dict[str, Any], model: dict[str, Any], added: list[Any], vocabulary: Any) -> str:
    normalizer, splitter = content.get("normalizer") or {}, content.get("pre_tokenizer") or {}
    wanted = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "lowercase": True}
    longest = model.get("max_input_chars_per_word")
    text = "".join(vocabulary)
    checks = {
        "its model is not WordPiece": model.get("type") == "WordPiece",
        "its normalizer is not that of BERT uncased": normalizer.get("strip_accents") in (None, True)
        and all(normalizer.get(key) == value for key, value in wanted.items()),
        "its pre-tokenizer is not that of BERT": splitter.get("type") == "BertPreTokenizer",
        "its continuing pieces do not start with ##": model.get("continuing_subword_prefix") == "##",
        "its words are too long": type(longest) is int and 0 <= longest <= MAX_WORD,
        "it has no unknown token": model.get("unk_token") in vocabulary,
        "an added token is matched in another way": all(map(_plain_special, added)),
        "it has too many added tokens": len(added) <= MAX_SPECIALS,
        "a piece holds a character that normalisation reorders": text.isascii() or REORDERED.isdisjoint(text),
        "a piece is not valid Unicode": _valid(text),
    }
    return next((reason for reason, fine in checks.items() if not fine), "")


def _plain_special(token: dict[str, Any]) -> bool:
    """Matched in the raw text, anywhere, and starting with ASCII punctuation, which always ends a word."""
    text = token["content"]
    flags = any(token.get(flag) for flag in ("single_word", "lstrip", "rstrip", "normalized"))
    return bool(text) and text[0] in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" and not flags and _short(text)


def _short(text: str) -> bool:
    return _valid(text) and len(text.encode("utf-8")) <= MAX_SPECIAL_BYTES


def _valid(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
