"""Are two results different, or could other queries have turned them around? A paired bootstrap over queries.

Both sides are measured on the same queries, so their differences are resampled (Efron and Tibshirani 1993;
for retrieval Sakai 2006). The interval is the percentile one. The two-sided p is twice the smaller share of
resampled differences on either side of 0, counting 0 on both and adding 1 to counts so that p is never 0.
For the mean over sets, queries are resampled within every set and every set has the same weight: the answer
is about these sets with other queries, not about other sets.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sse.errors import SseError
from sse.eval.results import Column, EvalReport

_CHUNK = 1 << 22  # resampled values at a time: 64 MB of numbers and indices


@dataclass(frozen=True)
class Difference:
    """One comparison of nDCG@10; ``difference`` is ``a - b``.

    Args:
        name: The set, or "mean".
        queries: How many queries both sides have.
        a: nDCG@10 of the one side over those queries.
        b: That of the other.
        difference: ``a - b``.
        low: Lower end of its interval.
        high: Upper end.
        p: Two-sided p of the hypothesis that there is no difference.
    """

    name: str
    queries: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Two results side by side.

    Args:
        label_a: What the one side is: model and dim.
        label_b: What the other side is.
        sets: One difference a common set.
        mean: The difference of the means over those sets.
        only_a: Sets that only the one side has; they are left out.
        only_b: Sets that only the other side has.
        left_out: Queries that only one side has, by set; they are left out.
        resamples: Bootstrap resamples.
        confidence: Coverage of the intervals.
        seed: Seed of the resampling.
    """

    label_a: str
    label_b: str
    sets: tuple[Difference, ...]
    mean: Difference
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    left_out: dict[str, int]
    resamples: int
    confidence: float
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All fields as dicts, lists, strings and numbers."""
        return asdict(self)

    def table(self) -> str:
        """The comparison as a Markdown table, with a line on what was left out."""
        percent = f"{100 * self.confidence:g} %"
        lines = [
            f"A: {self.label_a}",
            f"B: {self.label_b}",
            "",
            f"| nDCG@10 | queries | A | B | A - B | {percent} interval | p |",
            "| --- | ---: | ---: | ---: | ---: | :---: | ---: |",
        ]
        for row in (*self.sets, self.mean):
            name = row.name.replace("|", "\\|")
            interval = f"{row.low:+.4f} .. {row.high:+.4f}"
            values = f"{row.a:.4f} | {row.b:.4f} | {row.difference:+.4f}"
            lines.append(f"| {name} | {row.queries} | {values} | {interval} | {row.p:.4f} |")
        lines += ["", f"Paired bootstrap over queries, {self.resamples} resamples, seed {self.seed}."]
        for label, names in (("A", self.only_a), ("B", self.only_b)):
            if names:
                lines.append(f"Left out, as only {label} has them: {', '.join(names)}.")
        for name, count in self.left_out.items():
            lines.append(f"Left out of {name}: {count} queries that only one side has.")
        return "\n".join(lines)


def compare(
    a: EvalReport | str | Path,
    b: EvalReport | str | Path,
    dim_a: Column | None = None,
    dim_b: Column | None = None,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two results by nDCG@10, set by set and in the mean.

    Args:
        a: A report, or the path of one.
        b: The other; it may be the same report at another dim.
        dim_a: Dim of the one side, or ``"bm25"`` for its baseline. Default: the largest.
        dim_b: The same for the other side.
        resamples: Bootstrap resamples; 1000 at least.
        confidence: Coverage of the intervals, between 0 and 1.
        seed: Seed; the same seed gives the same numbers, and swapping the sides only turns their signs.

    Raises:
        SseError: A report cannot be read, a dim was not measured, no set is in both, or a set is not the same
            in both (other documents, or nDCG with and without grades).
    """
    if resamples < 1000:
        raise SseError(f"resamples: {resamples} is too few, the least is 1000")
    if not 0 < confidence < 1:
        raise SseError(f"confidence: {confidence} is not between 0 and 1")
    a, b = (one if isinstance(one, EvalReport) else EvalReport.load(one) for one in (a, b))
    column_a, column_b = dim_a if dim_a is not None else a.dims[0], dim_b if dim_b is not None else b.dims[0]
    if a.graded != b.graded:
        raise SseError(
            "one result has nDCG from grades and the other from 0 and 1, so they cannot be compared"
        )
    common = [name for name in a.sets if name in b.sets]
    if not common:
        raise SseError(f"no set is in both results ({', '.join(a.sets)}; {', '.join(b.sets)})")
    rows, draws, left_out = [], [], {}
    for name in common:
        if a.sets[name].docs != b.sets[name].docs:
            raise SseError(f"{name}: not the same set, {a.sets[name].docs} documents and {b.sets[name].docs}")
        one, other = a.sets[name].scores(column_a).per_query, b.sets[name].scores(column_b).per_query
        left, right = _paired(one, other, name)
        if missing := len(one) + len(other) - 2 * len(left):
            left_out[name] = missing
        # A stream of its own for every set: its numbers do not depend on which other sets are compared.
        generator = np.random.default_rng([seed, zlib.crc32(name.encode("utf-8"))])
        draws.append(_resampled_means(left - right, resamples, generator))
        rows.append(
            _difference(name, len(left), float(left.mean()), float(right.mean()), draws[-1], confidence)
        )
    mean = _difference(
        "mean",
        sum(row.queries for row in rows),
        float(np.mean([row.a for row in rows])),
        float(np.mean([row.b for row in rows])),
        np.mean(draws, axis=0),
        confidence,
    )
    return Comparison(
        label_a=_label(a, column_a),
        label_b=_label(b, column_b),
        sets=tuple(rows),
        mean=mean,
        only_a=tuple(name for name in a.sets if name not in b.sets),
        only_b=tuple(name for name in b.sets if name not in a.sets),
        left_out=left_out,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )


def compare_with_bm25(
    report: EvalReport | str | Path,
    dim: int | None = None,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare a model with the BM25 baseline of its own report; arguments and errors as for ``compare``."""
    report = report if isinstance(report, EvalReport) else EvalReport.load(report)
    return compare(report, report, dim, "bm25", resamples=resamples, confidence=confidence, seed=seed)


def _paired(
    a: Mapping[str, float], b: Mapping[str, float], name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    common = sorted(a.keys() & b.keys())  # sorted: the draw must not depend on the order in the file
    if not common:
        raise SseError(f"{name}: the two results have no query in common")
    return np.array([a[query] for query in common]), np.array([b[query] for query in common])


def _resampled_means(
    values: npt.NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Draw the mean of ``len(values)`` values with replacement, ``resamples`` times; float64 (resamples,)."""
    rows = max(1, _CHUNK // len(values))
    means = np.empty(resamples)
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        means[start : start + count] = values[
            generator.integers(len(values), size=(count, len(values)))
        ].mean(axis=1)
    return means


def _difference(
    name: str, queries: int, a: float, b: float, draws: npt.NDArray[np.float64], confidence: float
) -> Difference:
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    # Rounding can leave 1e-17 where the resampled difference is 0.
    below, above = (draws <= 1e-12).sum(), (draws >= -1e-12).sum()
    p = min(1.0, 2 * float(min(below, above) + 1) / (len(draws) + 1))
    return Difference(name, queries, a, b, a - b, float(low), float(high), p)


def _label(report: EvalReport, column: Column) -> str:
    return f"BM25 ({report.model})" if column == "bm25" else f"{report.model}, {column} dims"
