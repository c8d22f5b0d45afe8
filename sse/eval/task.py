"""A suite as arrays: the step from ranked lists of document numbers to scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sse.eval.metrics import per_query_metrics
from sse.eval.results import Scores
from sse.eval.suites import Suite


@dataclass(frozen=True)
class Task:
    """The judged queries and the documents of a suite, numbered.

    Documents are in ascending order of their id strings, so the lower number wins a tie (see ranking.py).
    """

    suite: Suite
    query_ids: list[str]
    document_ids: list[str]

    @classmethod
    def of(cls, suite: Suite) -> Task:
        """Number the queries and documents of ``suite``."""
        return cls(suite, suite.judged(), sorted(suite.corpus))

    @property
    def query_texts(self) -> list[str]:
        """Texts of the judged queries, in order."""
        return [self.suite.queries[query] for query in self.query_ids]

    @property
    def document_texts(self) -> list[str]:
        """Texts of all documents, in order."""
        return [self.suite.corpus[document] for document in self.document_ids]

    def twins(self) -> npt.NDArray[np.int64]:
        """For every query the number of the document that has the same id, or -1; int64 (queries,)."""
        number = {document: column for column, document in enumerate(self.document_ids)}
        return np.array([number.get(query, -1) for query in self.query_ids], dtype=np.int64)

    def score(self, ranked: npt.NDArray[np.int64], *, graded: bool) -> Scores:
        """Measure ranked lists, int64 (queries, depth), with -1 after the last retrieved document."""
        grades = [self.suite.qrels[query] for query in self.query_ids]
        values = per_query_metrics(self._gains(ranked), [some.values() for some in grades], graded=graded)
        return Scores(
            metrics={name: float(value.mean()) for name, value in values.items()},
            per_query=dict(zip(self.query_ids, values["ndcg@10"].tolist(), strict=True)),
        )

    def _gains(self, ranked: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        documents = len(self.document_ids)
        number = {document: column for column, document in enumerate(self.document_ids)}
        judged = sorted(
            (row * documents + number[document], grade)
            for row, query in enumerate(self.query_ids)
            for document, grade in self.suite.qrels[query].items()
            if document in number
        )
        if not judged:
            return np.zeros(ranked.shape)
        keys = np.array([key for key, _ in judged])
        grades = np.array([grade for _, grade in judged])
        wanted = np.arange(len(ranked))[:, None] * documents + ranked
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where((keys[place] == wanted) & (ranked >= 0), grades[place], 0.0)
