"""The figures of a model card: nDCG@10 by set, dim and baseline, with the means that may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from sse.export.beside import check_beside
from sse.export.card_facts import CardFacts

METRIC = "ndcg@10"
TITLES = {"bm25": "BM25"}


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    title: str
    values: tuple[float | None, ...]
    """One for every column; None where it was not measured."""
    in_domain: bool | None = None


@dataclass(frozen=True)
class Cut:
    """What is left when vectors are cut."""

    dim: int
    mean: float
    share: float
    """Of the mean at the largest dim."""


@dataclass(frozen=True)
class Figures:
    """Results of a model at all dims, and of the baselines and models beside it."""

    dims: tuple[int, ...]
    """Largest first."""
    columns: tuple[str, ...]
    """Titles: the dims, then baselines, then other models."""
    rows: tuple[Row, ...]
    means: tuple[Row, ...]
    """Over all sets, and over those trained on and the others where there are both. A column that lacks a set
    has no mean: means over different sets are not comparable."""
    cuts: tuple[Cut, ...]
    graded: bool
    index: tuple[tuple[str, Mapping[str, float]], ...]
    """Sets and their mean with all metrics at the largest dim, for the model-index."""

    @classmethod
    def of(cls, facts: CardFacts) -> Figures | None:
        """Count the figures together; None where nothing was measured at a dim that the model has.

        Raises:
            SseError: What stands beside was measured on other data.
        """
        if facts.results is None:
            return None
        sets: Mapping[str, Any] = facts.results["sets"]
        shared = set.intersection(*({int(dim) for dim in one["dims"]} for one in sets.values()))
        dims = tuple(sorted((dim for dim in shared if dim <= facts.dim), reverse=True))
        if not dims:
            return None
        check_beside(facts.beside, facts.results)
        others = {TITLES.get(key, key): one for key, one in facts.results.get("baselines", {}).items()}
        others |= {f"{label} ({one['dims']})": one for label, one in facts.beside.items()}
        rows = tuple(
            Row(
                name,
                (
                    *(one["dims"][str(dim)][METRIC] for dim in dims),
                    *(other["sets"].get(name, {}).get(METRIC) for other in others.values()),
                ),
                bool(one["in_domain"]),
            )
            for name, one in sets.items()
        )
        groups = {
            "mean": rows,
            "mean, trained on": tuple(row for row in rows if row.in_domain),
            "mean, zero-shot": tuple(row for row in rows if not row.in_domain),
        }
        means = tuple(
            Row(title, _means(group))
            for title, group in groups.items()
            if group and (title == "mean" or len(group) < len(rows))
        )
        whole = [means[0].values[place] or 0.0 for place in range(len(dims))]
        best = {name: one["dims"][str(dims[0])] for name, one in sets.items()}
        metrics = set.intersection(*(set(one) for one in best.values()))
        average = {metric: fmean(one[metric] for one in best.values()) for metric in metrics}
        return cls(
            dims=dims,
            columns=(*map(str, dims), *others),
            rows=rows,
            means=means,
            cuts=tuple(
                Cut(dim, mean, mean / whole[0] if whole[0] else 0.0)
                for dim, mean in zip(dims, whole, strict=True)
            ),
            graded=facts.results.get("graded", True),
            index=(*best.items(), (f"mean of {len(best)} sets", average)),
        )

    @property
    def others(self) -> list[tuple[str, float]]:
        """Titles and means of what stands beside the model, where a mean may be given."""
        pairs = zip(self.columns[len(self.dims) :], self.means[0].values[len(self.dims) :], strict=True)
        return [(title, mean) for title, mean in pairs if mean is not None]


def _means(rows: tuple[Row, ...]) -> tuple[float | None, ...]:
    columns = zip(*(row.values for row in rows), strict=True)
    return tuple(None if None in column else fmean(v for v in column if v is not None) for column in columns)
