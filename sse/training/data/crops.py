"""Self-supervised pairs: a short crop of a passage finds a longer crop of the same passage."""

from __future__ import annotations

import numpy as np
from datasets import Dataset

from sse.errors import SseError
from sse.training.data.sources import LoadedSource
from sse.training.recipe_parts import CropsPart, Source

NAME = "crops"


def add_crops(loaded: list[LoadedSource], part: CropsPart, seed: int) -> list[LoadedSource]:
    """Add the source ``crops`` if the recipe asks for it.

    Args:
        loaded: The sources; their positives are what is cropped. Passages that are not longer than the shortest
            positive crop are left out.
        part: How many and how long.
        seed: Decides the passages and the crops.

    Raises:
        SseError: No passage is long enough.
    """
    if not part.share:
        return loaded
    wanted = round(sum(len(item.rows) for item in loaded) * part.share / (1 - part.share))
    rng = np.random.default_rng(seed)
    long_enough = [_long_rows(item, part.positive_words[0]) for item in loaded]
    total = sum(map(len, long_enough))
    if not total:
        raise SseError(f"crops: no positive has more than {part.positive_words[0]} words")
    anchors: list[str] = []
    positives: list[str] = []
    for item, rows in zip(loaded, long_enough, strict=True):
        drawn = _draw(rows, round(wanted * len(rows) / total), rng)
        for text in item.rows[drawn]["positive"] if len(drawn) else []:
            words = text.split()
            cut = _scatter if rng.random() < part.scattered else crop
            anchors.append(cut(words, part.anchor_words, rng))
            positives.append(crop(words, part.positive_words, rng))
    rows = Dataset.from_dict({"anchor": anchors, "positive": positives})
    return [*loaded, LoadedSource(Source(name=NAME, path=NAME), rows, 0)]


def _long_rows(item: LoadedSource, words: int) -> np.ndarray:
    column = item.rows.select_columns("positive")
    batches = ((start, column[start : start + 1000]["positive"]) for start in range(0, len(column), 1000))
    numbers = (start + k for start, texts in batches for k in _long(texts, words))
    return np.fromiter(numbers, np.int64)


def _long(texts: list[str], words: int) -> list[int]:
    return [k for k, text in enumerate(texts) if len(text.split(None, words)) > words]


def _draw(rows: np.ndarray, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Each row as often as the next, to one."""
    rounds = [rng.permutation(rows) for _ in range(-(-wanted // max(1, len(rows))))]
    return np.concatenate(rounds)[:wanted] if rounds and len(rows) else rows[:0]


def crop(words: list[str], lengths: tuple[int, int], rng: np.random.Generator) -> str:
    """Draw a piece of a text, of as many words as ``lengths`` allows, or the whole text if it is shorter."""
    length = min(len(words), int(rng.integers(lengths[0], lengths[1] + 1)))
    start = int(rng.integers(0, len(words) - length + 1))
    return " ".join(words[start : start + length])


def _scatter(words: list[str], lengths: tuple[int, int], rng: np.random.Generator) -> str:
    length = min(len(words), int(rng.integers(lengths[0], lengths[1] + 1)))
    return " ".join(words[place] for place in rng.permutation(len(words))[:length])
