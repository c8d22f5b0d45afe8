"""BERT-uncased WordPiece in pure Python: ``str.translate`` by the Unicode table, a regular expression, a memo of words.

The same ids as the reference on every code point; no numpy, no compiled code of ours.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from sse.edge.tokenizer_file import WordPiece

WORD, SPACE, PUNCT, DROP, MAPPED = range(5)
INDEX = 0x1100
MEMO = 1 << 18


@cache
def unicode_table() -> bytes:
    """The table that tools/unicode_table.py wrote; its layout is in native/unicode.h."""
    return (Path(__file__).parent / "unicode.bin").read_bytes()


class _Translation(dict[int, str | None]):
    """Code point to what takes its place, filled as code points come: spaces around what stands alone."""

    def __init__(self) -> None:
        super().__init__()
        data = memoryview(unicode_table())
        pages = int.from_bytes(data[8:12], "little")
        start = 16 + 2 * INDEX
        self.index = data[16:start].cast("H")
        self.pages = data[start : start + 1024 * pages].cast("I")
        self.pool = data[start + 1024 * pages :].cast("I")

    def __missing__(self, code: int) -> str | None:
        entry = self.pages[self.index[code >> 8] << 8 | code & 255]
        kind, place = entry & 7, entry >> 3
        value: str | None
        if kind == MAPPED:
            words = self.pool[place + 1 : place + 1 + self.pool[place]]
            value = "".join(self._one(word >> 24, word & 0xFFFFFF) for word in words)
        else:
            value = None if kind == DROP else self._one(kind, code)
        self[code] = value
        return value

    @staticmethod
    def _one(kind: int, code: int) -> str:
        return " " if kind == SPACE else f" {chr(code)} " if kind == PUNCT else chr(code)


class _Memo(dict[str, tuple[int, ...]]):
    """Word to ids. It is emptied when it is full, so that hostile text cannot fill the memory."""

    def __init__(self, tokenizer: PythonTokenizer) -> None:
        super().__init__()
        self.split = tokenizer.split_word

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= MEMO:
            self.clear()
        ids = self.split(word)
        if len(word) <= 100:
            self[word] = ids
        return ids


class PythonTokenizer:
    """Text to ids for one vocabulary."""

    def __init__(self, spec: WordPiece) -> None:
        pieces = spec.pieces.items()
        self.first = {piece: number for piece, number in pieces if piece[:2] != "##" or len(piece) == 2}
        self.more = {piece[2:]: number for piece, number in pieces if piece[:2] == "##" and len(piece) > 2}
        self.longest = max(map(len, spec.pieces))
        self.max_chars = spec.max_chars
        self.unknown = (spec.unk,)
        self.specials = spec.specials
        self.translation = _Translation()
        self.memo = _Memo(self)
        self._ascii_words = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]").findall
        self._control = re.compile(r"[^\t\n\r -~]").search
        longest_first = sorted(spec.specials, key=len, reverse=True)
        self._specials = (
            re.compile("(" + "|".join(map(re.escape, longest_first)) + ")") if longest_first else None
        )

    def split_word(self, word: str) -> tuple[int, ...]:
        """Greedy longest match over one normalised word."""
        size, start, pieces = len(word), 0, self.first
        ids = []
        if size > self.max_chars:
            return self.unknown
        while start < size:
            for end in range(min(size, start + self.longest), start, -1):
                number = pieces.get(word[start:end])
                if number is not None:
                    break
            else:
                return self.unknown
            ids.append(number)
            start, pieces = end, self.more
        return tuple(ids)

    def words(self, text: str) -> list[str]:
        """Normalised words and punctuation of a text without special tokens."""
        if self._is_simple(text):
            words: list[str] = self._ascii_words(text.lower())
            return words
        return text.translate(self.translation).split(" ")

    def is_plain(self, text: str) -> bool:
        """ASCII without control characters and special tokens: what the vectorised tokenizer takes."""
        return self._is_simple(text) and (self._specials is None or not self._specials.search(text))

    def _is_simple(self, text: str) -> bool:
        """ASCII without control characters; most texts are one line, which the first look settles."""
        return text.isascii() and (text.isprintable() or not self._control(text))

    def ids(self, text: str) -> list[int]:
        """Ids of a text, without added special tokens."""
        out: list[int] = []
        memo = self.memo
        parts = self._specials.split(text) if self._specials is not None else [text]
        for number, part in enumerate(parts):
            if number % 2:
                out.append(self.specials[part])
            else:
                for word in self.words(part):
                    if word:
                        out += memo[word]
        return out
