"""How texts are cut into batches: for threads, and for streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

BLOCK_CHARS = 1 << 16  # what a thread takes at a time: uneven texts keep all cores busy
STREAM_TEXTS, STREAM_CHARS = 4096, 1 << 20


def blocks_of(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of texts of about BLOCK_CHARS; fewer when the texts are short in all."""
    blocks, start, size = [], 0, 0
    for number, text in enumerate(texts, 1):
        size += len(text) + 32
        if size >= BLOCK_CHARS:
            blocks.append((start, number))
            start, size = number, 0
    if start < len(texts):
        blocks.append((start, len(texts)))
    return blocks


def take(source: Iterator[str], texts: int, chars: int | None) -> list[str]:
    """The next texts: at most so many, and about so many characters in all."""
    if chars is None:
        return list(islice(source, texts))
    batch: list[str] = []
    for text in source:
        batch.append(text)
        chars -= len(text) if isinstance(text, str) else 0
        if len(batch) >= texts or chars <= 0:
            break
    return batch
