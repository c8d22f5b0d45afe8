"""results.json: the report as a file that other programs read. The schema has a number; readers check it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sse.errors import SseError
from sse.eval.bm25 import PARAMETERS
from sse.eval.results import EvalReport, Group, Scores, SetResult

SCHEMA = 1
FILE_NAME = "results.json"
_MEANS: dict[str, Group] = {"mean": "all", "mean_in_domain": "in_domain", "mean_zero_shot": "zero_shot"}


def to_json(report: EvalReport) -> dict[str, Any]:
    """Give the content of results.json; dims are strings in it, as JSON keys are."""
    content: dict[str, Any] = {
        "schema": SCHEMA,
        "model": report.model,
        "graded": report.graded,
        "skip_identical_ids": report.skip_identical_ids,
        "trained_on": list(report.trained_on),
        "seconds": report.seconds,
        "environment": report.environment,
    }
    for key, group in _MEANS.items():
        content[key] = {str(dim): report.means(dim, group) for dim in report.dims}
    baselines = content["baselines"] = {}
    if report.has_bm25:
        baselines["bm25"] = {
            "parameters": PARAMETERS,
            **{key: report.means("bm25", group) for key, group in _MEANS.items()},
            "sets": {
                name: {**result.scores("bm25").metrics, "per_query": result.scores("bm25").per_query}
                for name, result in report.sets.items()
            },
        }
    content["sets"] = {
        name: {
            "queries": result.queries,
            "docs": result.docs,
            "in_domain": result.in_domain,
            "dims": {str(dim): scores.metrics for dim, scores in result.dims.items()},
            "per_query": {str(dim): scores.per_query for dim, scores in result.dims.items()},
        }
        for name, result in report.sets.items()
    }
    return content


def read(path: Path) -> EvalReport:
    """Read a results.json, or the one in a directory; means are computed again from the sets.

    Raises:
        SseError: It cannot be read, has another schema, or contradicts itself; file and place are named.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SseError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SseError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise SseError(f"{file}: the schema is {found!r}, and only {SCHEMA} can be read")
    try:
        return _from_json(content)
    except KeyError as error:
        raise SseError(f"{file}: the key {error} is missing") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise SseError(f"{file}: not what schema {SCHEMA} says: {error}") from error


def _from_json(content: dict[str, Any]) -> EvalReport:
    bm25 = content.get("baselines", {}).get("bm25", {}).get("sets", {})
    sets = {}
    for name, one in content["sets"].items():
        queries = _count(one["queries"])
        dims = {
            int(dim): _scores(metrics, one["per_query"][dim], f"{name}, dim {dim}", queries)
            for dim, metrics in one["dims"].items()
        }
        baseline = None
        if name in bm25:
            metrics = {key: value for key, value in bm25[name].items() if key != "per_query"}
            baseline = _scores(metrics, bm25[name]["per_query"], f"{name}, BM25", queries)
        sets[name] = SetResult(queries, _count(one["docs"]), bool(one["in_domain"]), dims, baseline)
    shapes = {
        (tuple(sorted(result.dims)), *(tuple(s.metrics) for s in result.dims.values()))
        for result in sets.values()
    }
    if len(shapes) != 1 or not next(iter(shapes))[0]:
        raise ValueError("there must be one set at least, and the same dims and metrics for every set")
    return EvalReport(
        model=str(content["model"]),
        sets=sets,
        environment=dict(content["environment"]),
        graded=bool(content.get("graded", True)),
        skip_identical_ids=bool(content.get("skip_identical_ids", False)),
        trained_on=tuple(map(str, content.get("trained_on", ()))),
        seconds=float(content.get("seconds", 0.0)),
    )


def _scores(metrics: dict[str, Any], per_query: dict[str, Any], where: str, queries: int) -> Scores:
    if len(per_query) != queries:
        raise ValueError(f"{where}: {len(per_query)} queries instead of {queries}")
    return Scores(
        {key: _score(value, f"{where}, {key}") for key, value in metrics.items()},
        {key: _score(value, f"{where}, query {key}") for key, value in per_query.items()},
    )


def _score(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is not a number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is not a count")
    return value
