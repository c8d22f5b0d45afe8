"""What is measured on: a suite is queries, documents and judgements. Suites are found and loaded here.

It does not read files itself: BEIR folders are read in beir.py, NanoBEIR in nanobeir.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sse.errors import SseError


@dataclass(frozen=True)
class Suite:
    """One retrieval test set.

    Args:
        name: Name in reports, unique within a run.
        queries: Text by query id.
        corpus: Text by document id.
        qrels: Grade by document id, by query id. Only grades above 0 are kept, as they are (graded judgements
            stay graded). A document that is not in the corpus can never be found, and still counts.

    Raises:
        SseError: There is no document, or no query that has a relevant document.
    """

    name: str
    queries: dict[str, str]
    corpus: dict[str, str]
    qrels: dict[str, dict[str, float]]

    def __post_init__(self) -> None:
        positive = {
            query: kept
            for query, grades in self.qrels.items()
            if (kept := {document: float(grade) for document, grade in grades.items() if grade > 0})
        }
        object.__setattr__(self, "qrels", positive)
        if not self.corpus:
            raise SseError(f"{self.name}: there is no document")
        if not self.judged():
            raise SseError(f"{self.name}: no query has a relevant document")

    def judged(self) -> list[str]:
        """Ids of the queries that have a relevant document, in order; only these are measured."""
        return [query for query in self.queries if query in self.qrels]


def load_suites(specs: str | Path | Suite | Sequence[str | Path | Suite]) -> list[Suite]:
    """Load test sets.

    Args:
        specs: One or more of: ``"nanobeir"``, the 13 NanoBEIR sets from the Hub; ``"nanobeir:PATH"`` or the
            directory itself, a local mirror of them; a BEIR folder (corpus.jsonl, queries.jsonl and
            qrels/test.tsv); a folder of BEIR folders; a ``Suite``, which is passed through.

    Raises:
        SseError: A spec is none of these, a file is broken (its line is named), or two sets have one name.
    """
    if isinstance(specs, str | Path | Suite):
        specs = [specs]
    suites = [suite for spec in specs for suite in ([spec] if isinstance(spec, Suite) else _load(spec))]
    seen: set[str] = set()
    for suite in suites:
        if suite.name in seen:
            raise SseError(f"{suite.name}: two sets have this name")
        seen.add(suite.name)
    if not suites:
        raise SseError("there is no set to measure on")
    return suites


def _load(spec: str | Path) -> list[Suite]:
    from sse.eval import beir, nanobeir

    if spec == "nanobeir":
        return nanobeir.load(nanobeir.HUB_ID)
    if isinstance(spec, str) and spec.startswith("nanobeir:"):
        return nanobeir.load(spec.removeprefix("nanobeir:"))
    folder = Path(spec)
    if not folder.is_dir():
        raise SseError(f"{spec}: there is no such folder, and it is not the name of a suite (nanobeir)")
    if beir.is_beir_folder(folder):
        return [beir.load(folder)]
    if nanobeir.is_mirror(folder):
        return nanobeir.load(str(folder))
    inner = sorted(child for child in folder.iterdir() if child.is_dir() and beir.is_beir_folder(child))
    if not inner:
        raise SseError(
            f"{spec}: neither a BEIR folder (corpus.jsonl), nor a folder of them, nor a NanoBEIR mirror"
        )
    return [beir.load(child) for child in inner]
