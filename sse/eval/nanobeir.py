"""Reads the 13 NanoBEIR sets through sentence-transformers' own evaluator, from the Hub or a local mirror.

Its constructor loads everything; nothing else of it is used. It drops empty texts and ignores grades.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sse.errors import SseError, require
from sse.eval.suites import Suite

HUB_ID = "sentence-transformers/NanoBEIR-en"


def is_mirror(folder: Path) -> bool:
    """Whether ``folder`` has the layout of the Hub repository: README.md and three folders of Parquet."""
    parts = ("corpus", "queries", "qrels")
    return (folder / "README.md").is_file() and all(any((folder / part).glob("*.parquet")) for part in parts)


def load(dataset_id: str) -> list[Suite]:
    """Load all sets, named NanoMSMARCO and so on.

    Args:
        dataset_id: Hub id, or the directory of a mirror, which is read without the network.

    Raises:
        SseError: The data cannot be reached or is not complete.
        MissingExtraError: sentence-transformers or datasets is not installed.
    """
    require("datasets", "train")
    evaluator_class = _evaluator_class()
    try:
        evaluators = evaluator_class(dataset_id=dataset_id).evaluators
    except Exception as error:  # the Hub client, datasets and pyarrow each raise errors of their own
        raise SseError(
            f"{dataset_id}: NanoBEIR cannot be read: {str(error).strip().splitlines()[0]}"
        ) from error
    return [
        Suite(
            name=str(evaluator.name),
            queries=dict(zip(evaluator.queries_ids, evaluator.queries, strict=True)),
            corpus=dict(zip(evaluator.corpus_ids, evaluator.corpus, strict=True)),
            qrels={
                query: dict.fromkeys(sorted(found), 1.0) for query, found in evaluator.relevant_docs.items()
            },
        )
        for evaluator in evaluators
    ]


def _evaluator_class() -> Any:
    require("sentence_transformers", "train")
    try:  # sentence-transformers >= 5.4
        from sentence_transformers.sentence_transformer.evaluation import NanoBEIREvaluator
    except ImportError:
        from sentence_transformers.evaluation import NanoBEIREvaluator
    return NanoBEIREvaluator
