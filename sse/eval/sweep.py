"""Measures a model on suites at several dims: texts are encoded once at full width, then cut for every dim.

Cutting is what a Matryoshka model is trained for: the first columns of a vector, normalised again. The
similarity is always cosine, whatever the model's own setting is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sse.environment import describe_environment
from sse.errors import SseError, require
from sse.eval.bm25 import rank_by_bm25
from sse.eval.domains import is_in_domain
from sse.eval.ranking import rank_by_cosine
from sse.eval.results import EvalReport, SetResult
from sse.eval.suites import Suite, load_suites
from sse.eval.task import Task

USUAL_DIMS = (512, 256, 128, 64, 32)


def evaluate(
    model: Any,
    suites: str | Path | Suite | Sequence[str | Path | Suite],
    dims: Sequence[int] | None = None,
    *,
    bm25: bool = True,
    in_domain: str | Iterable[str] | None = None,
    batch_size: int = 1024,
    show_progress: bool = False,
    skip_identical_ids: bool = False,
    graded: bool = True,
    name: str | None = None,
) -> EvalReport:
    """Measure a model.

    Args:
        model: A ``SentenceTransformer``, anything else with its ``encode`` (and ``encode_query`` and
            ``encode_document``, where there are prompts), or a directory or Hub id, which is loaded.
        suites: Suites, or what ``load_suites`` takes.
        dims: Widths to cut vectors to. Default: the full width, and below it the dims that the model was
            trained for, or the USUAL_DIMS where it names none.
        bm25: Measure the BM25 baseline too.
        in_domain: Names of the sets that the model was trained on (see domains.py). Default: what an SSE
            model stores as ``trained_on``.
        batch_size: Texts a batch.
        show_progress: Show a bar over the sets on standard error.
        skip_identical_ids: Keep a query from retrieving the document of its own id, as TREC, BEIR and MTEB do
            and sentence-transformers does not: it matters where queries are documents (ArguAna, Quora).
        graded: Use the grades of the judgements for nDCG (see metrics.py).
        name: Name of the model in the report.

    Raises:
        SseError: A suite or the model cannot be loaded, a dim does not fit, or a vector is not finite.
        MissingExtraError: The model is a name and sentence-transformers is not installed, or BM25 is asked
            for and bm25s is not.
    """
    start = time.perf_counter()
    suites = load_suites(suites)
    if isinstance(model, str | Path):
        name = name or (Path(model).resolve().name if Path(model).is_dir() else str(model))
        model = _loaded(model)
    if isinstance(in_domain, str):
        in_domain = [in_domain]
    trained_on = _trained_on(model) if in_domain is None else tuple(in_domain)
    sets = {}
    for suite in _watched(suites) if show_progress else suites:
        task = Task.of(suite)
        skip = task.twins() if skip_identical_ids else None
        queries = _encode(model, "query", task.query_texts, task.query_ids, suite.name, batch_size)
        widths = choose_dims(model, dims, queries.shape[1])
        documents = _encode(model, "document", task.document_texts, task.document_ids, suite.name, batch_size)
        scores = {}
        for dim in widths:
            ranked = rank_by_cosine(queries[:, :dim], documents[:, :dim], skip=skip)
            scores[dim] = task.score(ranked, graded=graded)
        baseline = task.score(rank_by_bm25(task, skip=skip), graded=graded) if bm25 else None
        known = is_in_domain(suite.name, trained_on)
        sets[suite.name] = SetResult(len(task.query_ids), len(task.document_ids), known, scores, baseline)
    return EvalReport(
        model=name or _name(model),
        sets=sets,
        environment=describe_environment(),
        graded=graded,
        skip_identical_ids=skip_identical_ids,
        trained_on=trained_on,
        seconds=round(time.perf_counter() - start, 3),
    )


def _watched(suites: list[Suite]) -> Iterable[Suite]:
    bar = require("tqdm", "eval").tqdm(suites, unit="set", file=sys.stderr)
    for suite in bar:
        bar.set_postfix_str(suite.name)
        yield suite


def choose_dims(model: Any, dims: Sequence[int] | None, width: int) -> list[int]:
    """Check the dims that were asked for, or find the default ones; largest first, each once.

    Raises:
        SseError: A dim is not a whole number from 1 to ``width``.
    """
    if dims is None:
        trained: Sequence[int] = _stored(model, "matryoshka_dims", None) or USUAL_DIMS
        dims = [width, *(dim for dim in trained if dim < width)]
    for dim in dims:
        if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or not 1 <= dim <= width:
            raise SseError(f"dims: {dim!r} is not a whole number from 1 to {width}, the width of the model")
    if not dims:
        raise SseError("dims: there is none")
    return sorted({int(dim) for dim in dims}, reverse=True)


def _encode(
    model: Any, kind: str, texts: list[str], ids: list[str], suite: str, batch_size: int
) -> npt.NDArray[np.float32]:
    function = getattr(model, f"encode_{kind}", None) or model.encode
    encoded = function(texts, batch_size=batch_size, normalize_embeddings=False, show_progress_bar=False)
    vectors = np.asarray(encoded, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise SseError(f"{suite}: the model gave an array of shape {vectors.shape} for {len(texts)} texts")
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise SseError(f"{suite}: the vector of {kind} {ids[broken[0]]!r} is not finite")
    return vectors


def _loaded(name: str | Path) -> Any:
    require("sentence_transformers", "train")
    from sse.modeling import load_model

    return load_model(name)


def _stored(model: Any, attribute: str, default: Any) -> Any:
    """Look for what an SSE module stores: on the model itself, or on its first module."""
    if getattr(model, attribute, None) is not None:
        return getattr(model, attribute)
    try:
        module = model[0]
    except (TypeError, KeyError, IndexError, AttributeError):
        return default
    found = getattr(module, attribute, None)
    return default if found is None else found


def _trained_on(model: Any) -> tuple[str, ...]:
    facts = _stored(model, "training_facts", {})
    names = facts.get("trained_on") if isinstance(facts, dict) else None
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def _name(model: Any) -> str:
    card = getattr(model, "model_card_data", None)
    for key in ("model_id", "model_name", "base_model"):
        value = getattr(card, key, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__
