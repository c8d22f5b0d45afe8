"""Rows whose text is in an evaluation set are taken out of the training data.

Texts are compared as their letters and digits, without regard to case. Evaluation documents and queries are kept
as digests, training data is read in batches: memory does not grow with the training data.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from datasets import Dataset

from sse.errors import SseError
from sse.eval import Suite, load_suites
from sse.eval.beir import is_beir_folder
from sse.training.data.same_text import BATCH, digests, places
from sse.training.data.sources import LABELS, LoadedSource

WORDS = 5
"""A shorter text may stand in another by chance."""
_WORD = re.compile(r"[^\W_]+")


def decontaminate(
    loaded: list[LoadedSource], suites: Sequence[str | Path | Suite]
) -> tuple[list[LoadedSource], dict[str, int]]:
    """Take out the rows that ``find_contaminated`` finds.

    Returns:
        The sources, rows in their order, and the number of rows taken out by the source's name.

    Raises:
        SseError: A suite cannot be read, or nothing is left of a source.
    """
    kept, counts = [], {}
    for item, found in zip(loaded, find_contaminated(loaded, suites), strict=True):
        name, rows = item.source.name, item.rows
        if len(found) == len(rows):
            raise SseError(f"source {name!r}: every row is in an evaluation set; set its weight to 0")
        if len(found):
            rows = rows.select(np.delete(np.arange(len(rows)), found))
        kept.append(replace(item, rows=rows))
        counts[name] = len(found)
    return kept, counts


def find_contaminated(loaded: list[LoadedSource], suites: Sequence[str | Path | Suite]) -> list[np.ndarray]:
    """Find the rows of training data whose text is in an evaluation set.

    Found is a row whose anchor or positive is an evaluation query; whose anchor, positive or negative is a whole
    evaluation document, with or without its title; and whose anchor holds a query of at least five words, or is
    at least five words of one.

    Args:
        loaded: The sources.
        suites: As for ``sse.eval.load_suites``.

    Returns:
        For each source the numbers of its rows, int64, ascending.

    Raises:
        SseError: A suite cannot be read.
    """
    known = _EvaluationTexts(suites)
    return [known.rows_of(item.rows) for item in loaded]


def normalise(text: str) -> str:
    """Runs of letters and digits with a space between; NFKC, case folded."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(_WORD.findall(text.casefold()))


class _EvaluationTexts:
    def __init__(self, suites: Sequence[str | Path | Suite]) -> None:
        read = load_suites(list(suites))
        self._queries = sorted({normalise(text) for suite in read for text in suite.queries.values()} - {""})
        self._query_digests = np.sort(digests(self._queries))
        documents = (text for suite in read for text in suite.corpus.values())
        self._documents = np.unique(
            np.concatenate([_digests_of(documents), *(_digests_of(_without_title(spec)) for spec in suites)])
        )
        self._pieces: dict[str, list[int]] = {}
        for number, query in enumerate(self._queries):
            for piece in _pieces(query):
                self._pieces.setdefault(piece, []).append(number)

    def rows_of(self, rows: Dataset) -> np.ndarray:
        """Numbers of the rows that are found, int64."""
        columns = [name for name in rows.column_names if name not in LABELS]
        found = [np.empty(0, np.int64)]
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            bad = np.zeros(len(batch["anchor"]), np.bool_)
            for name in columns:
                texts = [normalise(text) for text in batch[name]]
                values = digests(texts)
                bad |= places(values, self._documents) >= 0
                if name in ("anchor", "positive"):
                    bad |= places(values, self._query_digests) >= 0
                if name == "anchor":
                    bad |= np.fromiter(map(self._shares_a_query, texts), np.bool_, len(texts))
            found.append(start + np.flatnonzero(bad))
        return np.concatenate(found)

    def _shares_a_query(self, text: str) -> bool:
        """Whether a query stands in ``text``, or ``text`` in a query, from word to word."""
        whole = f" {text} "
        for piece in _pieces(text):
            for number in self._pieces.get(piece, ()):
                query = f" {self._queries[number]} "
                if query in whole or whole in query:
                    return True
        return False


def _pieces(text: str) -> Iterator[str]:
    """Every five words in a row."""
    words = text.split(" ")
    for start in range(len(words) - WORDS + 1):
        yield " ".join(words[start : start + WORDS])


def _digests_of(texts: Iterable[str]) -> np.ndarray:
    return digests(text for text in map(normalise, texts) if text)


def _without_title(spec: str | Path | Suite) -> Iterator[str]:
    """The documents of BEIR folders, which a suite holds only with their titles; the files were checked before."""
    if isinstance(spec, Suite) or not Path(spec).is_dir():
        return
    folder = Path(spec)
    folders = [folder] if is_beir_folder(folder) else sorted(filter(is_beir_folder, folder.iterdir()))
    for one in folders:
        with (one / "corpus.jsonl").open(encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines if line.strip())
