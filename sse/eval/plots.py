"""The two pictures of a report. matplotlib is imported here alone, and without its global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sse.errors import require
from sse.eval.results import EvalReport

_MODEL, _BASELINE, _ZERO_SHOT = "#1f5fa8", "#b0b0b0", "#d9822b"


def draw_sets(report: EvalReport, file: Path) -> None:
    """Draw nDCG@10 of every set at the largest dim, with BM25 beside, as a PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    dim = report.dims[0]
    names = [*report.sets, "mean"]
    model = [*(result.scores(dim).metrics["ndcg@10"] for result in report.sets.values()), report.mean(dim)]
    rows = range(len(names))
    figure = _figure(7.5, 1.3 + 0.42 * len(names))
    axes = figure.subplots()
    kinds = [(model, f"{_short(report.model)}, {dim} dims", _MODEL)]
    if report.has_bm25:
        baseline = [
            *(result.scores("bm25").metrics["ndcg@10"] for result in report.sets.values()),
            report.mean("bm25"),
        ]
        kinds.append((baseline, "BM25", _BASELINE))
    height = 0.8 / len(kinds)
    for place, (values, label, colour) in enumerate(kinds):
        offset = (place - (len(kinds) - 1) / 2) * height
        bars = axes.barh([row + offset for row in rows], values, height, label=label, color=colour)
        axes.bar_label(bars, fmt="%.3f", padding=2, fontsize=7)
    labels = [_plain(name) + (" (trained on)" if name in report.group("in_domain") else "") for name in names]
    axes.set_yticks(list(rows), labels, fontsize=9)
    axes.axhline(len(names) - 1.5, color="black", linewidth=0.8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("nDCG@10")
    _finish(figure, axes, file, grid="x")


def draw_matryoshka(report: EvalReport, file: Path) -> None:
    """Draw mean nDCG@10 against the dim, with BM25 as a line, as a PNG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    dims = report.dims[::-1]
    figure = _figure(6.5, 4.2)
    axes = figure.subplots()
    axes.plot(
        dims,
        [report.mean(dim) for dim in dims],
        "o-",
        color=_MODEL,
        label=f"{_short(report.model)}, all sets",
    )
    if report.group("in_domain") and report.group("zero_shot"):
        values = [report.mean(dim, group="zero_shot") for dim in dims]
        axes.plot(dims, values, "s--", color=_ZERO_SHOT, label="sets that it was not trained on")
    if report.has_bm25:
        axes.axhline(report.mean("bm25"), color="#606060", linestyle=":", label="BM25, all sets")
    axes.set_xscale("log", base=2)
    axes.set_xticks(dims, [str(dim) for dim in dims])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("dims")
    axes.set_ylabel("mean nDCG@10")
    _finish(figure, axes, file, grid="both")


def _figure(width: float, height: float) -> Any:
    return require("matplotlib.figure", "eval").Figure(figsize=(width, height), layout="constrained")


def _finish(figure: Any, axes: Any, file: Path, grid: str) -> None:
    axes.grid(axis=grid, color="#e0e0e0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    figure.savefig(file, format="png", dpi=150, metadata={"Software": None})


def _short(name: str) -> str:
    return _plain(name if len(name) <= 40 else "..." + name[-37:])


def _plain(name: str) -> str:
    return name.replace("$", r"\$")  # otherwise it opens a formula
