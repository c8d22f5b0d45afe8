"""Model in, results out: retrieval suites, metrics at every dim, the BM25 baseline and the paired bootstrap.

Importing this package needs numpy alone. What needs more (sentence-transformers, bm25s, matplotlib) is
imported when it is used, and a missing extra is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sse.eval.results import EvalReport
from sse.eval.significance import Comparison, compare, compare_with_bm25
from sse.eval.suites import Suite, load_suites
from sse.eval.sweep import evaluate

if TYPE_CHECKING:
    from sse.eval.during_training import SuiteEvaluator

__all__ = [
    "Comparison",
    "EvalReport",
    "Suite",
    "SuiteEvaluator",
    "compare",
    "compare_with_bm25",
    "evaluate",
    "load_suites",
]


def __getattr__(name: str) -> Any:
    if name != "SuiteEvaluator":
        raise AttributeError(f"module 'sse.eval' has no attribute {name!r}")
    from sse.errors import require

    require("sentence_transformers", "train")
    from sse.eval.during_training import SuiteEvaluator

    return SuiteEvaluator
