"""Short pieces of a recipe's texts, for a transformer to say what they mean."""

from __future__ import annotations

import numpy as np

from sse.training.data.crops import crop
from sse.training.data.sources import LoadedSource

WORDS, LONGEST, ANCHORS = (6, 35), 600, 0.4

# Not the training's: trainings with other seeds share the vectors, which are slow to make.
SEED = 7


def draw_fragments(loaded: list[LoadedSource], count: int) -> list[str]:
    """Draw pieces of 6 to 35 words from anchors and positives; texts that are shorter are taken whole.

    Args:
        loaded: The sources; each gives its share by rows.
        count: How many to draw. Those drawn twice are kept once, so it may become fewer.

    Returns:
        At most 600 characters each, in random order.
    """
    rng = np.random.default_rng(SEED)
    total = sum(len(item.rows) for item in loaded)
    drawn: list[str] = []
    for item in loaded:
        rows = rng.integers(0, len(item.rows), round(count * len(item.rows) / total))
        anchors, positives = item.rows["anchor"][:], item.rows["positive"][:]
        for row in rows:
            text = (anchors if rng.random() < ANCHORS else positives)[row]
            if text := crop(text.split(), WORDS, rng)[:LONGEST]:
                drawn.append(text)
    drawn = list(dict.fromkeys(drawn))
    rng.shuffle(drawn)
    return drawn
