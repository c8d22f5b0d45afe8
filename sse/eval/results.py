"""What a measurement gives back: scores of sets, their means, and the report that holds them all.

How they look as JSON is in results_json.py, as Markdown in report.py, as pictures in plots.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sse.errors import SseError

Column = int | Literal["bm25"]
Group = Literal["all", "in_domain", "zero_shot"]


@dataclass(frozen=True)
class Scores:
    """One set, ranked in one way.

    Args:
        metrics: Mean over the queries by name of metric, 0..1.
        per_query: nDCG@10 by query id.
    """

    metrics: dict[str, float]
    per_query: dict[str, float]


@dataclass(frozen=True)
class SetResult:
    """One set, ranked by the model at every dim and by BM25.

    Args:
        queries: How many queries were measured: those with a relevant document.
        docs: How many documents were ranked.
        in_domain: Whether the model was trained on a set of this name.
        dims: Scores by dim.
        bm25: Scores of the baseline, where it was asked for.
    """

    queries: int
    docs: int
    in_domain: bool
    dims: dict[int, Scores]
    bm25: Scores | None = None

    def scores(self, column: Column) -> Scores:
        """Give the scores at a dim, or those of ``"bm25"``.

        Raises:
            SseError: That was not measured.
        """
        found = self.bm25 if column == "bm25" else self.dims.get(column)
        if found is None:
            measured = ", ".join(map(str, self.dims))
            what = "BM25" if column == "bm25" else f"dim {column}"
            raise SseError(f"{what} was not measured (measured dims: {measured})")
        return found


@dataclass(frozen=True)
class EvalReport:
    """Results of a model on some sets, at some dims.

    Args:
        model: Name of the model.
        sets: Results by name of set.
        environment: Versions, platform, threads.
        graded: Whether nDCG used the grades of the judgements, or only relevant or not.
        skip_identical_ids: Whether a query was kept from retrieving the document of its own id.
        trained_on: Names of the sets that the model is known to have been trained on.
        seconds: Wall time of the measurement.
    """

    model: str
    sets: dict[str, SetResult]
    environment: dict[str, Any] = field(default_factory=dict)
    graded: bool = True
    skip_identical_ids: bool = False
    trained_on: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def dims(self) -> list[int]:
        """The dims that were measured, largest first."""
        return sorted(next(iter(self.sets.values())).dims, reverse=True)

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics that were measured, in the order of reports."""
        return list(next(iter(self.sets.values())).scores(self.dims[0]).metrics)

    @property
    def has_bm25(self) -> bool:
        """Whether the baseline was measured."""
        return all(result.bm25 is not None for result in self.sets.values())

    def group(self, group: Group) -> list[str]:
        """Names of all sets, of those that the model was trained on, or of the others."""
        return [
            name
            for name, result in self.sets.items()
            if group == "all" or result.in_domain == (group == "in_domain")
        ]

    def mean(self, dim: Column, metric: str = "ndcg@10", group: Group = "all") -> float:
        """Mean of a metric over sets, every set with the same weight; NaN where the group has no set.

        Args:
            dim: A measured dim, or ``"bm25"``.
            metric: One of ``sse.eval.metrics.METRICS``.
            group: Which sets.

        Raises:
            SseError: The dim or the metric was not measured.
        """
        if metric not in self.metrics:
            raise SseError(f"{metric} was not measured (measured: {', '.join(self.metrics)})")
        return self.means(dim, group).get(metric, math.nan)

    def means(self, dim: Column, group: Group = "all") -> dict[str, float]:
        """Give the means of all metrics over a group of sets, by name; empty where the group has no set."""
        names = self.group(group)
        if not names:
            return {}
        scores = [self.sets[name].scores(dim).metrics for name in names]
        return {metric: float(np.mean([one[metric] for one in scores])) for metric in self.metrics}

    def table(self, metric: str = "ndcg@10") -> str:
        """One metric as a Markdown table: a row for every set and mean, a column for every dim and BM25."""
        from sse.eval.report import table

        return table(self, metric)

    def to_dict(self) -> dict[str, Any]:
        """The content of results.json: dicts, lists, strings and numbers."""
        from sse.eval.results_json import to_json

        return to_json(self)

    def save(self, directory: str | Path) -> None:
        """Write results.json, report.md, sets.png and matryoshka.png into ``directory``, each whole or not.

        Raises:
            MissingExtraError: matplotlib is not installed; results.json and report.md are written first.
        """
        from sse.eval.report import save

        save(self, Path(directory))

    @classmethod
    def load(cls, path: str | Path) -> EvalReport:
        """Read a results.json, or the one in a directory.

        Raises:
            SseError: There is none, it is not JSON, has another schema, or something in it is wrong.
        """
        from sse.eval.results_json import read

        return read(Path(path))
