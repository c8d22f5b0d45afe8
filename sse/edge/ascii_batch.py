"""WordPiece for a batch of plain ASCII texts at once, with numpy: classes, word bounds and 16-byte keys as arrays.

Only a word that was not seen before runs Python code. Texts that are not plain go through PythonTokenizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sse.edge.wordpiece import PythonTokenizer

Ints = np.ndarray[Any, np.dtype[np.int64]]
U64 = np.uint64
BITS = 17
MEMO = 1 << 19


class BatchTokenizer:
    """Texts to flat ids and offsets; not to be used by two threads at once."""

    def __init__(self, python: PythonTokenizer) -> None:
        self.python = python
        letters = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
        self.classes = bytes(0 if c in b" \t\n\r" else 1 if c in letters else 2 for c in range(256))
        self.masks = np.array([(1 << 8 * n) - 1 for n in range(8)] + [2**64 - 1], dtype=U64)
        self._forget()

    def _forget(self) -> None:
        size = 1 << BITS
        self.low, self.high = np.zeros(size, U64), np.zeros(size, U64)
        self.known = np.full(size, -1, np.int64)  # index of the word among those seen
        self.words = 0
        self.bounds, self.pieces = np.zeros(1, np.int64), np.zeros(0, np.int64)  # longer than what is used

    def batch(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """Flat ids (tokens,) and offsets (texts + 1,) of any texts."""
        plain = [number for number, text in enumerate(texts) if self.python.is_plain(text)]
        flat, offsets = self._plain([texts[number] for number in plain])
        if len(plain) == len(texts):
            return flat, offsets
        parts: list[Any] = [None] * len(texts)
        for place, number in enumerate(plain):
            parts[number] = flat[offsets[place] : offsets[place + 1]]
        for number, part in enumerate(parts):
            if part is None:
                parts[number] = np.array(self.python.ids(texts[number]), np.int64)
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        return np.concatenate(parts), np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])

    def _plain(self, texts: list[str]) -> tuple[Ints, Ints]:
        if self.words > MEMO:
            self._forget()
        data = "\n".join(texts).encode("ascii") + b"\n" + b" " * 16
        kinds = np.frombuffer(data.translate(self.classes), np.uint8)
        lower = data.lower()
        before = np.zeros_like(kinds)
        before[1:] = kinds[:-1]
        starts = np.flatnonzero((kinds == 2) | ((kinds == 1) & (before != 1)))
        lengths = np.ones(len(starts), np.int64)
        is_word = kinds[starts] == 1
        lengths[is_word] = np.flatnonzero((before == 1) & (kinds != 1)) - starts[is_word]
        eights = np.ndarray((len(lower) - 7,), dtype="<u8", buffer=lower, strides=(1,))
        low = eights[starts] & self.masks[np.minimum(lengths, 8)]
        high = eights[starts + 8] & self.masks[np.clip(lengths - 8, 0, 8)]
        slots = _hash(low, high)
        words = self.known[slots]
        hit = (self.low[slots] == low) & (self.high[slots] == high) & (words >= 0) & (lengths <= 16)
        missed = np.flatnonzero(~hit)
        if len(missed):
            words[missed] = self._learn(lower, starts, lengths, low, high, slots, missed)
        first = self.bounds[words]
        counts = self.bounds[words + 1] - first
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        flat = self.pieces[np.arange(total) + np.repeat(first - (ends - counts), counts)]
        text_ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
        tokens = np.concatenate([np.zeros(1, np.int64), ends])[np.searchsorted(starts, text_ends)]
        return flat, np.concatenate([np.zeros(1, np.int64), tokens])

    def _learn(
        self, lower: bytes, starts: Ints, lengths: Ints, low: Any, high: Any, slots: Ints, missed: Ints
    ) -> Ints:
        """Number the words at ``missed``; those of at most 16 bytes are kept for later batches."""
        seen: dict[bytes, int] = {}
        bounds, pieces, short = list[int](), list[int](), list[int]()
        found = np.empty(len(missed), np.int64)
        used = int(self.bounds[self.words])
        for place, number in enumerate(missed.tolist()):
            start, length = int(starts[number]), int(lengths[number])
            word = lower[start : start + length]
            at = seen.get(word)
            if at is None:
                at = seen[word] = self.words + len(seen)
                pieces += self.python.memo[word.decode("ascii")]
                bounds.append(used + len(pieces))
                if length <= 16:
                    short.append(place)
            found[place] = at
        self.bounds = _written(self.bounds, self.words + 1, bounds)
        self.pieces = _written(self.pieces, used, pieces)
        self.words += len(seen)
        kept = missed[short]
        self.known[slots[kept]] = -1  # who is interrupted in the next lines leaves no half of a word behind
        self.low[slots[kept]], self.high[slots[kept]] = low[kept], high[kept]
        self.known[slots[kept]] = found[short]
        return found


def _written(array: Ints, start: int, values: list[int]) -> Ints:
    """The array with ``values`` from ``start`` on; a new one of twice the size where they do not fit."""
    end = start + len(values)
    if end > len(array):
        array = np.concatenate([array[:start], np.empty(2 * end - start, np.int64)])
    array[start:end] = values
    return array


def _hash(low: Any, high: Any) -> Ints:
    # Odd constants from square roots, as in native/base.h; unsigned products wrap.
    mixed = (low ^ (high * U64(0x6A09E667F3BCC909))) * U64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> U64(29)
    mixed *= U64(0xBB67AE8584CAA73B)
    slots: Ints = (mixed >> U64(64 - BITS)).astype(np.int64)
    return slots
