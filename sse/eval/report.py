"""The report as Markdown, and the files of a report directory. The pictures are drawn in plots.py."""

from __future__ import annotations

import math
from pathlib import Path

from sse.eval.bm25 import PARAMETERS
from sse.eval.results import Column, EvalReport, Group
from sse.eval.results_json import FILE_NAME, to_json
from sse.files import staged_file, write_json

_ROWS: dict[Group, str] = {"all": "mean", "in_domain": "mean, trained on", "zero_shot": "mean, zero-shot"}


def columns(report: EvalReport) -> list[Column]:
    """Give the dims, largest first, and ``"bm25"`` where it was measured."""
    return [*report.dims, "bm25"] if report.has_bm25 else [*report.dims]


def table(report: EvalReport, metric: str) -> str:
    """One metric of all sets as a Markdown table, with means over all, trained-on and other sets."""
    report.mean(report.dims[0], metric)  # refuses a metric that was not measured
    lines = _head(["set", "queries", "docs", "trained on", *_titles(report)], text_columns=1)
    for name, result in report.sets.items():
        values = [result.scores(column).metrics[metric] for column in columns(report)]
        trained = "yes" if result.in_domain else "no"
        lines.append(
            _line([_cell(name), str(result.queries), str(result.docs), trained, *map(_number, values)])
        )
    for group, title in _ROWS.items():
        names = report.group(group)
        # The mean of one set, or of all sets a second time, would say nothing new.
        if len(report.sets) > 1 and names and (group == "all" or len(names) < len(report.sets)):
            means = [report.mean(column, metric, group) for column in columns(report)]
            queries, docs = (
                sum(getattr(report.sets[name], key) for name in names) for key in ("queries", "docs")
            )
            counts = [str(queries), str(docs), str(len(names)) + " sets"]
            lines.append(_line([f"**{title}**", *counts, *(f"**{_number(value)}**" for value in means)]))
    return "\n".join(lines)


def metrics_table(report: EvalReport) -> str:
    """All metrics as a Markdown table of means over all sets: a row for every metric."""
    lines = _head(["mean over all sets", *_titles(report)], text_columns=1)
    for metric in report.metrics:
        lines.append(_line([metric, *(_number(report.mean(column, metric)) for column in columns(report))]))
    return "\n".join(lines)


def markdown(report: EvalReport) -> str:
    """The whole report: the nDCG table, all metrics, the pictures, and how it was measured."""
    gains = (
        "the grades of the judgements as gains (linear, as in trec_eval)"
        if report.graded
        else "gains of 0 and 1"
    )
    notes = [
        f"Cosine similarity; vectors cut to the dim, then normalised; nDCG with {gains}; ties by document id."
    ]
    if report.skip_identical_ids:
        notes.append("A query does not retrieve the document of its own id.")
    if report.has_bm25:
        stems = f"stems: {PARAMETERS['stemmer']}, stop words: {PARAMETERS['stop_words']}"
        notes.append(f"BM25: k1 {PARAMETERS['k1']}, b {PARAMETERS['b']}, {stems}.")
    known = ", ".join(report.trained_on) or "nothing that the model says"
    notes.append(f"Trained on, by name: {known}.")
    versions = ", ".join(
        f"{name} {number}" for name, number in report.environment.get("versions", {}).items()
    )
    system = f"{report.environment.get('platform', '?')}, Python {report.environment.get('python', '?')}"
    notes.append(f"Measured in {report.seconds:.0f} s on {system}: {versions}.")
    parts = [
        f"# {report.model}",
        "nDCG@10 by set and dim:",
        report.table(),
        "![nDCG@10 of every set](sets.png)",
        "![mean nDCG@10 by dim](matryoshka.png)",
        metrics_table(report),
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(parts) + "\n"


def save(report: EvalReport, directory: Path) -> None:
    """Write results.json, report.md and the pictures; the numbers come first, they must not be lost."""
    from sse.eval.plots import draw_matryoshka, draw_sets

    write_json(directory / FILE_NAME, to_json(report))
    with staged_file(directory / "report.md") as part:
        part.write_text(markdown(report), encoding="utf-8")
    for name, draw in (("sets.png", draw_sets), ("matryoshka.png", draw_matryoshka)):
        with staged_file(directory / name) as part:
            draw(report, part)


def _titles(report: EvalReport) -> list[str]:
    return ["BM25" if column == "bm25" else str(column) for column in columns(report)]


def _head(titles: list[str], text_columns: int) -> list[str]:
    rules = ["---" if place < text_columns else "---:" for place in range(len(titles))]
    return [_line(titles), _line(rules)]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
