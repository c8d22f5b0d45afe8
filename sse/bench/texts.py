"""The texts that are measured on: distinct queries and passages cut from prose, and one long text.

The prose is the language reference and the docstrings that come with Python, or a file of the user's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sse.docstrings import docstring_pairs
from sse.errors import SseError

QUERY_WORDS, PASSAGE_WORDS = (6, 18), (100, 200)
LONGEST_WORD = 60
DOCSTRINGS = 4000
_ORDINARY = re.compile(r"[(\"']?[A-Za-z][A-Za-z'-]*[)\"'.,;:!?]*")


@dataclass(frozen=True)
class TextSet:
    """Texts of one kind."""

    name: str
    texts: list[str]

    @property
    def megabytes(self) -> float:
        """Size in UTF-8, millions of bytes."""
        return sum(len(text.encode()) for text in self.texts) / 1e6

    @property
    def mean_words(self) -> float:
        """Words in a text, on average."""
        return sum(len(text.split()) for text in self.texts) / len(self.texts)


def prose_words() -> list[str]:
    """Ordinary words of Python's own documentation, in running order; code and tables are left out."""
    documents: list[str] = []
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions leave it out
        pass
    else:
        documents += [topics[name] for name in sorted(topics)]
    documents += [pair.positive for pair in docstring_pairs(DOCSTRINGS)]
    return [word for document in documents for word in document.split() if _ORDINARY.fullmatch(word)]


def words_of_file(path: str | Path) -> list[str]:
    """All words of a UTF-8 text file, in running order; words longer than 60 characters are left out.

    Raises:
        SseError: The file is not UTF-8 text.
    """
    try:
        content = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SseError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    return [word for word in content.split() if len(word) <= LONGEST_WORD]


def cut_texts(
    words: Sequence[str], name: str, count: int, lengths: tuple[int, int], seed: int = 0
) -> TextSet:
    """Cut distinct runs of words at random places.

    Args:
        words: Words in running order.
        name: What the set is called.
        count: How many texts.
        lengths: Fewest and most words of a text; every length between is equally likely.
        seed: The same seed cuts the same texts.

    Raises:
        SseError: There is too little text to cut so many different ones.
    """
    fewest, most = lengths
    draw = random.Random(seed)
    found: dict[str, None] = {}
    for _ in range(20 * count if len(words) > most else 0):
        length = draw.randint(fewest, most)
        start = draw.randrange(len(words) - length + 1)
        found[" ".join(words[start : start + length])] = None
        if len(found) == count:
            return TextSet(name, list(found))
    raise SseError(
        f"{count} different {name} of {fewest} to {most} words cannot be cut from a text of {len(words)} words"
    )


def long_text(words: Sequence[str], size: int) -> str:
    """One text of ``size`` bytes: the words in running order, again from the start when they end.

    Raises:
        SseError: There are no words.
    """
    if not words:
        raise SseError("a text without words cannot be measured on")
    once = (" ".join(words) + " ").encode()
    return (once * (size // len(once) + 1))[:size].decode(
        "utf-8", errors="ignore"
    )  # half a character is left out
